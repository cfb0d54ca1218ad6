"""Rewirings: transforms that change which nodes are joined (public as ``gk.rewiring``)."""

from graphkit.core.registry import Registry
from graphkit.transforms.base import Precompute
from graphkit.transforms.rewiring.random_edges import RandomEdges

__all__ = ["RandomEdges", "registry"]

registry: Registry[Precompute] = Registry("rewiring", Precompute, __name__)
