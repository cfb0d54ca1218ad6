"""The checks of a graph in front of a transform, against the transform alone."""

from __future__ import annotations

import copy

import torch
from torch_geometric.data import Data

from benchmarks.speed.common import Benchmark, benchmark, random_graph
from graphkit.transforms import Hops


@benchmark("gate")
def gate() -> Benchmark:
    """Pairs of nodes up to 2 hops apart: 100 graphs of 100 nodes and 400 edges with edge features."""
    graphs = [_graph(seed) for seed in range(100)]
    transform = Hops(2)
    return Benchmark(
        ours=lambda: tuple(transform(graph).hop_index for graph in graphs),
        opponent=lambda: tuple(transform.forward(copy.copy(graph)).hop_index for graph in graphs),
        against="the same without checks of the graph",
    )


def _graph(seed: int) -> Data:
    edge_index = random_graph(100, 400, seed)
    return Data(x=torch.ones(100, 16), edge_index=edge_index, edge_attr=torch.ones(400, 4))
