"""ogbg-molpcba: 128 tests of a molecule, many of them unknown."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbg-molpcba",
    "transforms": ["graphkit.transforms.OneHotCodes"],
    "model": {
        "class_path": "GIN",
        "init_args": {"hidden_channels": 300, "num_layers": 5, "dropout": 0.5, "norm": "batch_norm", "readout": "mean"},
    },
    "trainer": {"max_epochs": 100, "lr": 0.001, "batch_size": 128, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
