"""Rewirings: transforms that change which nodes are joined (public as ``gk.rewiring``)."""

from torch_geometric.transforms import BaseTransform

from graphkit.core.registry import Registry
from graphkit.transforms.rewiring.random_edges import RandomEdges

__all__ = ["RandomEdges", "registry"]

registry: Registry[BaseTransform] = Registry("rewiring", BaseTransform, __name__)
