"""Sums at edges of what their ends have."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.ops.over_edges import at_edges
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern
from graphkit.ops.rows import row_sum
from graphkit.ops.traced import EdgeList


def edge_sum(
    graph: Tensor | SparsityPattern,
    source: Tensor,
    target: Tensor,
    edge: Tensor | None = None,
    size: Size = None,
) -> Tensor:
    r"""Add what source, target and edge have, for each edge: :math:`y_{st} = a_t + b_s + c_{st}`.

    On the CPU, in single and double precision, this is one pass, and so is each gradient. Differentiable any number of
    times.

    Args:
        graph: Edges ``[2, E]`` (sources, targets) or a :class:`SparsityPattern`.
        source: :math:`b`, one per source and channel.
        target: :math:`a`, one per target and channel.
        edge: :math:`c`, one per edge and channel, in the order of the edges (default: none).
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: as what is given has rows).

    Shapes:
        - **source:** :math:`(S, F)`
        - **target:** :math:`(T, F)`
        - **edge, output:** :math:`(E, F)`

    Raises:
        ValueError: If a shape does not fit.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [4.0]])
        >>> edge_sum(torch.tensor([[0, 1], [2, 2]]), x, x).flatten()
        tensor([5., 6.])
    """
    if size is None and isinstance(graph, Tensor):
        size = (source.size(0), target.size(0))
    pattern = sparsity_pattern(graph, size)
    check_rows("edge_sum", pattern, source=source, target=target, edge=edge)
    return (
        _EdgeSum.apply(pattern, source, target, edge)
        if has_kernels(pattern, source, target, edge)
        else _definition(pattern, source, target, edge)
    )


def check_rows(where: str, pattern: SparsityPattern, **given: Tensor | None) -> None:
    """Check that ``source``, ``target`` and ``edge`` have a row each, all as wide as ``source``.

    Raises:
        ValueError: If one has not.
    """
    wanted = {"source": pattern.num_cols, "target": pattern.num_rows, "edge": pattern.num_edges}
    width = given["source"].shape[-1]  # type: ignore[union-attr]
    for name, x in given.items():
        if x is not None and list(x.shape) != [wanted[name], width]:
            raise ValueError(
                f"{where}: {name} has shape {list(x.shape)}, but the graph has {wanted[name]} {name}s, and source "
                f"{width} channels; pass one row each"
            )


def has_kernels(pattern: SparsityPattern, *inputs: Tensor | None) -> bool:
    """Whether compiled kernels take inputs: on the CPU, all in single or all in double precision, nothing traced."""
    given = [x for x in inputs if x is not None]
    dtypes = {x.dtype for x in given}
    return not pattern.traced and given[0].device.type == "cpu" and dtypes in ({torch.float32}, {torch.float64})


def _definition(pattern: SparsityPattern, source: Tensor, target: Tensor, edge: Tensor | None) -> Tensor:
    """The sums, of what is gathered."""
    ends = pattern.to_edges(pattern.col), pattern.to_edges(pattern.row)
    return at_edges(EdgeList(*ends, pattern.num_cols, pattern.num_rows), _sum, [source], [target], [edge])


def _sum(source: Tensor, target: Tensor, edge: Tensor | None) -> Tensor:
    total = target + source
    return total if edge is None else total + edge


class _EdgeSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: SparsityPattern, source: Tensor, target: Tensor, edge: Tensor | None) -> Tensor:
        from graphkit.ops import edge_kernels as kernels

        ctx.pattern = pattern
        return kernels.edge_sum(pattern, source, target, edge)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        pattern = ctx.pattern
        if torch.is_grad_enabled():
            of_source, of_target = (row_sum(each, each.to_csr(grad)) for each in (pattern.T, pattern))
        else:
            from graphkit.ops import edge_kernels as kernels

            of_source, of_target = kernels.sums_of_edges(pattern, grad.contiguous())
        return None, of_source, of_target, grad if ctx.needs_input_grad[3] else None
