"""Means over neighbours whose weights are gates."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from graphkit.ops import backend
from graphkit.ops.edge_sum import check_rows, has_kernels
from graphkit.ops.fused import Kernels
from graphkit.ops.over_edges import sum_over_edges
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern


def gated_mean(
    graph: Tensor | SparsityPattern,
    target_logit: Tensor,
    source_logit: Tensor,
    x: Tensor,
    eps: float = 1e-6,
    size: Size = None,
) -> Tensor:
    r"""Average source features with one gate per edge and channel.

    .. math::
        y_t = \frac{\sum_{s \to t} g_{st} \odot x_s}{\sum_{s \to t} g_{st} + \epsilon}, \qquad
        g_{st} = \mathrm{sigmoid}(a_t + b_s)

    Targets without edges give 0. By the kernels for the CPU and for CUDA nothing is stored per edge: gates are computed
    once on the way forward and twice on the way back. Differentiable any number of times.

    Args:
        graph: Edges ``[2, E]`` (sources, targets) or a :class:`SparsityPattern`.
        target_logit: :math:`a`, one per target and channel.
        source_logit: :math:`b`, one per source and channel.
        x: Source features.
        eps: :math:`\epsilon` (default: 1e-6).
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: as the features have rows).

    Shapes:
        - **target_logit:** :math:`(T, F)`
        - **source_logit, x:** :math:`(S, F)`
        - **output:** :math:`(T, F)`

    Raises:
        ValueError: If a shape does not fit.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> zeros, x = torch.zeros(3, 1), torch.tensor([[1.0], [3.0], [5.0]])
        >>> gated_mean(torch.tensor([[0, 1], [2, 2]]), zeros, zeros, x).round(decimals=4)
        tensor([[0.],
                [0.],
                [2.]])
    """
    if size is None and isinstance(graph, Tensor):
        size = (x.size(0), target_logit.size(0))
    pattern = sparsity_pattern(graph, size)
    if target_logit.dim() != 2 or target_logit.size(0) != pattern.num_rows or x.size(0) != pattern.num_cols:
        raise ValueError(
            f"the graph has {pattern.num_rows} targets and {pattern.num_cols} sources, but target_logit has shape "
            f"{list(target_logit.shape)} and x {list(x.shape)}; pass one row per node"
        )
    if source_logit.shape != x.shape or target_logit.size(1) != x.size(1):
        raise ValueError(
            f"target_logit, source_logit and x have shapes {list(target_logit.shape)}, {list(source_logit.shape)} and "
            f"{list(x.shape)}; all need the same number of columns"
        )
    same = target_logit.dtype == source_logit.dtype == x.dtype
    kernels: Any = None
    if same and not pattern.traced and backend.fused(x):
        from graphkit.ops.triton import gated as kernels
    elif same and not pattern.traced and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64):
        from graphkit.ops import kernels
    definition = functools.partial(by_ends, pattern, eps)
    if kernels is None:
        return definition(target_logit, source_logit, x)
    forward = functools.partial(kernels.gated_mean, pattern, eps)
    backward = functools.partial(kernels.gated_mean_backward, pattern)
    return Kernels(forward, backward, definition)(target_logit, source_logit, x)


def edge_gated_mean(
    graph: Tensor | SparsityPattern, logit: Tensor, x: Tensor, eps: float = 1e-6, size: Size = None
) -> Tensor:
    r"""Average source features as :func:`gated_mean` does, by gates whose logits are given for each edge.

    .. math::
        y_t = \frac{\sum_{s \to t} g_{st} \odot x_s}{\sum_{s \to t} g_{st} + \epsilon}, \qquad
        g_{st} = \mathrm{sigmoid}(a_{st})

    Targets without edges give 0. By the kernels for the CPU gates are the only thing that is stored per edge.
    Differentiable any number of times.

    Args:
        graph: Edges ``[2, E]`` (sources, targets) or a :class:`SparsityPattern`.
        logit: :math:`a`, one per edge and channel, in the order of the edges.
        x: Source features.
        eps: :math:`\epsilon` (default: 1e-6).
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: as many of both as ``x`` has rows).

    Shapes:
        - **logit:** :math:`(E, F)`
        - **x:** :math:`(S, F)`
        - **output:** :math:`(T, F)`

    Raises:
        ValueError: If a shape does not fit.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> x = torch.tensor([[1.0], [3.0], [5.0]])
        >>> edge_gated_mean(torch.tensor([[0, 1], [2, 2]]), torch.zeros(2, 1), x).round(decimals=4)
        tensor([[0.],
                [0.],
                [2.]])
    """
    pattern = sparsity_pattern(graph, x.size(0) if size is None and isinstance(graph, Tensor) else size)
    check_rows("edge_gated_mean", pattern, source=x, edge=logit)
    definition = functools.partial(_by_edge, pattern, eps)
    if not has_kernels(pattern, x, logit):
        return definition(logit, x)
    from graphkit.ops import edge_kernels as kernels

    forward = functools.partial(kernels.gated_mean, pattern, eps)
    return Kernels(forward, functools.partial(kernels.gated_mean_backward, pattern), definition)(logit, x)


def by_ends(pattern: Any, eps: float, target_logit: Tensor, source_logit: Tensor, x: Tensor) -> Tensor:
    """The mean, of what is gathered."""
    return _mean(sum_over_edges(pattern, _gate_ends, [source_logit, x], [target_logit]), eps)


def _by_edge(pattern: Any, eps: float, logit: Tensor, x: Tensor) -> Tensor:
    """The mean by gates of edges, of what is gathered."""
    return _mean(sum_over_edges(pattern, _gate, [x], (), [pattern.to_csr(logit)]), eps)


def _gate_ends(source_logit: Tensor, x: Tensor, target_logit: Tensor) -> Tensor:
    return _gate(x, target_logit + source_logit)


def _gate(x: Tensor, logit: Tensor) -> Tensor:
    """What edges add to the sums of gated features and of gates."""
    gate = logit.sigmoid()
    return torch.cat([gate * x, gate], dim=1)


def _mean(sums: Tensor, eps: float) -> Tensor:
    total, gates = sums.chunk(2, dim=1)
    return total / (gates + eps)
