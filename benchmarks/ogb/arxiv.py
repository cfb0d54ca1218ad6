"""ogbn-arxiv: the subject of a paper. The baseline is a GCN of three layers, as in OGB's example."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbn-arxiv",
    "transforms": ["graphkit.transforms.Undirected"],
    "model": {
        "class_path": "GCN",
        "init_args": {"hidden_channels": 256, "num_layers": 3, "dropout": 0.5, "norm": "batch_norm"},
    },
    "trainer": {"max_epochs": 500, "lr": 0.01, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
