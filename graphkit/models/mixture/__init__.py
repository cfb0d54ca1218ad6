"""Models around models of the same nodes or graphs."""

from graphkit.models.mixture.mowst import Mowst, MowstStar

__all__ = ["Mowst", "MowstStar"]
