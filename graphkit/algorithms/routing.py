r"""Routing by local rules: packets go from neighbour to neighbour on what these know of their place.

After "Learning from A Single Graph is All You Need for Near-Shortest Path Routing" (Chen, Lin, Arora; submitted to
ICLR 2024). A packet from :math:`O` to :math:`D` is at :math:`v`. Its next node is the neighbour :math:`u` of the best
score, by a policy of four numbers: the distance to :math:`D` and the stretch factor of :math:`v` and of :math:`u`,

.. math::
    d(v, D), \qquad s(v) = \frac{d(O, v) + d(v, D)}{d(O, D)}, \qquad d(u, D), \qquad s(u)

with distances of a straight line. The best possible score is minus the way that is left over :math:`u`,
:math:`Q^*(v, u) = -(d(v, u) + \mathrm{sp}(u, D))` with the length :math:`\mathrm{sp}` of the shortest path. A policy is
any function of these numbers ``[num, 4]``; the neighbour of the largest of its ``[num]`` or ``[num, 1]`` values is
next. So is a model that was trained on ``gk.load("routing")``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.constraints import checked
from graphkit.core.docstrings import arguments_of
from graphkit.core.validate import check_edge_index

ROWS = 1 << 16  # candidates that are scored at once: they stay in the processor's cache


@checked
def greedy_forwarding(features: Tensor) -> Tensor:
    """The policy of geographic routing: to the neighbour that is closest to the destination.

    Args:
        features: Distance to the destination and stretch factor of node and neighbour.

    Shapes:
        - **input:** ``features`` ``[num, 4]``
        - **output:** ``[num]``

    Example:
        >>> greedy_forwarding(torch.tensor([[2.0, 1.0, 1.5, 1.1]]))
        tensor([-1.5000])
    """
    return -features[:, 2]


@checked
@arguments_of(greedy_forwarding)
def greedy_tensile(features: Tensor) -> Tensor:
    """The policy that the authors' network learned, as they read it: two linear rules (their equation 4).

    Shapes as :func:`greedy_forwarding`.

    Example:
        >>> greedy_tensile(torch.tensor([[2.0, 1.0, 1.5, 1.1]]))
        tensor([-0.1323])
    """
    here, _, there, stretch = features.unbind(1)
    near = there < 1.020 * here + 0.567 * stretch - 0.690
    first = -0.013 * here - 0.023 * stretch - 0.012 * there - 0.063
    return torch.where(near, first, 0.025 * here - 0.002 * stretch - 0.044 * there - 0.146)


@checked
def routing_features(pos: Tensor, origin: Tensor, destination: Tensor, node: Tensor, neighbour: Tensor) -> Tensor:
    """What a policy knows of a node and a neighbour: distance to the destination and stretch factor of both.

    Args:
        pos: The places of nodes.
        origin: Where packets come from.
        destination: Where they go, to another place than that of their origins.
        node: Where they are.
        neighbour: Where they might go next.

    Shapes:
        - **input:** ``pos`` ``[num_nodes, dim]``, all others ``[num]``
        - **output:** ``[num, 4]``

    Example:
        >>> pos = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
        >>> routing_features(pos, *torch.tensor([[0], [1], [0], [2]]))
        tensor([[5.0000, 1.0000, 4.0000, 1.4000]])
    """
    ends = origin, destination
    return torch.stack([*_known(pos, *ends, node), *_known(pos, *ends, neighbour)], dim=1)


@dataclass(frozen=True)
class Routes:
    """The ways of packets.

    Args:
        pairs: Origins and destinations ``[2, num]``.
        length: The length of each way ``[num]``, infinite where the packet never came.
        shortest: The length of the shortest path ``[num]``, infinite where there is none.
        straight: The distance of origin and destination ``[num]``.
    """

    pairs: Tensor
    length: Tensor
    shortest: Tensor
    straight: Tensor

    @property
    def delivery(self) -> float:
        """The share of packets that came to their destinations."""
        return float(self.length.isfinite().double().mean())

    @property
    def stretch(self) -> float:
        """How many times as long as the shortest path the ways of delivered packets are, in the mean."""
        came = self.length.isfinite()
        return float((self.length[came] / self.shortest[came]).double().mean())

    def near_shortest(self, eps: float = 0.05) -> float:
        r"""The share of packets with a way of at most :math:`\zeta (1 + \varepsilon)` times the shortest path.

        :math:`\zeta`, the shortest path over the straight line, is the pair's own.

        Args:
            eps: The tolerance :math:`\\varepsilon` (default: 0.05).
        """
        allowed = self.shortest.square() / self.straight * (1 + eps)
        return float((self.length.isfinite() & (self.length <= allowed)).double().mean())


@checked
@torch.no_grad()
def route(edge_index: Tensor, pos: Tensor, policy: Callable[[Tensor], Any], pairs: Tensor | None = None) -> Routes:
    """Send a packet between each pair of nodes, all at once, by a local policy.

    A packet that comes back to a node goes in circles and is given up. Of neighbours with equal scores the one of the
    lowest id is next.

    Args:
        edge_index: The edges; directions, duplicates and self-loops do not count.
        pos: The places of nodes, each another.
        policy: Scores of neighbours by :func:`routing_features`: :func:`greedy_forwarding`, :func:`greedy_tensile`, a
            model or any other function.
        pairs: Origins and destinations (default: all ordered pairs of different nodes).

    Shapes:
        - **input:** ``edge_index`` ``[2, num_edges]``, ``pos`` ``[num_nodes, dim]``, ``pairs`` ``[2, num]``

    Raises:
        ValueError: If a pair is a node twice, two nodes of a pair have the same place, or a policy returns another
            number of scores.

    Example:
        >>> pos = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
        >>> routes = route(torch.tensor([[0, 1], [1, 2]]), pos, greedy_forwarding)
        >>> routes.delivery, routes.stretch, routes.near_shortest()
        (1.0, 1.0, 1.0)
    """
    n = pos.size(0)
    graph = SimpleGraph.from_edges(edge_index, n, where="route")
    pairs = _all_pairs(n, pos.device) if pairs is None else pairs
    check_edge_index(pairs, n, "route: pairs")
    origin, destination = pairs.long()
    straight = _norm(pos[origin].T - pos[destination].T)
    if bool((straight == 0).any()):
        raise ValueError("route: origin and destination of a pair are the same node, or at the same place")
    table = _neighbours(graph).to(pos.device)
    length = straight.new_full(straight.shape, torch.inf)
    size = max(1, ROWS // max(1, table.size(1)))
    for packets in torch.arange(length.numel(), device=pos.device).split(size):
        length[packets] = _sent(pos, table, policy, origin[packets], destination[packets])
    return Routes(pairs, length, shortest_paths(graph, pos, origin, destination), straight)


def shortest_paths(graph: SimpleGraph, pos: Tensor, origin: Tensor, destination: Tensor) -> Tensor:
    """The lengths of shortest paths between pairs of nodes, infinite where there are none."""
    from scipy.sparse.csgraph import dijkstra

    place, adjacency = pos.detach().cpu().double().numpy(), graph.adjacency.tocoo()
    lengths = np.linalg.norm(place[adjacency.row] - place[adjacency.col], axis=1)
    adjacency.data = lengths
    starts, row = np.unique(origin.cpu().numpy(), return_inverse=True)
    found = dijkstra(adjacency.tocsr(), indices=starts)[row, destination.cpu().numpy()]
    return torch.from_numpy(found).to(pos)


def _sent(pos: Tensor, table: Tensor, policy: Callable[[Tensor], Any], origin: Tensor, destination: Tensor) -> Tensor:
    """The lengths of ways; of the packets on their way one hop at a time."""
    length = pos.new_full(origin.shape, torch.inf)
    way = torch.arange(origin.numel(), device=pos.device)  # packets that are not there yet
    node, seen, gone = origin, origin, pos.new_zeros(origin.shape)
    for hop in count(1):
        if not way.numel():
            break
        next_node = _next(pos, table, policy, origin[way], destination[way], node)
        stuck = next_node < 0
        gone = gone + _norm(pos[node].T - pos[next_node].T)
        node = next_node
        there = node == destination[way]
        length[way[there]] = gone[there]
        on = ~(there | stuck | (node == seen))
        way, node, seen, gone = way[on], node[on], seen[on], gone[on]
        if hop & (hop - 1) == 0:  # Brent's: who meets a node again that it was at, at a power of two, goes in circles
            seen = node
    return length


def _next(
    pos: Tensor, table: Tensor, policy: Callable[[Tensor], Any], origin: Tensor, destination: Tensor, node: Tensor
) -> Tensor:
    """The neighbour of the best score of each packet's node; -1 of a node without any."""
    candidates = table.index_select(0, node)
    here = _known(pos, origin, destination, node)
    there = _known(pos, origin[:, None], destination[:, None], candidates)
    columns = [*(each[:, None].expand_as(candidates) for each in here), *there]
    features = torch.stack([column.reshape(-1) for column in columns]).T  # columns, which policies read, in one piece
    scores = policy(features)
    if scores.numel() != len(features):
        raise ValueError(
            f"route: the policy returned {list(scores.shape)} for features {list(features.shape)}; it needs one score "
            "per row"
        )
    scores = scores.view_as(candidates).masked_fill(candidates < 0, -torch.inf)
    return candidates.gather(1, scores.argmax(1, keepdim=True)).squeeze(1)


def _known(pos: Tensor, origin: Tensor, destination: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
    """The distance to the destination and the stretch factor of nodes."""
    start, end, place = (pos.T[:, each] for each in (origin, destination, node))
    left = _norm(place - end)
    return left, (_norm(start - place) + left) / _norm(start - end)


def _norm(difference: Tensor) -> Tensor:
    return difference.square().sum(0).sqrt()


def _neighbours(graph: SimpleGraph) -> Tensor:
    """The neighbours of each node in the order of ids, then -1."""
    adjacency, degree = graph.adjacency, graph.degree
    table = np.full((graph.num_nodes, max(1, degree.max(initial=0))), -1)
    rows = np.repeat(np.arange(graph.num_nodes), degree)
    table[rows, np.arange(rows.size) - np.repeat(adjacency.indptr[:-1], degree)] = adjacency.indices
    return torch.from_numpy(table)


def _all_pairs(num_nodes: int, device: torch.device) -> Tensor:
    origin, destination = torch.ones(num_nodes, num_nodes, device=device).fill_diagonal_(0).nonzero(as_tuple=True)
    return torch.stack([origin, destination])
