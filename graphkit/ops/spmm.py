"""Products of a graph's sparse matrix with dense features, and their sampled counterpart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from graphkit.core.validate import check_choice
from graphkit.ops.matrix import SparseMatrix, sampled
from graphkit.ops.pattern import Size, SparsityPattern, sparsity_pattern


def spmm(
    graph: Tensor | SparsityPattern | SparseMatrix,
    x: Tensor,
    weight: Tensor | None = None,
    reduce: str = "sum",
    size: Size = None,
) -> Tensor:
    r"""Aggregate source features over the edges that enter each target.

    .. math::
        y_t = \bigoplus_{e:\, s \to t} w_e \, x_s

    with :math:`\bigoplus` one of sum, mean (over the number of edges), max and min. Targets without edges give 0; equal
    extremes share their gradient evenly. Differentiable in ``x`` and ``weight``, sum and mean any number of times.

    Args:
        graph: Edges ``[2, E]`` (sources, targets), a PyG ``EdgeIndex``, a sparse tensor (rows: targets; its values are
            the weights), a :class:`SparsityPattern` or a :class:`SparseMatrix`.
        x: Source features.
        weight: One weight per edge in the order of the edges (default: all ones).
        reduce: ``"sum"``, ``"mean"``, ``"max"`` or ``"min"`` (default: ``"sum"``).
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: as many as ``x`` has rows).

    Shapes:
        - **x:** :math:`(S, *)`
        - **weight:** :math:`(E)`
        - **output:** :math:`(T, *)`

    Raises:
        ValueError: If a shape does not fit or ``reduce`` is unknown.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 2], [2, 2, 0]])
        >>> spmm(edge_index, torch.tensor([[1.0], [2.0], [3.0]]), reduce="max").tolist()
        [[3.0], [0.0], [2.0]]
    """
    check_choice(reduce, ("sum", "mean", "max", "min"), "reduce")
    return _matrix(graph, x, weight, size).matmul(x, reduce)


def sddmm(graph: Tensor | SparsityPattern, a: Tensor, b: Tensor, size: Size = None) -> Tensor:
    r"""Dot products of target and source features along the edges: :math:`e_{s \to t} = \langle a_t, b_s \rangle`.

    Args:
        graph: Edges ``[2, E]`` (sources, targets), a PyG ``EdgeIndex``, a sparse tensor (rows: targets) or a
            :class:`SparsityPattern`.
        a: Target features.
        b: Source features.
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: the rows of ``b`` and ``a``).

    Shapes:
        - **a:** :math:`(T, F)`
        - **b:** :math:`(S, F)`
        - **output:** :math:`(E)`, in the order of the edges

    Raises:
        ValueError: If a shape does not fit.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> sddmm(torch.tensor([[0, 1], [1, 1]]), a, a).tolist()
        [0.0, 4.0]
    """
    if a.dim() != 2 or b.dim() != 2 or a.size(1) != b.size(1):
        raise ValueError(
            f"sddmm needs two matrices with equally many columns, got shapes {list(a.shape)} and {list(b.shape)}"
        )
    pattern = sparsity_pattern(graph, (b.size(0), a.size(0)) if size is None and _needs_size(graph) else size)
    if pattern.shape != (a.size(0), b.size(0)):
        raise ValueError(
            f"the graph has {pattern.num_rows} targets and {pattern.num_cols} sources, but a has {a.size(0)} rows and "
            f"b has {b.size(0)}; pass one row per node"
        )
    common = torch.promote_types(a.dtype, b.dtype)
    return pattern.to_edges(sampled(pattern, a.to(common), b.to(common)))


def _matrix(
    graph: Tensor | SparsityPattern | SparseMatrix, x: Tensor, weight: Tensor | None, size: Size
) -> SparseMatrix:
    if isinstance(graph, SparseMatrix):
        if weight is not None:
            raise ValueError("a SparseMatrix carries its own values; leave weight out or build another matrix")
        return graph
    if size is None and _needs_size(graph) and x.dim() > 0:
        size = x.size(0)
    return SparseMatrix.from_edges(graph, weight, size)


def _needs_size(graph: Tensor | SparsityPattern | SparseMatrix) -> bool:
    if isinstance(graph, EdgeIndex):
        return graph.sparse_size() == (None, None)
    return isinstance(graph, Tensor) and graph.layout == torch.strided
