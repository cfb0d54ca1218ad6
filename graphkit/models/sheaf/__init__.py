"""Diffusion and convolution with a sheaf: learned, computed from features, or given."""

from graphkit.models.sheaf.bunn import BuNN
from graphkit.models.sheaf.connection_sheaf import ConnectionSheaf
from graphkit.models.sheaf.csnn import CSNN
from graphkit.models.sheaf.sheaf_diffusion import SheafDiffusion
from graphkit.models.sheaf.sheaf_network import SheafNetwork

__all__ = ["CSNN", "BuNN", "ConnectionSheaf", "SheafDiffusion", "SheafNetwork"]
