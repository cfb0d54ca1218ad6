"""Networks that use no edges."""

from graphkit.models.graph_free.deep_sets import DeepSets
from graphkit.models.graph_free.mlp import MLP

__all__ = ["MLP", "DeepSets"]
