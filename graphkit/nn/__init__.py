"""Layers: ordinary modules called as ``conv(x, edge_index, ...)``, useful in any PyG code.

Wherever ``edge_index`` ``[2, num_edges]`` is told of, a PyG ``EdgeIndex`` or a sparse adjacency matrix will do, as
PyG's ``ToSparseTensor`` makes it (COO, CSR and CSC, or torch_sparse's): its rows are targets and its values are the
weights, with a gradient; a layer that reads no weights refuses other values than 1. Features ``[*, num_nodes,
channels]`` are PyG's static graphs, several features of one graph.
"""

from torch import nn

from graphkit.core.registry import Registry
from graphkit.nn import aggr, sheaf, temporal
from graphkit.nn.air_conv import AIRConv
from graphkit.nn.allotropic_conv import AllotropicConv
from graphkit.nn.appnp import APPNP
from graphkit.nn.convection_diffusion import ConvectionDiffusion
from graphkit.nn.dagnn_conv import DAGNNConv
from graphkit.nn.dense_propagation import DensePropagation
from graphkit.nn.diffusivity import AttentionDiffusion
from graphkit.nn.drew import DRewConv, DRewGatedGCNConv, DRewGCNConv, DRewGINConv, DRewRGINConv
from graphkit.nn.gat_conv import GATConv
from graphkit.nn.gated_gcn_conv import GatedGCNConv
from graphkit.nn.gatv2_conv import GATv2Conv
from graphkit.nn.gcn_conv import GCNConv
from graphkit.nn.gcne_conv import GCNEConv
from graphkit.nn.gin_conv import GINConv, GINPerceptron
from graphkit.nn.gine_conv import GINEConv
from graphkit.nn.gpr_conv import GPRConv
from graphkit.nn.graph_diffusion import GraphDiffusion
from graphkit.nn.graph_energy import DenoisingEnergy, EdgewiseEnergy
from graphkit.nn.graph_saint_conv import GraphSAINTConv
from graphkit.nn.heat_kernel import HeatKernel
from graphkit.nn.heterophily_modules import (
    FeedForwardModule,
    GATModule,
    GCNModule,
    SAGEModule,
    TransformerAttentionModule,
)
from graphkit.nn.implicit import FixedPoint
from graphkit.nn.linear import Linear
from graphkit.nn.mpnn_conv import MPNNConv
from graphkit.nn.node_memory import NodeMemory
from graphkit.nn.path_conv import PathConv
from graphkit.nn.perceptron import Perceptron
from graphkit.nn.polynormer_conv import PolynormerAttention, PolynormerConv
from graphkit.nn.pure_gcn_conv import PureGCNConv
from graphkit.nn.ranked_predictions import RankedPredictions
from graphkit.nn.relational_conv import RelationalConv
from graphkit.nn.sage_conv import SAGEConv
from graphkit.nn.sgc_conv import SGConv
from graphkit.nn.shadow_convs import ShaDowGATConv, ShaDowGCNConv, ShaDowLinear, ShaDowSAGEConv
from graphkit.nn.transformer_conv import TransformerConv
from graphkit.ops.dropout import dropout

__all__ = [
    "APPNP",
    "AIRConv",
    "AllotropicConv",
    "AttentionDiffusion",
    "ConvectionDiffusion",
    "DAGNNConv",
    "DRewConv",
    "DRewGCNConv",
    "DRewGINConv",
    "DRewGatedGCNConv",
    "DRewRGINConv",
    "DenoisingEnergy",
    "DensePropagation",
    "EdgewiseEnergy",
    "FeedForwardModule",
    "FixedPoint",
    "GATConv",
    "GATModule",
    "GATv2Conv",
    "GCNConv",
    "GCNEConv",
    "GCNModule",
    "GINConv",
    "GINEConv",
    "GINPerceptron",
    "GPRConv",
    "GatedGCNConv",
    "GraphDiffusion",
    "GraphSAINTConv",
    "HeatKernel",
    "Linear",
    "MPNNConv",
    "NodeMemory",
    "PathConv",
    "Perceptron",
    "PolynormerAttention",
    "PolynormerConv",
    "PureGCNConv",
    "RankedPredictions",
    "RelationalConv",
    "SAGEConv",
    "SAGEModule",
    "SGConv",
    "ShaDowGATConv",
    "ShaDowGCNConv",
    "ShaDowLinear",
    "ShaDowSAGEConv",
    "TransformerAttentionModule",
    "TransformerConv",
    "aggr",
    "dropout",
    "registry",
    "sheaf",
    "temporal",
]

registry: Registry[nn.Module] = Registry("layer", nn.Module, __name__)
