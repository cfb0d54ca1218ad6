"""Samplers: training on subgraphs of one large graph, without compiled extras.

``task.sampled(sampler)`` is the same task with training batches that a sampler draws; any model trains on it.
Each sampler is useful alone, too: ``for batch in sampler.batches(data, nodes): ...``.
"""

import importlib
from typing import Any

from graphkit.core.deprecation import warn_renamed
from graphkit.core.registry import Registry
from graphkit.samplers.base import EVALUATIONS, Sampler
from graphkit.samplers.cluster import ClusterSampler
from graphkit.samplers.graph_saint import GraphSAINTEdge, GraphSAINTNode, GraphSAINTRandomWalk
from graphkit.samplers.neighbor import NeighborSampler
from graphkit.samplers.shadow import ShaDowKHop, ShaDowPPR

__all__ = [
    "EVALUATIONS",
    "ClusterSampler",
    "GraphSAINTEdge",
    "GraphSAINTNode",
    "GraphSAINTRandomWalk",
    "NeighborSampler",
    "Sampler",
    "ShaDowKHop",
    "ShaDowPPR",
    "registry",
]

registry: Registry[Sampler] = Registry("sampler", Sampler, __name__)


def __getattr__(name: str) -> Any:
    if name == "layerwise":
        warn_renamed("graphkit.samplers.layerwise", "graphkit.training.layerwise_inference")
        return importlib.import_module("graphkit.training").layerwise_inference
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
