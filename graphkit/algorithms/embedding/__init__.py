"""Embeddings of nodes by the graph alone, without features or labels."""
