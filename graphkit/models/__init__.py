"""Whole networks: encode, a list of layers, decode."""

from graphkit.core.registry import Registry
from graphkit.models.adapter import PyGModel
from graphkit.models.base import LayeredModel
from graphkit.models.connection_sheaf import ConnectionSheaf
from graphkit.models.deep_sets import DeepSets
from graphkit.models.gcn import GCN
from graphkit.models.gin import GIN
from graphkit.models.grand import GRAND
from graphkit.models.mlp import MLP
from graphkit.models.mpnn import MPNN
from graphkit.models.relational import RelationalGNN
from graphkit.models.sheaf_diffusion import SheafDiffusion
from graphkit.models.stack import LayerStack

__all__ = [
    "GCN",
    "GIN",
    "GRAND",
    "MLP",
    "MPNN",
    "ConnectionSheaf",
    "DeepSets",
    "LayerStack",
    "LayeredModel",
    "PyGModel",
    "RelationalGNN",
    "SheafDiffusion",
    "registry",
]

registry: Registry[LayeredModel] = Registry("model", LayeredModel, __name__)
