"""Hop sets: who is how far away."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from graphkit.core.constraints import Count, Interval, NonNegativeInt, checked
from graphkit.ops import sparsity_pattern

Hops = Annotated[int, Interval(1, 2**15)]


@checked
def hop_pairs(
    edge_index: Tensor, num_nodes: NonNegativeInt, max_hop: Hops, max_pairs: Count = 10**8
) -> tuple[Tensor, Tensor]:
    r"""All pairs of distinct nodes up to ``max_hop`` edges apart, and their distances.

    .. math::
        E_k = \{(j, i) : d(j, i) = k\}, \qquad 1 \le k \le K

    where :math:`d(j, i)` is the length of a shortest path from :math:`j` to :math:`i` along the edges' directions; in
    an undirected graph both directions of a pair are listed. Edge weights do not count. A batch of graphs is one graph
    with several components. Pairs are sorted by target, then by source, and counted before memory is taken for them.

    Args:
        edge_index: The edges ``[2, E]`` (sources, targets); duplicates and self-loops change nothing.
        num_nodes: The number of nodes.
        max_hop: The largest distance :math:`K`.
        max_pairs: The largest number of pairs, 9 bytes each (default: 100 million).

    Shapes:
        - **pairs:** ``[2, P]``, sources and targets, ``torch.int32``
        - **distances:** ``[P]``, ``torch.uint8`` (``torch.int16`` from ``max_hop`` 256 on)

    Raises:
        ValueError: If ``max_hop`` is not in 1..32767, or there are more than ``max_pairs`` pairs.
        TypeError, IndexError: If ``edge_index`` is not integer or names a node that does not exist.

    Cost: :math:`O(\sum_k |E_k| \cdot \bar d)` with the mean degree :math:`\bar d`.

    Example:
        >>> pairs, distance = hop_pairs(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3, max_hop=2)
        >>> pairs.tolist(), distance.tolist()
        ([[1, 2, 0, 2, 0, 1], [0, 0, 1, 1, 2, 2]], [1, 2, 1, 1, 2, 1])
    """
    from graphkit.algorithms.kernels import hops as kernels

    graph = sparsity_pattern(edge_index, num_nodes)
    rowptr, col = graph.rowptr.cpu().numpy(), graph.col.cpu().numpy()
    total, rows = kernels.count(rowptr, col, max_hop, max_pairs)
    if total > max_pairs:
        estimate = total if rows == num_nodes else total * num_nodes // rows
        raise ValueError(
            f"hop_pairs: the graph of {num_nodes} nodes has about {estimate:,} pairs up to {max_hop} hops apart, more "
            f"than max_pairs={max_pairs:,}; take a smaller max_hop or allow more pairs (9 bytes each)"
        )
    pairs = torch.empty(2, total, dtype=torch.int32)
    distance = torch.empty(total, dtype=torch.uint8 if max_hop < 2**8 else torch.int16)
    kernels.fill(rowptr, col, max_hop, pairs[0].numpy(), pairs[1].numpy(), distance.numpy())
    return pairs.to(edge_index.device), distance.to(edge_index.device)
