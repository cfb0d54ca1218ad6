"""Packets of all pairs of nodes at once against one after the other."""

from __future__ import annotations

import math

import networkx as nx
import torch

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark
from graphkit.algorithms import greedy_tensile, route

NODES = 200


@benchmark("routing", goal=5.0)
def routing() -> Benchmark:
    """All packets of a unit-disk graph of 200 nodes by Greedy Tensile, and their shortest paths."""
    (data,) = gk.datasets.load_graphs("geometric", num_nodes=NODES)
    pos = data.pos.double()
    place = [tuple(row) for row in pos.tolist()]
    graph = nx.Graph()
    graph.add_weighted_edges_from((u, v, math.dist(place[u], place[v])) for u, v in data.edge_index.T.tolist())

    def with_networkx() -> tuple[torch.Tensor, torch.Tensor]:
        shortest = dict(nx.all_pairs_dijkstra_path_length(graph))
        lengths, found = [], []
        for origin in range(NODES):
            for destination in range(NODES):
                if origin != destination:
                    lengths.append(walk(origin, destination))
                    found.append(shortest[origin][destination])
        return torch.tensor(lengths), torch.tensor(found)

    def walk(origin: int, destination: int) -> float:
        whole = math.dist(place[origin], place[destination])

        def stretched(node: int) -> tuple[float, float]:
            left = math.dist(place[node], place[destination])
            return left, (math.dist(place[origin], place[node]) + left) / whole

        node, length, seen = origin, 0.0, {origin}
        while node != destination:
            here, _ = stretched(node)

            def score(other: int, here: float = here) -> float:
                there, stretch = stretched(other)
                if there < 1.020 * here + 0.567 * stretch - 0.690:
                    return -0.013 * here - 0.023 * stretch - 0.012 * there - 0.063
                return 0.025 * here - 0.002 * stretch - 0.044 * there - 0.146

            other = max(sorted(graph[node]), key=score)
            length, node = length + math.dist(place[node], place[other]), other
            if node in seen:
                return -1.0
            seen.add(node)
        return length

    def ours() -> tuple[torch.Tensor, torch.Tensor]:
        routes = route(data.edge_index, pos, greedy_tensile)
        return routes.length.nan_to_num(posinf=-1.0), routes.shortest

    return Benchmark(ours, with_networkx, "a walker on networkx", rounds=3)
