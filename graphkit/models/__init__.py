"""Whole networks: encode, a list of layers, decode."""

from graphkit.models.adapter import PyGModel
from graphkit.models.appnp import APPNP
from graphkit.models.base import LayeredModel, registry
from graphkit.models.connection_sheaf import ConnectionSheaf
from graphkit.models.deep_sets import DeepSets
from graphkit.models.drew import DRew
from graphkit.models.gcn import GCN
from graphkit.models.gin import GIN
from graphkit.models.grand import GRAND
from graphkit.models.graph_saint import GraphSAINT
from graphkit.models.kl_gnn import KLGNN
from graphkit.models.link_predictor import LinkPredictor
from graphkit.models.mlp import MLP
from graphkit.models.mpnn import MPNN
from graphkit.models.ncn import NCN, NCNC
from graphkit.models.pair_scorer import PairScorer
from graphkit.models.path_nn import PathNN
from graphkit.models.ppgn import PPGNpp
from graphkit.models.pure_gcn import PureGCN
from graphkit.models.relational import RelationalGNN
from graphkit.models.sgc import SGC
from graphkit.models.shadow_gnn import ShaDowGNN
from graphkit.models.sheaf_diffusion import SheafDiffusion
from graphkit.models.sheaf_network import SheafNetwork
from graphkit.models.stack import LayerStack

__all__ = [
    "APPNP",
    "GCN",
    "GIN",
    "GRAND",
    "KLGNN",
    "MLP",
    "MPNN",
    "NCN",
    "NCNC",
    "SGC",
    "ConnectionSheaf",
    "DRew",
    "DeepSets",
    "GraphSAINT",
    "LayerStack",
    "LayeredModel",
    "LinkPredictor",
    "PPGNpp",
    "PairScorer",
    "PathNN",
    "PureGCN",
    "PyGModel",
    "RelationalGNN",
    "ShaDowGNN",
    "SheafDiffusion",
    "SheafNetwork",
    "registry",
]
