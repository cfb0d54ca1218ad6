"""Degree normalisation of adjacency matrices."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from graphkit.core.validate import check_choice
from graphkit.ops.adjacency import may_be_negative, weighted_pattern
from graphkit.ops.matrix import SparseMatrix
from graphkit.ops.pattern import Size, SparsityPattern


def gcn_norm(
    graph: Tensor | SparsityPattern,
    weight: Tensor | None = None,
    *,
    add_self_loops: bool = True,
    fill: float = 1.0,
    norm: str | None = "sym",
    size: Size = None,
    dtype: torch.dtype | None = None,
    full_degree: Tensor | None = None,
) -> SparseMatrix:
    r"""Normalise an adjacency matrix by its degrees.

    Kipf, Welling: `"Semi-Supervised Classification with Graph Convolutional Networks"
    <https://arxiv.org/abs/1609.02907>`_, ICLR 2017.

    .. math::
        \hat A = \tilde D^{-1/2} \tilde A \tilde D^{-1/2} \;\text{(sym)}, \qquad
        \hat A = \tilde D^{-1} \tilde A \;\text{(row)}, \qquad
        \tilde D_{tt} = \sum_s \tilde A_{ts}

    where :math:`\tilde A_{ts}` is the weight of the edge :math:`s \to t`, with self-loops of weight ``fill`` at the
    nodes that have none. Both factors of ``"sym"`` are in-degrees, and degree 0 gives factor 0. Existing self-loops
    keep their weight, and of several at a node the last one stays, as in PyG; the official code adds 1 to them.
    Differentiable in ``weight``, through the degrees too. The result for constant weights is cached with the graph's
    pattern and checked by content. While torch traces or transforms (by ``torch.compile``, ``torch.export``,
    ``torch.func``), a negative degree counts as 0.

    Args:
        graph: Edges ``[2, E]`` (sources, targets), a PyG ``EdgeIndex``, a sparse tensor whose rows are the targets (its
            values are the weights) or a :class:`SparsityPattern`.
        weight: One weight per edge (default: all ones).
        add_self_loops: Whether every node gets one self-loop (default: ``True``).
        fill: Weight of added self-loops (default: ``1.0``).
        norm: ``"sym"``, ``"row"`` or ``None`` for no scaling (default: ``"sym"``).
        size: Number of nodes (default: from the graph, else the largest id plus one).
        dtype: Dtype of the result, unless that of the weights is wider (default: theirs, or torch's default dtype).
        full_degree: In-degrees without added self-loops in the graph of which this one is a part, so that the result is
            a block of the whole graph's matrix (default: those in this graph).

    Raises:
        ValueError: If a degree is negative, ``fill`` not finite, or sources and targets differ where they must not.

    Example:
        >>> gcn_norm(torch.tensor([[0, 1], [1, 0]]), size=3).to_dense()
        tensor([[0.5000, 0.5000, 0.0000],
                [0.5000, 0.5000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """
    if norm is not None:
        check_choice(norm, ("sym", "row"), "norm")
    if not -math.inf < fill < math.inf:  # a tracer's number, too
        raise ValueError(f"gcn_norm: fill={fill}, must be finite")
    pattern, weight = weighted_pattern(graph, weight, size)
    if norm == "sym" and pattern.num_rows != pattern.num_cols:
        raise ValueError(
            f"norm='sym' needs one set of nodes, but this graph has {pattern.num_cols} sources and {pattern.num_rows} "
            "targets; use norm='row'"
        )
    given = weight
    if weight is None:
        dtype = dtype or torch.get_default_dtype()
    else:
        dtype = weight.dtype if dtype is None else torch.promote_types(weight.dtype, dtype)
        weight = weight.to(dtype)
    arguments: Any = (given, dtype, add_self_loops, fill, norm, full_degree)
    if full_degree is not None or (weight is not None and weight.requires_grad):
        return _normalized(pattern, weight, *arguments)
    key = ("gcn_norm", add_self_loops, fill, norm, dtype, weight is None)
    return pattern.cached(key, lambda copy: _normalized(pattern, copy, *arguments), weight)


def _normalized(
    pattern: SparsityPattern,
    weight: Tensor | None,
    as_given: Tensor | None,
    dtype: torch.dtype,
    add_self_loops: bool,
    fill: float,
    norm: str | None,
    full_degree: Tensor | None,
) -> SparseMatrix:
    if weight is None:
        weight = torch.ones(pattern.num_edges, dtype=dtype, device=pattern.device)
    given = matrix = SparseMatrix.from_edges(pattern, weight)
    if add_self_loops:
        matrix = SparseMatrix.from_edges(*pattern.with_self_loops(weight, fill))
    if norm is None:
        return matrix
    degree = matrix.row_sum()
    if full_degree is not None:
        degree = degree - given.row_sum() + full_degree.to(dtype)
    if not pattern.traced and (fill < 0 or _is_doubtful(as_given, full_degree)) and bool((degree < 0).any()):
        node = int((degree < 0).nonzero()[0])
        raise ValueError(
            f"gcn_norm: node {node} has the negative weighted in-degree {float(degree[node]):.6g}, which has no square "
            f"root{_lightest(given, node)}; use non-negative edge weights, or what does not divide by degrees: "
            "GCNConv(normalize=None), GIN"
        )
    positive = degree > 0
    safe = degree.masked_fill(~positive, 1.0)  # keeps infinities out of the gradient
    if norm == "row":
        return matrix.scale(left=safe.reciprocal() * positive)
    factor = safe.rsqrt() * positive
    return matrix.scale(factor, factor)


def _is_doubtful(weight: Tensor | None, full_degree: Tensor | None) -> bool:
    """Whether a degree may be negative, as far as weights tell without asking for degrees."""
    return weight is not None and (full_degree is not None or may_be_negative(weight))


def _lightest(matrix: SparseMatrix, node: int) -> str:
    """The edge that makes a degree negative, in words."""
    weights = cast(Tensor, matrix.values).masked_fill(matrix.pattern.row != node, math.inf)
    if not bool((weights < 0).any()):  # then a self-loop does
        return ""
    edge = int(weights.argmin())
    return f": its edge with node {int(matrix.pattern.col[edge])} has the weight {float(weights[edge]):.6g}"
