"""Samplers: training on subgraphs of one large graph, without compiled extras.

``task.sampled(sampler)`` is a node task whose training batches are drawn by a sampler; any model trains on it.
Each sampler is useful alone, too: ``for batch in sampler.batches(data, nodes): ...``.
"""

from graphkit.core.registry import Registry
from graphkit.samplers.base import EVALUATIONS, Sampler
from graphkit.samplers.cluster import ClusterSampler
from graphkit.samplers.graph_saint import GraphSAINTEdge, GraphSAINTNode, GraphSAINTRandomWalk
from graphkit.samplers.layerwise import layerwise
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
    "layerwise",
    "registry",
]

registry: Registry[Sampler] = Registry("sampler", Sampler, __name__)
