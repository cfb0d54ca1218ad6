"""NetMF: what DeepWalk factorises, factorised."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.embedding.adjacency import adjacency, out_degree
from graphkit.core.constraints import Count, NonNegativeInt, Seed, checked
from graphkit.core.signatures import takes_arguments_of

MOST_NODES = 20_000  # a dense matrix of single precision takes 1.6 GB
EXACT_NODES = 2000  # the factors of a larger matrix are found by random projection
_BLOCK = 256  # columns at a time


@checked
def netmf_matrix(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    window: Count = 10,
    num_negative_samples: Count = 1,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    r"""The matrix whose logarithm DeepWalk's vectors factorise in the limit of long walks.

    .. math::
        M = \frac{\mathrm{vol}}{b T} \Bigl(\sum_{r=1}^{T} (D^{-1} A)^r\Bigr) D^{-1}

    of an undirected graph with weights :math:`A`, degrees :math:`D` and their sum :math:`\mathrm{vol}`; of a directed
    one, :math:`(A + A^\top) / 2` is taken for :math:`A`. Rows and columns of isolated nodes are zero.

    Args:
        edge_index: Edges ``[2, num_edges]``; directions do not count.
        edge_weight: Weights ``[num_edges]``, not negative; repeated edges add up (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        window: The window's size :math:`T` (default: 10).
        num_negative_samples: The number :math:`b` of negative samples (default: 1).
        dtype: The dtype of the result (default: single precision).

    Shapes:
        - **output:** ``[num_nodes, num_nodes]``

    Raises:
        ValueError: If the graph has more than 20,000 nodes.

    Example:
        >>> netmf_matrix(torch.tensor([[0, 1], [1, 0]]), window=1)
        tensor([[0., 2.],
                [2., 0.]])
    """
    from graphkit.algorithms.kernels.fastrp import power
    from graphkit.ops.kernels import by_rows

    matrix = adjacency(edge_index, edge_weight, num_nodes, "netmf")
    n = matrix.shape[0]
    if n > MOST_NODES:
        raise ValueError(f"netmf: the graph has {n} nodes, must have at most {MOST_NODES}: a dense matrix is made")
    matrix = (matrix + matrix.T) / 2
    degree = out_degree(matrix)
    inverse = np.divide(1, degree, out=np.zeros(n), where=degree > 0)
    value = torch.from_numpy(matrix.data * np.repeat(inverse, np.diff(matrix.indptr))).to(dtype)
    structure = [torch.from_numpy(part) for part in (matrix.indptr, matrix.indices)]
    share = degree.sum() / (num_negative_samples * window)
    out = torch.empty(n, n, dtype=dtype)
    for begin in range(0, n, _BLOCK):
        block = slice(begin, min(begin + _BLOCK, n))
        x = torch.zeros(n, block.stop - begin, dtype=dtype)
        x[block] = torch.from_numpy(np.diag(inverse[block]))
        following, total = torch.empty_like(x), torch.zeros_like(x)
        for _ in range(window):
            by_rows(power, *structure, value, x, share, False, following, total)
            x, following = following, x
        out[block] = total.T  # the matrix is symmetric
    return out.to(edge_index.device)


@checked
@takes_arguments_of(netmf_matrix, without=("dtype",))
def netmf(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    dim: Count = 128,
    *,
    seed: Seed = 0,
    **of_matrix: Any,
) -> Tensor:
    r"""NetMF: the singular vectors of the matrix that DeepWalk factorises.

    From `"Network Embedding as Matrix Factorization: Unifying DeepWalk, LINE, PTE, and node2vec"
    <https://arxiv.org/abs/1710.02971>`_ (Qiu, Dong, Ma, Li, Wang, Tang, WSDM 2018).

    .. math::
        U_d \Sigma_d^{1/2}, \qquad U \Sigma V^\top = \log \max(1, M)

    with :math:`M` of :func:`netmf_matrix`. The largest singular values come first, each column with the sign that makes
    its entry of largest size positive; a graph of fewer nodes than ``dim`` has zeros in the rest.

    Args:
        dim: The number :math:`d` of channels (default: 128).
        seed: The seed of the random projection from which singular vectors are found (default: 0).

    Shapes:
        - **output:** ``[num_nodes, dim]``, in single precision

    Raises:
        ValueError: If the graph has more than 20,000 nodes.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> netmf(path, dim=1, window=1).abs().round(decimals=1)
        tensor([[0.7000],
                [0.0000],
                [0.7000]])
    """
    matrix = netmf_matrix(edge_index.cpu(), edge_weight, num_nodes, **of_matrix)
    return torch.from_numpy(_factor(matrix.clamp_(min=1).log_().numpy(), dim, seed)).to(edge_index.device)


def _factor(matrix: np.ndarray, dim: int, seed: int) -> np.ndarray:
    n = len(matrix)
    if n <= EXACT_NODES:
        left, size, _ = np.linalg.svd(matrix)
    else:
        from sklearn.utils.extmath import randomized_svd

        left, size, _ = randomized_svd(matrix, dim, n_iter=4, random_state=seed)
    left = left[:, :dim] * np.sqrt(size[:dim])
    largest = np.take_along_axis(left, np.abs(left).argmax(axis=0, keepdims=True), axis=0) if n else 1
    out = np.zeros((n, dim), np.float32)
    out[:, : left.shape[1]] = np.where(largest < 0, -left, left)
    return out
