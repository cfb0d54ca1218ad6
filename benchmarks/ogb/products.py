"""ogbn-products: the category of a product. Trained on subgraphs, judged layer by layer: about 17 GB."""

from benchmarks.ogb.leaderboard import main

CONFIG = {
    "task": "ogbn-products",
    "model": {"class_path": "GraphSAINT", "init_args": {"hidden_channels": 128, "dropout": 0.2}},
    "sampler": {"class_path": "GraphSAINTRandomWalk", "init_args": {"num_roots": 6000, "evaluate": "layerwise"}},
    "trainer": {"max_epochs": 30, "lr": 0.01, "clip_norm": 5.0, "monitor": "metric"},
}

if __name__ == "__main__":
    main(CONFIG)
