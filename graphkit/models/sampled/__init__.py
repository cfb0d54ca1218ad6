"""Networks of the papers that train on sampled subgraphs."""

from graphkit.models.sampled.graph_saint import GraphSAINT
from graphkit.models.sampled.shadow_gnn import ShaDowGNN

__all__ = ["GraphSAINT", "ShaDowGNN"]
