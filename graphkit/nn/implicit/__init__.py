"""States that are defined by an equation instead of steps: fixed points and minimisers, with implicit gradients."""

from graphkit.nn.implicit.fixed_point import FixedPoint
from graphkit.nn.implicit.root import implicit_root

__all__ = ["FixedPoint", "implicit_root"]
