"""ogbl-ppa: associations of proteins."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbl-ppa",
    "model": {
        "class_path": "LinkPredictor",
        "init_args": {
            "encoder": {
                "class_path": "GCN",
                "init_args": {"hidden_channels": 256, "num_layers": 3, "out_channels": 256},
            },
            "hidden_channels": 256,
            "num_layers": 3,
        },
    },
    "trainer": {"max_epochs": 20, "lr": 0.01, "batch_size": 65536, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
