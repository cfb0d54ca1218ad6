"""Networks whose layers use no edges."""

from graphkit.models.graph_free.adpa import ADPA
from graphkit.models.graph_free.deep_sets import DeepSets
from graphkit.models.graph_free.dgmlp import DGMLP
from graphkit.models.graph_free.mlp import MLP

__all__ = ["ADPA", "DGMLP", "MLP", "DeepSets"]
