"""Features of nodes against PyG's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE

from benchmarks.speed.common import Benchmark, benchmark, extra_memory, random_graph
from graphkit.transforms.features import RandomWalkPE

STEPS = 8


def _graph(num_nodes: int) -> Data:
    edges = random_graph(num_nodes, 4 * num_nodes)
    both = torch.cat([edges, edges.flip(0)], dim=1).unique(dim=1)
    return Data(edge_index=both[:, both[0] != both[1]], num_nodes=num_nodes)


def _ours() -> Callable[[Data], torch.Tensor]:
    return lambda data: RandomWalkPE(STEPS)(data).x


def _pyg() -> Callable[[Data], torch.Tensor]:
    return lambda data: AddRandomWalkPE(STEPS, attr_name="x")(data).x


def _memory(make: Callable[[], Callable[[Data], Any]]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return lambda: make()(_graph(100)), lambda: make()(_graph(3000))


@benchmark("random_walk", goal=10.0, of="RandomWalkPE")
def random_walk() -> Benchmark:
    """Random-walk encoding, 8 steps: 3000 nodes, 24,000 edges, both directions."""
    data = _graph(3000)
    return Benchmark(
        ours=lambda: _ours()(data),
        opponent=lambda: _pyg()(data),
        against="torch_geometric.transforms.AddRandomWalkPE",
        rounds=3,
        details=lambda: {
            "ours_megabytes": extra_memory(_memory, _ours),
            "opponent_megabytes": extra_memory(_memory, _pyg),
        },
    )
