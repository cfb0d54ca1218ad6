"""Learned aggregations: PyG ``Aggregation`` modules for messages (``aggr=``) and for readouts.

Each takes ``(x, index, ptr, dim_size, dim)`` as PyG's do and computes with the real elements of each set only.
"""

from torch_geometric.nn.aggr import Aggregation

from graphkit.core.registry import Registry
from graphkit.nn.aggr.gnp import GNPAggregation, gnp
from graphkit.nn.aggr.lcm import LCMAggregation
from graphkit.nn.aggr.operators import GRUOperator, MLPOperator
from graphkit.nn.aggr.recurrent import RecurrentAggregation
from graphkit.nn.aggr.resolver import resolve

__all__ = [
    "GNPAggregation",
    "GRUOperator",
    "LCMAggregation",
    "MLPOperator",
    "RecurrentAggregation",
    "gnp",
    "registry",
    "resolve",
]

registry: Registry[Aggregation] = Registry("aggregation", Aggregation, __name__)
