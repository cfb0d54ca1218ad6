"""Graphs that show the same nodes with other labels, and the states that layers give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

Histories = list[list[Any]]


@dataclass
class LabelledGraphs:
    """Graphs that differ only in the labels that they show; the first shows the right ones while training.

    Attributes:
        count: The number of graphs :math:`V`.
        graph: Makes one of them.
        rows: The nodes that are judged (``None``: all, averaged per graph or multiplied per pair).
        columns: The label features that were appended, ``[V, num_nodes, K]``; ``None`` without.
        extra: Label features for the inputs of later layers, made by number, or ``None``.
        shared: Whether all graphs read the states of the first one.
    """

    count: int
    graph: Callable[[int], Data]
    rows: Tensor | None
    columns: Tensor | None
    extra: Callable[[int], Tensor] | None = None
    shared: bool = False


class LazyHistories:
    """A list of histories that are made when asked for."""

    def __init__(self, count: int, make: Callable[[int], list[Any]]) -> None:
        self.count, self.make = count, cache(make)

    def __getitem__(self, v: int) -> list[Any]:
        if v >= self.count:
            raise IndexError(v)
        return self.make(v)
