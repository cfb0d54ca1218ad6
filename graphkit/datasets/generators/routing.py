"""Random graphs in the plane, and the task to tell how far a packet's way over a neighbour is."""

from __future__ import annotations

import heapq
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.routing import routing_features, shortest_paths
from graphkit.core.constraints import Count, Interval, Seed, checked
from graphkit.core.docstrings import arguments_of
from graphkit.datasets.generators.base import Generated, both_directions

ATTEMPTS = 1000
Positive = Annotated[float, Interval(0, closed="neither")]


@checked
def geometric(
    *,
    num_graphs: Count = 1,
    num_nodes: Annotated[int, Interval(2)] = 50,
    density: Positive = 5.0,
    family: Literal["unit-disk", "spanner"] = "unit-disk",
    stretch: Annotated[float, Interval(1)] = 1.5,
    seed: Seed = 0,
) -> Generated:
    r"""Random graphs of nodes at uniform places ``pos`` of a square, edges with their lengths as ``edge_weight``.

    A unit-disk graph joins nodes that are at most 1 apart. A spanner keeps of these edges, from the shortest to the
    longest, those whose ends would have no path of at most ``stretch`` times their length without them: so no shortest
    path of the unit-disk graph gets longer than ``stretch`` times. Graphs that are not connected are drawn again.

    Args:
        num_graphs: The number of graphs (default: 1).
        num_nodes: The number of nodes (default: 50).
        density: How many nodes there are per unit of area; neighbours are about :math:`\pi` times as many in a
            unit-disk graph (default: 5).
        family: ``"unit-disk"`` or ``"spanner"`` (default: ``"unit-disk"``).
        stretch: How many times as long a spanner lets shortest paths get, at most (default: 1.5).
        seed: The seed (default: 0).
    """
    rng = np.random.default_rng(seed)
    return Generated([_connected(num_nodes, density, family, stretch, rng) for _ in range(num_graphs)])


@checked
@arguments_of(geometric)
def routing(
    *,
    num_nodes: Annotated[int, Interval(2)] = 50,
    density: Positive = 5.0,
    family: Literal["unit-disk", "spanner"] = "unit-disk",
    stretch: Annotated[float, Interval(1)] = 1.5,
    num_pairs: Annotated[int, Interval(2)] = 500,
    num_holders: Count = 3,
    seed: Seed = 0,
) -> Generated:
    """Packets on a graph of :func:`geometric`: how far is it to the destination over each neighbour?

    Each row is a neighbour of a node that has a packet. Its features are those of
    :func:`~graphkit.algorithms.routing_features`, its label is minus the length of the way over that neighbour; there
    are no edges between rows. Packets of one graph are to train (4 of 5) and validate on, those of another to test.

    Args:
        num_pairs: How many pairs of origin and destination are drawn on each graph (default: 500).
        num_holders: How many nodes have each of these packets (default: 3).
    """
    graphs = geometric(
        num_graphs=2, num_nodes=num_nodes, density=density, family=family, stretch=stretch, seed=seed
    ).graphs
    rng = np.random.default_rng((seed, 1))
    (x, y, packet), (x_test, y_test, _) = (_candidates(graph, num_pairs, num_holders, rng) for graph in graphs)
    seen = int((packet < max(1, num_pairs * 4 // 5)).sum())
    rows = torch.arange(len(x) + len(x_test))
    data = Data(torch.cat([x, x_test]), torch.empty(2, 0, dtype=torch.long), y=torch.cat([y, y_test]))
    return Generated([data], [(rows[:seen], rows[seen : len(x)], rows[len(x) :])])


def _candidates(
    graph: Data, num_pairs: int, num_holders: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Features and labels of neighbours, and the packets that they may get, in order."""
    n, simple = graph.num_nodes, SimpleGraph.from_edges(graph.edge_index, graph.num_nodes)
    origin = rng.integers(n, size=num_pairs)
    destination = (origin + rng.integers(1, n, num_pairs)) % n
    packet = np.repeat(np.arange(num_pairs), num_holders)
    holder = (destination[packet] + rng.integers(1, n, packet.size)) % n
    degree = simple.degree[holder]
    row = np.repeat(np.arange(packet.size), degree)
    offset = np.arange(row.size) - np.repeat(np.cumsum(degree) - degree, degree)
    neighbour = simple.adjacency.indices[simple.adjacency.indptr[holder][row] + offset]
    ends = [torch.from_numpy(each.astype(np.int64)) for each in (origin[packet], destination[packet], holder)]
    start, end, node = (each[row] for each in ends)
    other = torch.from_numpy(neighbour.astype(np.int64))
    pos = graph.pos
    way = (pos[node] - pos[other]).norm(dim=1) + shortest_paths(simple, pos, end, other)
    return routing_features(pos, start, end, node, other), -way[:, None], torch.from_numpy(packet[row])


def _connected(n: int, density: float, family: str, stretch: float, rng: np.random.Generator) -> Data:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    for _ in range(ATTEMPTS):
        pos = rng.random((n, 2)) * (n / density) ** 0.5
        edges = cKDTree(pos).query_pairs(1.0, output_type="ndarray").T
        parts, _ = connected_components(coo_array((np.ones(edges.shape[1]), tuple(edges)), (n, n)), directed=False)
        if parts == 1:
            break
    else:
        raise ValueError(
            f"geometric: {ATTEMPTS} graphs of num_nodes={n} and density={density:g} were not connected; choose a "
            "larger density or fewer nodes"
        )
    edges = edges[:, np.lexsort(edges[::-1])]
    length = np.linalg.norm(pos[edges[0]] - pos[edges[1]], axis=1)
    if family == "spanner":
        keep = _spanner(n, edges, length, stretch)
        edges, length = edges[:, keep], length[keep]
    both = both_directions(torch.from_numpy(np.ascontiguousarray(edges)))
    edge_index, edge_weight = coalesce(both, torch.from_numpy(length).float().repeat(2), num_nodes=n)
    return Data(edge_index=edge_index, pos=torch.from_numpy(pos).float(), edge_weight=edge_weight, num_nodes=n)


def _spanner(n: int, edges: np.ndarray, length: np.ndarray, stretch: float) -> np.ndarray:
    """The edges that the greedy spanner keeps."""
    kept: list[dict[int, float]] = [{} for _ in range(n)]
    keep = []
    for i in np.argsort(length, kind="stable").tolist():
        u, v = edges[:, i].tolist()
        if not _within(kept, u, v, stretch * length[i]):
            kept[u][v] = kept[v][u] = length[i]
            keep.append(i)
    return np.sort(np.array(keep))


def _within(graph: list[dict[int, float]], source: int, target: int, limit: float) -> bool:
    """Whether a path of at most this length leads from one node to the other: Dijkstra's search, no further."""
    queue, done = [(0.0, source)], set()
    while queue:
        gone, node = heapq.heappop(queue)
        if node == target:
            return True
        if node not in done:
            done.add(node)
            for other, step in graph[node].items():
                if other not in done and gone + step <= limit:
                    heapq.heappush(queue, (gone + step, other))
    return False
