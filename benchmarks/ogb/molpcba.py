"""ogbg-molpcba: 128 tests of a molecule, many of them unknown. The model of ogbg-molhiv, wider."""

from benchmarks.ogb import molhiv
from benchmarks.ogb.leaderboard import main
from graphkit.recipes.recipe import merged

CONFIG = merged(
    molhiv.CONFIG,
    {"task": "ogbg-molpcba", "model": {"init_args": {"hidden_channels": 300}}, "trainer": {"batch_size": 128}},
)

if __name__ == "__main__":
    main(CONFIG)
