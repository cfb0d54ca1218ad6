"""Learned aggregations: PyG ``Aggregation`` modules for messages (``aggr=``) and for readouts.

Each takes ``(x, index, ptr, dim_size, dim)`` as PyG's do and computes with the real elements of each set only.
"""

from graphkit.nn.aggr.gnp import GNPAggregation, gnp
from graphkit.nn.aggr.lcm import LCMAggregation
from graphkit.nn.aggr.operators import GRUOperator, MLPOperator
from graphkit.nn.aggr.recurrent import RecurrentAggregation
from graphkit.nn.aggr.resolver import registry, resolve

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
