"""Embeddings of users and items from who chose what, and what to compare them with."""

from graphkit.models.recommend.light_gcn import LightGCN, MatrixFactorization
from graphkit.models.recommend.node_embeddings import NodeEmbeddings
from graphkit.models.recommend.sheaf4rec import Sheaf4Rec
from graphkit.models.recommend.without_weights import ItemKNN, Popularity

__all__ = ["ItemKNN", "LightGCN", "MatrixFactorization", "NodeEmbeddings", "Popularity", "Sheaf4Rec"]
