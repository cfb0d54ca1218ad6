"""ogbl-ppa: associations of proteins. The model of ogbl-collab."""

from benchmarks.ogb import collab
from benchmarks.ogb.leaderboard import main
from graphkit.recipes.recipe import merged

CONFIG = merged(collab.CONFIG, {"task": "ogbl-ppa", "trainer": {"max_epochs": 20, "lr": 0.01}})

if __name__ == "__main__":
    main(CONFIG)
