"""Neural networks as graphs: neurons are nodes, parameters are edges, and a graph network reads and edits them.

After `"Graph Metanetworks for Processing Diverse Neural Architectures" <https://github.com/cptq/graph_metanetworks>`_
(Lim, Maron, Law, Lorraine, Lucas; ICLR 2024). :func:`module_to_graph` makes the graph,
:class:`~graphkit.models.MetaNetwork` reads it, :func:`graph_to_state_dict` makes weights of it again.

What a network computes is another graph, of operations (:func:`computational_graph`); of it :class:`GraphHyperNetwork`
predicts the parameters of networks that nobody has trained.
"""

from graphkit.metanetworks.computation import OPERATIONS, computational_graph
from graphkit.metanetworks.graph import EDGE_TYPES, NODE_TYPES, graph_to_state_dict
from graphkit.metanetworks.hypernetwork import GraphHyperNetwork
from graphkit.metanetworks.tracing import module_to_graph

__all__ = [
    "EDGE_TYPES",
    "NODE_TYPES",
    "OPERATIONS",
    "GraphHyperNetwork",
    "computational_graph",
    "graph_to_state_dict",
    "module_to_graph",
]
