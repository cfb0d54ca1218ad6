"""Parts of a large graph: subgraphs that are drawn, and partitions."""
