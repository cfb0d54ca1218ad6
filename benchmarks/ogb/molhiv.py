"""ogbg-molhiv, and with ``--task`` any other set of molecules with one label: molbace, molbbbp, molesol, ..."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbg-molhiv",
    "transforms": ["graphkit.transforms.OneHotCodes"],
    "model": {
        "class_path": "GIN",
        "init_args": {"hidden_channels": 128, "num_layers": 5, "dropout": 0.5, "norm": "batch_norm", "readout": "mean"},
    },
    "trainer": {"max_epochs": 100, "lr": 0.001, "batch_size": 32, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
