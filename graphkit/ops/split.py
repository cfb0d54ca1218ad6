"""The edges of one kind, as graphs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from graphkit.core.caching import Caching
from graphkit.core.devices import CPU, read
from graphkit.ops.facts import positions
from graphkit.ops.indices import count
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern

_SMALL = 64  # kinds of edges that a device counts in one go


def split_edges(
    edge_index: Tensor | SparsityPattern, kind: Tensor, kinds: Sequence[int], size: Size = None
) -> list[Tensor]:
    """The edges of each kind, e.g. of each distance or bond type, sorted by target and then by source.

    The results are cached with the graph's pattern, so the next call returns the same tensors, whose own patterns are
    then known as well.

    Args:
        edge_index: All edges ``[2, E]``, or anything else that :func:`sparsity_pattern` takes.
        kind: One integer per edge, ``[E]``.
        kinds: The kinds wanted.
        size: The number of nodes (default: from the graph).

    Raises:
        ValueError: If ``kind`` is not one integer per edge.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]])
        >>> [edges.tolist() for edges in split_edges(edge_index, torch.tensor([1, 2, 1]), [1, 3])]
        [[[2, 0], [0, 1]], [[], []]]
    """
    graph = sparsity_pattern(edge_index, size)
    kinds_of_edges = graph.cached("split_edges", _KindsOfEdges, _checked(kind, graph))
    numbers = kinds_of_edges.numbers(tuple(kinds))
    return [kinds_of_edges.edges(graph, *each) for each in zip(kinds, numbers)]


def split_pattern(graph: SparsityPattern, kind: Tensor, kinds: Sequence[int]) -> list[tuple[SparsityPattern, Any]]:
    """The pattern of the edges of each kind, which remember which edges they are, and their positions.

    Args:
        graph: The pattern of all edges.
        kind: As in :func:`split_edges`.
        kinds: The kinds wanted.

    Raises:
        ValueError: If ``kind`` is not one integer per edge.
    """
    _checked(kind, graph)
    if graph.traced:
        traced = cast(Any, graph)
        return [(traced.where(kind == value), slice(None)) for value in kinds]
    kinds_of_edges = graph.cached("split_edges", _KindsOfEdges, kind)
    return [kinds_of_edges.part(graph, *each) for each in zip(kinds, kinds_of_edges.numbers(tuple(kinds)))]


def _checked(kind: Tensor, graph: SparsityPattern) -> Tensor:
    if kind.dim() != 1 or kind.numel() != graph.num_edges or kind.is_floating_point():
        raise ValueError(
            f"kinds of edges have dtype {kind.dtype} and shape {list(kind.shape)}; pass one integer for each of the "
            f"{graph.num_edges} edges"
        )
    return kind


class _KindsOfEdges(Caching):
    """The edges of each kind; they do not refer to the pattern in whose cache they are."""

    def __init__(self, kind: Tensor) -> None:
        self.kind = kind

    def numbers(self, kinds: tuple[int, ...]) -> list[int]:
        """How many edges there are of each kind, for which the host waits once: small ones are counted all together."""
        if self.kind.device != CPU and all(0 <= value < _SMALL for value in kinds):
            counts = self.cached("counts", lambda: count(self.kind.long().clamp(-1, _SMALL) + 1, _SMALL + 2).tolist())
            return [counts[value + 1] for value in kinds]
        return self.cached(("numbers", kinds), lambda: read(*((self.kind == value).sum() for value in kinds)))

    def part(self, graph: SparsityPattern, value: int, number: int) -> tuple[SparsityPattern, Tensor]:
        def select() -> tuple[SparsityPattern, Tensor]:
            ids = positions(self.kind == value, number)
            return graph.select(ids), ids

        return self.cached(value, select)

    def edges(self, graph: SparsityPattern, value: int, number: int) -> Tensor:
        part, _ = self.part(graph, value, number)
        return self.cached(("edges", value), lambda: torch.stack([part.col, part.row]))
