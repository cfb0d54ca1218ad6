"""Learned aggregation against PyG's.

For every element softmax takes one exponential and two sums; GNP a logarithm and, for each of its two exponents, an
exponential, a sum and a derivative of its own, all in one pass over the elements of a set, and one on the way back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.nn import LCMAggregation as PyGLCMAggregation
from torch_geometric.nn import SoftmaxAggregation

from benchmarks.speed.common import Benchmark, benchmark, extra_memory
from graphkit.nn.aggr import GNPAggregation, LCMAggregation

NODES, CHANNELS = 3000, 32


def _barabasi_albert(num_nodes: int = NODES) -> Tensor:
    """Both directions of each edge, sorted by target and then by source, as PyG's LCM needs it."""
    import networkx as nx

    edges = torch.tensor(list(nx.barabasi_albert_graph(num_nodes, 5, seed=0).edges)).t()
    both = torch.cat([edges, edges.flip(0)], dim=1)
    return both[:, (both[1] * num_nodes + both[0]).argsort()]


def _pass(aggregation: torch.nn.Module, edge_index: Tensor, num_nodes: int = NODES) -> Callable[[], None]:
    """Gather messages, aggregate and go back to features and weights."""
    x = torch.randn(num_nodes, CHANNELS, generator=torch.Generator().manual_seed(0)).requires_grad_()
    source, target = edge_index

    def run() -> None:
        aggregation(x.index_select(0, source), target, dim_size=num_nodes).square().sum().backward()

    return run


def _lcm() -> torch.nn.Module:
    return LCMAggregation(CHANNELS, CHANNELS, project=False).train()


def _pyg_lcm() -> torch.nn.Module:
    return PyGLCMAggregation(CHANNELS, CHANNELS, project=False)


@benchmark("lcm", goal=80.0, of="LCMAggregation")
def lcm() -> Benchmark:
    """LCM in training (random order), forward and backward: Barabasi-Albert, 3000 nodes, m = 5, 32 channels."""
    edge_index = _barabasi_albert()
    return Benchmark(  # results differ: PyG's depend on its padding
        ours=_pass(_lcm(), edge_index),
        opponent=_pass(_pyg_lcm(), edge_index),
        against="torch_geometric.nn.LCMAggregation",
        rounds=5,
        warmups=3,  # our first pass after PyG's gigabyte takes 40 to 60 ms, the next ones 31 to 35 ms
        details=lambda: {
            "ours_megabytes": extra_memory(_warm_and_run, _lcm),
            "opponent_megabytes": extra_memory(_warm_and_run, _pyg_lcm),
            "growth": _growth(),
        },
    )


@benchmark("gnp", goal=1.0, of="GNPAggregation")
def gnp() -> Benchmark:
    """GNP with two exponents and a linear map, forward and backward: the same graph, half of the messages zero."""
    edge_index = _barabasi_albert()
    return Benchmark(
        ours=_pass(GNPAggregation(CHANNELS, CHANNELS), edge_index),
        opponent=_pass(SoftmaxAggregation(learn=True), edge_index),
        against="torch_geometric.nn.SoftmaxAggregation(learn=True)",
        rounds=25,
    )


def _growth() -> list[dict[str, float]]:
    """Seconds of one pass over uniform random edges, from a thousand to a million of them."""
    rows = []
    for edges in (1_000, 10_000, 100_000, 1_000_000):
        nodes = edges // 10
        edge_index = torch.randint(nodes, (2, edges), generator=torch.Generator().manual_seed(0))
        run = _pass(_lcm(), edge_index, nodes)
        run()
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        rows.append({"edges": edges, "seconds": min(seconds), "microseconds_per_edge": 1e6 * min(seconds) / edges})
    return rows


def _warm_and_run(make: Callable[[], torch.nn.Module]) -> tuple[Callable[[], None], Callable[[], None]]:
    return _pass(make(), torch.zeros(2, 3, dtype=torch.long)), _pass(make(), _barabasi_albert())
