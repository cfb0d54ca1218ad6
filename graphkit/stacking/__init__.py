"""Stacking: models of tables whose predictions go along the edges of a graph (public as ``gk.stacking``)."""

from graphkit.stacking.graph_stacking import GraphStacking
from graphkit.stacking.propagation import propagate_predictions

__all__ = ["GraphStacking", "propagate_predictions"]
