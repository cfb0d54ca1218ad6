"""Whole networks: encode, a list of layers, decode."""

from graphkit.core.reads import Reads
from graphkit.models.adapter import PyGModel
from graphkit.models.base import LayeredModel, registry
from graphkit.models.convolution import (
    DGP,
    GAT,
    GCN,
    GIN,
    GRAFENNE,
    MPNN,
    SGC,
    AutoGNN,
    DeeperGCN,
    DirGNN,
    DRew,
    GatedGCN,
    HeterophilyBaseline,
    MetaNetwork,
    Polynormer,
    PureGCN,
    RelationalGNN,
)
from graphkit.models.diffusion import AIR, APPNP, CDE, DAGNN, GRAND, DistributedOrderCDE, LazyGNN
from graphkit.models.expressive import KLGNN, PathNN, PPGNpp
from graphkit.models.graph_free import ADPA, DGMLP, MLP, DeepSets
from graphkit.models.implicit import EnergyGNN
from graphkit.models.links import HLGNN, NCN, NCNC, LinkPredictor, PairScorer
from graphkit.models.mixture import Mowst, MowstStar
from graphkit.models.recommend import ItemKNN, LightGCN, MatrixFactorization, NodeEmbeddings, Popularity, Sheaf4Rec
from graphkit.models.sampled import GraphSAINT, ShaDowGNN
from graphkit.models.sheaf import CSNN, BuNN, ConnectionSheaf, SheafDiffusion, SheafNetwork
from graphkit.models.stack import EdgeStack, LayerStack
from graphkit.models.temporal import JODIE, NAT, TGN, DyRep, EdgeBank, EventModel, GraphMixer, StaticEmbedding

__all__ = [
    "ADPA",
    "AIR",
    "APPNP",
    "CDE",
    "CSNN",
    "DAGNN",
    "DGMLP",
    "DGP",
    "GAT",
    "GCN",
    "GIN",
    "GRAFENNE",
    "GRAND",
    "HLGNN",
    "JODIE",
    "KLGNN",
    "MLP",
    "MPNN",
    "NAT",
    "NCN",
    "NCNC",
    "SGC",
    "TGN",
    "AutoGNN",
    "BuNN",
    "ConnectionSheaf",
    "DRew",
    "DeepSets",
    "DeeperGCN",
    "DirGNN",
    "DistributedOrderCDE",
    "DyRep",
    "EdgeBank",
    "EdgeStack",
    "EnergyGNN",
    "EventModel",
    "GatedGCN",
    "GraphMixer",
    "GraphSAINT",
    "HeterophilyBaseline",
    "ItemKNN",
    "LayerStack",
    "LayeredModel",
    "LazyGNN",
    "LightGCN",
    "LinkPredictor",
    "MatrixFactorization",
    "MetaNetwork",
    "Mowst",
    "MowstStar",
    "NodeEmbeddings",
    "PPGNpp",
    "PairScorer",
    "PathNN",
    "Polynormer",
    "Popularity",
    "PureGCN",
    "PyGModel",
    "Reads",
    "RelationalGNN",
    "ShaDowGNN",
    "Sheaf4Rec",
    "SheafDiffusion",
    "SheafNetwork",
    "StaticEmbedding",
    "registry",
]
