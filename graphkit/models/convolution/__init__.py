"""Message passing with one kind of layer, stacked."""

from graphkit.models.convolution.auto_gnn import AutoGNN
from graphkit.models.convolution.deeper_gcn import DeeperGCN
from graphkit.models.convolution.dgp import DGP
from graphkit.models.convolution.dir_gnn import DirGNN
from graphkit.models.convolution.drew import DRew
from graphkit.models.convolution.gat import GAT
from graphkit.models.convolution.gated_gcn import GatedGCN
from graphkit.models.convolution.gcn import GCN
from graphkit.models.convolution.gin import GIN
from graphkit.models.convolution.grafenne import GRAFENNE
from graphkit.models.convolution.heterophily_baseline import HeterophilyBaseline
from graphkit.models.convolution.meta_network import MetaNetwork
from graphkit.models.convolution.mpnn import MPNN
from graphkit.models.convolution.polynormer import Polynormer
from graphkit.models.convolution.pure_gcn import PureGCN
from graphkit.models.convolution.relational import RelationalGNN
from graphkit.models.convolution.sgc import SGC

__all__ = [
    "DGP",
    "GAT",
    "GCN",
    "GIN",
    "GRAFENNE",
    "MPNN",
    "SGC",
    "AutoGNN",
    "DRew",
    "DeeperGCN",
    "DirGNN",
    "GatedGCN",
    "HeterophilyBaseline",
    "MetaNetwork",
    "Polynormer",
    "PureGCN",
    "RelationalGNN",
]
