"""Sums over neighbours of rectified sums."""

from __future__ import annotations

import functools

from torch import Tensor

from graphkit.ops.edge_sum import check_rows, has_kernels
from graphkit.ops.fused import Kernels
from graphkit.ops.over_edges import sum_over_edges
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern


def relu_sum(
    graph: Tensor | SparsityPattern,
    source: Tensor,
    target: Tensor | None = None,
    edge: Tensor | None = None,
    size: Size = None,
) -> Tensor:
    r"""Sum over the edges that enter each target what is left of sums above 0.

    .. math::
        y_t = \sum_{s \to t} \mathrm{ReLU}(a_t + b_s + c_{st})

    Targets without edges give 0. On the CPU, in single and double precision, no tensor of sums per edge is made.
    Differentiable any number of times.

    Args:
        graph: Edges ``[2, E]`` (sources, targets) or a :class:`SparsityPattern`.
        source: :math:`b`, one per source and channel.
        target: :math:`a`, one per target and channel (default: none).
        edge: :math:`c`, one per edge and channel, in the order of the edges (default: none).
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: as what is given has rows).

    Shapes:
        - **source:** :math:`(S, F)`
        - **target, output:** :math:`(T, F)`
        - **edge:** :math:`(E, F)`

    Raises:
        ValueError: If a shape does not fit.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0], [-3.0], [5.0]])
        >>> relu_sum(torch.tensor([[0, 1, 2], [2, 2, 0]]), x).flatten()
        tensor([5., 0., 1.])
    """
    if size is None and isinstance(graph, Tensor):
        size = (source.size(0), source.size(0) if target is None else target.size(0))
    pattern = sparsity_pattern(graph, size)
    check_rows("relu_sum", pattern, source=source, target=target, edge=edge)
    definition = functools.partial(_definition, pattern)
    if not has_kernels(pattern, source, target, edge):
        return definition(source, target, edge)
    from graphkit.ops import relu_kernels as kernels

    forward = functools.partial(kernels.relu_sum, pattern)
    backward = functools.partial(kernels.relu_sum_backward, pattern)
    return Kernels(forward, backward, definition)(source, target, edge)


def _definition(pattern: SparsityPattern, source: Tensor, target: Tensor | None, edge: Tensor | None) -> Tensor:
    """The sums, of what is gathered."""
    return sum_over_edges(pattern, _rectified, [source], [target], [None if edge is None else pattern.to_csr(edge)])


def _rectified(source: Tensor, target: Tensor | None, edge: Tensor | None) -> Tensor:
    for part in (target, edge):
        source = source if part is None else source + part
    return source.relu()
