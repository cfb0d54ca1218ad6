"""Fast random projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.embedding.adjacency import adjacency, out_degree
from graphkit.core.constraints import Count, Finite, Interval, NonNegativeInt, Seed, checked, not_empty

Sparsity = Annotated[float, Interval(1, also=(0, "a Gaussian projection"))]


@checked
def fastrp(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    dim: Count = 128,
    weights: Annotated[Sequence[Finite], not_empty] | Count = (1.0, 1.0, 7.81, 45.28),
    beta: Finite = -0.628,
    normalization: Literal["trans", "adj"] = "trans",
    normalize: bool = True,
    sparsity: Sparsity | None = 3.0,
    ids: Tensor | None = None,
    projection: Tensor | None = None,
    seed: Seed = 0,
) -> Tensor:
    r"""FastRP: powers of the transition matrix, applied to a random projection.

    From `"Fast and Accurate Network Embeddings via Very Sparse Random Projection" <https://arxiv.org/abs/1908.11512>`_
    (Chen, Sultan, Tian, Chen, Skiena, CIKM 2019).

    .. math::
        U_1 = M D^\beta R, \qquad U_i = M U_{i-1}, \qquad U = \mathrm{standardise}\Bigl(\sum_{i=1}^q w_i U_i\Bigr)

    with the weighted adjacency matrix :math:`A` (:math:`A_{uv}` is the weight of the edge from :math:`u` to :math:`v`),
    :math:`D = \mathrm{diag}(A 1)`, :math:`M = D^{-1} A` or :math:`A`, and a random :math:`R`. A node without outgoing
    edges has a row of zeros in each :math:`U_i`. Standardised columns have mean 0 and variance 1 (biased) over all
    nodes of the graph.

    A row of :math:`R` depends on ``seed`` and the node's id alone, so embeddings of a graph that grows stay comparable;
    those of different seeds are not. The paper's very sparse projection is ``sparsity=None``, and changes with the
    number of nodes.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        edge_weight: Weights ``[num_edges]``, not negative (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        dim: The number of channels (default: 128).
        weights: The weight :math:`w_i` of each power, or the number of powers, which are then concatenated and not
            standardised (default: (1.0, 1.0, 7.81, 45.28), the authors' for BlogCatalog).
        beta: The power of degrees :math:`\beta`; below 0, hubs count less (default: -0.628).
        normalization: The matrix :math:`M`: ``"trans"`` for :math:`D^{-1} A` or ``"adj"`` for :math:`A` (default:
            ``"trans"``).
        normalize: Whether rows of each :math:`U_i` are scaled to unit length before they are added (default: ``True``).
        sparsity: One in so many entries of :math:`R` is not zero; ``None`` for :math:`\sqrt n`, 0 for a Gaussian
            :math:`R` (default: 3).
        ids: A whole number per node that its row of :math:`R` depends on (default: the number of its row).
        projection: :math:`R` itself, ``[num_nodes, dim]``, in place of one that is drawn; the result has its dtype
            (default: drawn, in single precision).
        seed: The seed of :math:`R` (default: 0).

    Shapes:
        - **output:** ``[num_nodes, dim]``, or ``[num_nodes, weights * dim]`` if powers are concatenated

    Raises:
        ValueError: If ``projection`` or ``ids`` do not have a row per node.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> fastrp(path, dim=4).shape
        torch.Size([3, 4])
    """
    from graphkit.algorithms.kernels.fastrp import power
    from graphkit.ops.kernels import by_rows

    matrix = adjacency(edge_index, edge_weight, num_nodes, "fastrp")
    n = matrix.shape[0]
    x = _drawn(n, dim, sparsity, ids, seed) if projection is None else projection.detach().cpu().contiguous()
    if x.dim() != 2 or x.size(0) != n:
        raise ValueError(f"fastrp: projection has shape {list(x.shape)}, must be [{n}, dim], a row per node")
    degree = out_degree(matrix)
    inverse = np.divide(1, degree, out=np.zeros(n), where=degree > 0)
    if normalization == "trans":
        matrix.data *= np.repeat(inverse, np.diff(matrix.indptr))
    if beta:
        x = x * torch.from_numpy(np.power(degree, beta, out=np.zeros(n), where=degree > 0)).to(x.dtype).view(-1, 1)
    structure = [torch.from_numpy(part) for part in (matrix.indptr, matrix.indices)]
    value = torch.from_numpy(matrix.data).to(x.dtype)

    joined = isinstance(weights, int)
    total, following, parts = torch.zeros_like(x), torch.empty_like(x), []
    for weight in [1.0] * weights if isinstance(weights, int) else weights:
        by_rows(power, *structure, value, x, weight, normalize, following, total)
        x, following = following, x
        if joined:
            parts.append(total)
            total = torch.zeros_like(x)
    return (torch.cat(parts, dim=1) if joined else _standardised(total)).to(edge_index.device)


def _drawn(n: int, dim: int, sparsity: float | None, ids: Tensor | None, seed: int) -> Tensor:
    from graphkit.algorithms.kernels.fastrp import projection

    names: Any = np.arange(n) if ids is None else ids.detach().cpu().numpy().astype(np.int64)
    if names.shape != (n,):
        raise ValueError(f"fastrp: ids has shape {list(names.shape)}, must be [{n}], a number per node")
    out = np.empty((n, dim), np.float32)
    projection(names, max(n, 1) ** 0.5 if sparsity is None else sparsity, seed, out)
    return torch.from_numpy(out)


def _standardised(x: Tensor) -> Tensor:
    x -= x.mean(dim=0)
    std = x.square().mean(dim=0).sqrt()
    return x.div_(std.where(std > 0, 1))
