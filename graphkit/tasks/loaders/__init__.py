"""Loaders: how a task's graphs and labels become batches."""

from graphkit.tasks.loaders.base import Draw, Loader
from graphkit.tasks.loaders.graph_batches import GraphBatches
from graphkit.tasks.loaders.pairs import EdgePairs, PairLoader, Pairs
from graphkit.tasks.loaders.rankings import Rankings
from graphkit.tasks.loaders.subgraphs import NodeSubgraphs, PairSubgraphs, Subgraphs
from graphkit.tasks.loaders.whole_graph import WholeGraph

__all__ = [
    "Draw",
    "EdgePairs",
    "GraphBatches",
    "Loader",
    "NodeSubgraphs",
    "PairLoader",
    "PairSubgraphs",
    "Pairs",
    "Rankings",
    "Subgraphs",
    "WholeGraph",
]
