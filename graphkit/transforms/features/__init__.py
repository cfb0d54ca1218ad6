"""Features: transforms that add columns to ``data.x`` (public as ``gk.features``)."""

from torch_geometric.transforms import BaseTransform

from graphkit.core.registry import Registry
from graphkit.transforms.features.random_walk import RandomWalkPE

__all__ = ["RandomWalkPE", "registry"]

registry: Registry[BaseTransform] = Registry("feature", BaseTransform, __name__)
