"""What checks of graphs and of arguments cost, against the same without them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch_geometric.data import Data

from benchmarks.speed.common import Benchmark, benchmark, random_graph
from graphkit import models, nn
from graphkit.core.constraints import Checked
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


@benchmark("checked_arguments")
def checked_arguments() -> Benchmark:
    """Layers and models made, and called on a graph of 34 nodes: 100 times GCNConv, GCN and GIN."""
    checked = {cls: vars(cls)["__init__"] for cls in set(_subclasses(Checked)) if "__init__" in vars(cls)}
    plain = {cls: init.__wrapped__ for cls, init in checked.items() if hasattr(init, "__wrapped__")}
    x, edge_index = torch.ones(34, 16), random_graph(34, 156)

    def run(inits: dict[type, Any]) -> None:
        for cls, init in inits.items():
            cls.__init__ = init  # type: ignore[misc]
        try:
            for _ in range(100):
                nn.GCNConv(16, 16)(x, edge_index)
                for model in (models.GCN, models.GIN):
                    model(16, 16, out_channels=3)(x, edge_index)
        finally:
            for cls, init in checked.items():
                cls.__init__ = init  # type: ignore[misc]

    return Benchmark(
        ours=lambda: run(checked), opponent=lambda: run(plain), against="the same without checks of arguments"
    )


def _subclasses(cls: type) -> Iterator[type]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _graph(seed: int) -> Data:
    edge_index = random_graph(100, 400, seed)
    return Data(x=torch.ones(100, 16), edge_index=edge_index, edge_attr=torch.ones(400, 4))
