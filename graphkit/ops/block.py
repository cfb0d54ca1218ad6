"""Products with one small matrix per edge, as in sheaf diffusion."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from graphkit.ops import backend
from graphkit.ops.fused import Kernels
from graphkit.ops.pattern import Size, SparsityPattern, build_pattern, sparsity_pattern
from graphkit.ops.spmm import _needs_size, spmm


def block_spmm(graph: Tensor | SparsityPattern, blocks: Tensor, x: Tensor, size: Size = None) -> Tensor:
    r"""Aggregate source features through one linear map per edge.

    .. math::
        Y_t = \sum_{e:\, s \to t} B_e X_s, \qquad B_e \in \mathbb{R}^{d \times e},\; X_s \in \mathbb{R}^{e \times F}

    computed as one product with the sparse matrix whose blocks are the :math:`B_e`; its pattern is expanded once per
    graph and block shape (the kernel for CUDA needs none). Differentiable in ``blocks`` and ``x`` any number of times.

    Args:
        graph: Edges ``[2, E]`` (sources, targets), a PyG ``EdgeIndex``, a sparse tensor or a :class:`SparsityPattern`.
        blocks: One map per edge, in the order of the edges.
        x: Source features.
        size: Number of nodes, or ``(num_sources, num_targets)`` (default: as many as ``x`` has rows).

    Shapes:
        - **blocks:** :math:`(E, d, e)`
        - **x:** :math:`(S, e, F)`
        - **output:** :math:`(T, d, F)`

    Raises:
        ValueError: If a shape does not fit.

    Example:
        >>> swap = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
        >>> x = torch.tensor([[[1.0], [2.0]], [[0.0], [0.0]]])
        >>> block_spmm(torch.tensor([[0], [1]]), swap, x)[1].tolist()
        [[2.0], [1.0]]
    """
    if x.dim() != 3 or blocks.dim() != 3 or blocks.size(2) != x.size(1):
        raise ValueError(
            f"block_spmm needs blocks [E, d, e] and x [num_sources, e, F], got shapes {list(blocks.shape)} and "
            f"{list(x.shape)}"
        )
    pattern = sparsity_pattern(graph, x.size(0) if size is None and _needs_size(graph) else size)
    if blocks.size(0) != pattern.num_edges or x.size(0) != pattern.num_cols:
        raise ValueError(
            f"the graph has {pattern.num_edges} edges and {pattern.num_cols} sources, but there are {blocks.size(0)} "
            f"blocks and {x.size(0)} rows of x; pass one block per edge and one row per source"
        )
    definition = functools.partial(_definition, pattern)
    if pattern.traced or not backend.fused(x):
        return definition(blocks, x)
    from graphkit.ops.triton import block

    common = torch.promote_types(blocks.dtype, x.dtype)
    forward = functools.partial(block.product, pattern)
    backward = functools.partial(block.product_backward, pattern)
    return Kernels(forward, backward, definition)(blocks.to(common), x.to(common))


def _definition(pattern: SparsityPattern, blocks: Tensor, x: Tensor) -> Tensor:
    """One product with the sparse matrix whose blocks these are."""
    d, e = blocks.shape[1:]
    expanded = pattern.cached(("block", d, e), lambda: _expanded(pattern, d, e))
    out = spmm(expanded, x.reshape(-1, x.size(2)), blocks.reshape(-1))
    return out.view(pattern.num_rows, d, x.size(2))


def _expanded(pattern: SparsityPattern, d: int, e: int) -> SparsityPattern:
    source, target = pattern.edge_index()
    rows = (target * d).view(-1, 1, 1) + torch.arange(d, device=pattern.device).view(1, d, 1)
    cols = (source * e).view(-1, 1, 1) + torch.arange(e, device=pattern.device).view(1, 1, e)
    ids = cols.expand(-1, d, e).reshape(-1), rows.expand(-1, d, e).reshape(-1)
    return build_pattern(*ids, pattern.num_cols * e, pattern.num_rows * d)
