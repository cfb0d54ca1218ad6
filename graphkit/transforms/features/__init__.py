"""Features: transforms that add columns to ``data.x`` (public as ``gk.features``)."""

from graphkit.core.registry import Registry
from graphkit.transforms.base import Precompute
from graphkit.transforms.features.klwl import KLWL
from graphkit.transforms.features.laplacian import LaplacianPE
from graphkit.transforms.features.random_walk import RandomWalkPE

__all__ = ["KLWL", "LaplacianPE", "RandomWalkPE", "registry"]

registry: Registry[Precompute] = Registry("feature", Precompute, __name__)
