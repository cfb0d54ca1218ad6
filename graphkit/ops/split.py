"""The edges of one kind, as graphs of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphkit.core.caching import Caching
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern


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
    if kind.dim() != 1 or kind.numel() != graph.num_edges or kind.is_floating_point():
        raise ValueError(
            f"kinds of edges have dtype {kind.dtype} and shape {list(kind.shape)}; pass one integer for each of the "
            f"{graph.num_edges} edges"
        )
    kinds_of_edges = graph.cached("split_edges", _KindsOfEdges, kind)
    return [kinds_of_edges.select(graph, value) for value in kinds]


class _KindsOfEdges(Caching):
    """The edges of each kind; they do not refer to the pattern in whose cache they are."""

    def __init__(self, kind: Tensor) -> None:
        self.kind = kind

    def select(self, graph: SparsityPattern, value: int) -> Tensor:
        def edges() -> Tensor:
            entries = (graph.to_csr(self.kind) == value).nonzero().squeeze(1)
            return torch.stack([graph.col[entries], graph.row[entries]])

        return self.cached(value, edges)
