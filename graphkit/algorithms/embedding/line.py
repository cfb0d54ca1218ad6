"""LINE: large-scale information network embedding."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.embedding.adjacency import adjacency, out_degree
from graphkit.algorithms.embedding.rates import falling_rates
from graphkit.core.constraints import Count, NonNegativeInt, Positive, Seed, checked
from graphkit.core.display import progress_bar

_CHUNK = 2**18  # edges that are drawn between two steps of the bar
_SAMPLES_PER_EDGE = 100


@checked
def line(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    dim: Count = 128,
    order: Literal["first", "second", "both"] = "both",
    num_samples: Count | None = None,
    num_negative_samples: Count = 5,
    lr: Positive = 0.025,
    seed: Seed = 0,
    progress: bool | None = None,
) -> Tensor:
    r"""LINE: embeddings of nodes that predict the ends of edges.

    From `"LINE: Large-scale Information Network Embedding" <https://arxiv.org/abs/1503.03578>`_ (Tang, Qu, Wang, Zhang,
    Yan, Mei, WWW 2015). Edges :math:`(i, j)` are drawn in proportion to their weight, negative samples in proportion to
    the sum of a node's outgoing weights to the power of 3/4:

    .. math::
        \max \; \sum_{(i, j)} w_{ij} \Bigl(\log \sigma(u_i^\top c_j)
        + \sum_{k=1}^{K} \mathbb{E}_n \log \sigma(-u_i^\top c_n)\Bigr)

    For proximity of the first order :math:`c = u` (joined nodes are near each other), for the second order :math:`c`
    are vectors of their own (nodes with the same neighbours are near each other). The rows of an order have unit
    length. An undirected graph has both directions of every edge; nodes without edges keep their random start.

    Args:
        edge_index: Edges ``[2, num_edges]``.
        edge_weight: Weights ``[num_edges]``, not negative; repeated edges add up (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        dim: The number of channels; each of two orders has half of them (default: 128).
        order: ``"first"``, ``"second"`` or ``"both"``, concatenated (default: ``"both"``).
        num_samples: The number of edges drawn for each order (default: 100 for each edge).
        num_negative_samples: The number :math:`K` of negative samples (default: 5).
        lr: The first rate; it falls linearly to nearly zero (default: 0.025).
        seed: The seed (default: 0).
        progress: Show a bar (default: on a terminal).

    Shapes:
        - **output:** ``[num_nodes, dim]``, in single precision

    Raises:
        ValueError: If ``dim`` cannot be halved for two orders.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> line(path, dim=4).norm(dim=1)
        tensor([1.4142, 1.4142, 1.4142])
    """
    if order == "both" and dim % 2:
        raise ValueError(f'line: dim={dim}, must be even with order="both", whose two parts are of one width')
    matrix = adjacency(edge_index, edge_weight, num_nodes, "line")
    samples = _SAMPLES_PER_EDGE * matrix.nnz if num_samples is None else num_samples
    orders = ["first", "second"] if order == "both" else [order]
    parts = []
    with progress_bar(total=samples * len(orders), desc="line", unit=" edges", unit_scale=True, show=progress) as bar:
        for one in orders:
            part = _train(matrix, dim // len(orders), one == "second", samples, num_negative_samples, lr, seed, bar)
            parts.append(torch.nn.functional.normalize(torch.from_numpy(part)))
    return torch.cat(parts, dim=1).to(edge_index.device)


def negative_weights(matrix: Any) -> np.ndarray:
    """What the probability of each node to be a negative sample is in proportion to."""
    return out_degree(matrix) ** 0.75


def _train(
    matrix: Any, dim: int, second: bool, samples: int, num_negative_samples: int, lr: float, seed: int, bar: Any
) -> np.ndarray:
    from graphkit.algorithms.kernels import skip_gram
    from graphkit.algorithms.kernels.alias import alias_tables

    kernels: Any = skip_gram
    n = matrix.shape[0]
    embedding = np.empty((n, dim), np.float32)
    kernels.initial(embedding, 4 * seed + 2 * second)
    if not matrix.nnz:
        return embedding
    context = np.zeros_like(embedding) if second else embedding
    source = np.repeat(np.arange(n, dtype=np.int32), np.diff(matrix.indptr))
    edges = alias_tables(np.array([0, matrix.nnz]), matrix.data)
    nodes = alias_tables(np.array([0, n]), negative_weights(matrix))
    given = (source, matrix.indices, *edges, *nodes, num_negative_samples, embedding, context)
    for first in range(0, samples, _CHUNK):
        rates = falling_rates(lr, first, min(_CHUNK, samples - first), samples)
        kernels.line(*given, rates, 4 * seed + 2 * second + 1, first)
        bar.update(rates.size)
    return embedding
