"""Rewirings: transforms that change which nodes are joined (public as ``gk.rewiring``)."""

from graphkit.core.deprecation import renamed_members
from graphkit.core.registry import Registry
from graphkit.transforms.rewiring.base import PairRewiring, Rewiring
from graphkit.transforms.rewiring.borf import BORF
from graphkit.transforms.rewiring.densify import Densify
from graphkit.transforms.rewiring.digl import DIGL
from graphkit.transforms.rewiring.effective_resistance import EffectiveResistance
from graphkit.transforms.rewiring.expander import Expander
from graphkit.transforms.rewiring.first_edges import FirstEdges
from graphkit.transforms.rewiring.fosr import FoSR
from graphkit.transforms.rewiring.laser import LASER
from graphkit.transforms.rewiring.random_edges import RandomEdges
from graphkit.transforms.rewiring.sdrf import SDRF
from graphkit.transforms.rewiring.virtual_node import VirtualNode

__all__ = [
    "BORF",
    "DIGL",
    "LASER",
    "SDRF",
    "Densify",
    "EffectiveResistance",
    "Expander",
    "FirstEdges",
    "FoSR",
    "PairRewiring",
    "RandomEdges",
    "Rewiring",
    "VirtualNode",
    "registry",
]

registry: Registry[Rewiring] = Registry("rewiring", Rewiring, __name__)
__getattr__ = renamed_members(globals(), {"Cut": "FirstEdges"})
