"""Cellular sheaves on graphs: restriction maps, their Laplacian and its diffusion.

These work on a graph prepared by :func:`sheaf_graph` and on stalks ``[num_nodes, stalk_dim, channels]``.
"""

from graphkit.nn.sheaf.blocks import inverse_sqrt, rotate, transport
from graphkit.nn.sheaf.conv import SheafConv, SheafMix
from graphkit.nn.sheaf.cooperative import CooperativeSheafConv
from graphkit.nn.sheaf.flow import SheafFlow
from graphkit.nn.sheaf.given import GivenSheafConv, diffuse_polynomial, given_laplacian, signed_maps
from graphkit.nn.sheaf.graph import SheafGraph, sheaf_graph
from graphkit.nn.sheaf.laplacian import SheafLaplacian, sheaf_laplacian
from graphkit.nn.sheaf.learner import SheafLearner
from graphkit.nn.sheaf.node_learner import NodeLearner
from graphkit.nn.sheaf.orthogonal import num_orthogonal_params, orthogonal

__all__ = [
    "CooperativeSheafConv",
    "GivenSheafConv",
    "NodeLearner",
    "SheafConv",
    "SheafFlow",
    "SheafGraph",
    "SheafLaplacian",
    "SheafLearner",
    "SheafMix",
    "diffuse_polynomial",
    "given_laplacian",
    "inverse_sqrt",
    "num_orthogonal_params",
    "orthogonal",
    "rotate",
    "sheaf_graph",
    "sheaf_laplacian",
    "signed_maps",
    "transport",
]
