"""Networks that tell more graphs apart than message passing: by subgraphs, pairs of nodes and paths."""

from graphkit.models.expressive.kl_gnn import KLGNN
from graphkit.models.expressive.path_nn import PathNN
from graphkit.models.expressive.ppgn import PPGNpp

__all__ = ["KLGNN", "PPGNpp", "PathNN"]
