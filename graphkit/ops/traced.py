"""The matrix of a graph while torch traces or transforms a function, in plain operations that every tracer knows.

Ordinarily a graph's pattern is looked up by identity and contents and multiplied by a sparse kernel, of which neither
``torch.compile`` and ``torch.export`` nor the transforms of ``torch.func`` know anything. To them the matrix is a list
of edges; they fuse what is done with it themselves, for graphs of any size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex


def tracing(graph: Any) -> bool:
    """Whether torch traces or transforms the calling code, and the graph is a list of edges."""
    if not torch.compiler.is_compiling() and torch._C._functorch.maybe_current_level() is None:
        return False
    return isinstance(graph, Tensor) and graph.layout == torch.strided and not isinstance(graph, EdgeIndex)


class EdgeMatrix:
    r"""A matrix as a list of entries, in the order of the edges; what a :class:`SparseMatrix` is to ordinary code.

    Args:
        source: The column of each entry.
        target: The row of each entry.
        values: The value of each entry.
        shape: The numbers of rows and of columns.
    """

    requires_grad = True  # who asks wants to know whether products may be kept; here they may not

    def __init__(self, source: Tensor, target: Tensor, values: Tensor, shape: tuple[int, int]) -> None:
        self.source, self.target, self.values, self.shape = source, target, values, shape

    @property
    def edges(self) -> tuple[Tensor, Tensor, None]:
        """The edges, their weights, and no ids: masks of edges are no matter of tracers."""
        return torch.stack([self.source, self.target]), self.values, None

    def with_values(self, values: Tensor) -> EdgeMatrix:
        """The same entries with other values."""
        return EdgeMatrix(self.source, self.target, values, self.shape)

    def matmul(self, x: Tensor) -> Tensor:
        """The sum of each row's sources, by value; dynamo knows methods, but no operators of one's own."""
        values = self.values.view(-1, *[1] * (x.dim() - 1))
        messages = values * x.index_select(0, self.source)
        return messages.new_zeros(self.shape[0], *x.shape[1:]).index_add(0, self.target, messages)


def normalized(
    graph: Tensor,
    weight: Tensor | None,
    dtype: torch.dtype,
    add_self_loops: bool,
    fill: float,
    norm: str | None,
    shape: tuple[int, int],
) -> EdgeMatrix:
    """What :func:`~graphkit.ops.gcn_norm` gives, except that a negative degree counts as 0."""
    source, target = graph[0], graph[1]
    if weight is None:
        weight = torch.ones_like(source, dtype=dtype)
    if add_self_loops:
        source, target, weight = _with_self_loops(source, target, weight, fill, shape[0])
    matrix = EdgeMatrix(source, target, weight, shape)
    if norm is None:
        return matrix
    degree = weight.new_zeros(shape[0]).index_add(0, target, weight)
    safe = degree.masked_fill(degree <= 0, torch.inf)
    if norm == "row":
        return matrix.with_values(weight / safe.index_select(0, target))
    factor = safe.rsqrt()
    return matrix.with_values(factor.index_select(0, source) * weight * factor.index_select(0, target))


def _with_self_loops(source: Tensor, target: Tensor, weight: Tensor, fill: float, size: int) -> tuple[Tensor, ...]:
    """One self-loop per node at the end, of the last one's weight where there are some, whose own weights become 0."""
    nodes, edges = torch.arange(size, device=source.device), torch.arange(source.size(0), device=source.device)
    is_loop = source == target
    last = edges.new_full((size + 1,), -1).scatter_reduce(0, torch.where(is_loop, target, size), edges, "amax")[:size]
    padded = torch.cat([weight, weight.new_full((1,), fill)])
    of_loops = padded.index_select(0, torch.where(last < 0, source.size(0), last))
    weight = torch.cat([weight.masked_fill(is_loop, 0.0), of_loops])
    return torch.cat([source, nodes]), torch.cat([target, nodes]), weight
