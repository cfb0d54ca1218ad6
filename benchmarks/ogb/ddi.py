"""ogbl-ddi: drugs that interact. Nodes have one-hot ids, whose first map is a table of embeddings."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbl-ddi",
    "model": {
        "class_path": "LinkPredictor",
        "init_args": {
            "encoder": {
                "class_path": "GCN",
                "init_args": {"hidden_channels": 256, "num_layers": 2, "out_channels": 256, "dropout": 0.5},
            },
            "hidden_channels": 256,
            "num_layers": 3,
            "dropout": 0.5,
        },
    },
    "trainer": {"max_epochs": 200, "lr": 0.005, "batch_size": 65536, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
