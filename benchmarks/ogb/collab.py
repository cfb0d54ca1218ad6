"""ogbl-collab: who will write papers together. Validation edges are not used as input."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbl-collab",
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
    "trainer": {"max_epochs": 400, "lr": 0.001, "batch_size": 65536, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
