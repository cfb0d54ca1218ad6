"""ogbn-products: the category of a product. Full-batch training needs about 60 GB."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbn-products",
    "model": {"class_path": "GCN", "init_args": {"hidden_channels": 256, "num_layers": 3, "dropout": 0.5}},
    "trainer": {"max_epochs": 300, "lr": 0.01, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
