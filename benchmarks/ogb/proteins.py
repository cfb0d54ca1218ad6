"""ogbn-proteins: 112 functions of a protein. Full-batch training needs about 60 GB."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbn-proteins",
    "model": {"class_path": "GCN", "init_args": {"hidden_channels": 256, "num_layers": 3}},
    "trainer": {"max_epochs": 1000, "lr": 0.01, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
