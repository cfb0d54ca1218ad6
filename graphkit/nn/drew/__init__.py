"""DRew: layers that read farther nodes, and older states of them."""

from graphkit.nn.drew.base import DRewConv
from graphkit.nn.drew.gated_gcn import DRewGatedGCNConv
from graphkit.nn.drew.gcn import DRewGCNConv
from graphkit.nn.drew.gin import DRewGINConv, DRewRGINConv

__all__ = ["DRewConv", "DRewGCNConv", "DRewGINConv", "DRewGatedGCNConv", "DRewRGINConv"]
