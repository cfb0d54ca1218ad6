"""``Trainer(compile=True)`` against the same training without: where it pays, and where it does not."""

from __future__ import annotations

import time

import torch
from torch_geometric.data import Data

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark


def _against_eager(task: gk.Task, model: gk.models.LayeredModel, epochs: int) -> Benchmark:
    """Trainings by compiled and by ordinary code; the first compiles, which the result tells apart."""

    def fit(compiled: bool) -> float:
        start = time.perf_counter()
        gk.Trainer(max_epochs=epochs, progress=False, compile=compiled).fit(model, task)
        return time.perf_counter() - start

    first = fit(True)
    seconds = first - fit(True)
    return Benchmark(
        ours=lambda: fit(True) and None,
        opponent=lambda: fit(False) and None,
        against="the same training without compile",
        rounds=5,
        details=lambda: {"epochs": epochs, "compile_seconds": seconds},
    )


def _chains(count: int) -> gk.Task:
    """Graphs of the sizes of small molecules."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for size in torch.randint(15, 31, (count,), generator=generator).tolist():
        chain = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
        x = torch.rand(size, 16, generator=generator)
        y = torch.randint(2, (), generator=generator)
        graphs.append(Data(x=x, edge_index=torch.cat([chain, chain.flip(0)], 1), y=y))
    parts = torch.arange(count).split([count * 8 // 10, count // 10, count // 10])
    return gk.GraphTask("chains", graphs, gk.Split("fixed", *parts))


@benchmark("compile_gcn_cora")
def compile_gcn_cora() -> Benchmark:
    """20 epochs of GCN on Cora, hidden 64, compiled: one graph, whose products are those of sparse kernels without."""
    task = gk.load("cora")
    return _against_eager(task, gk.models.GCN.from_task(task, hidden_channels=64, dropout=0.5), 20)


@benchmark("compile_gcn_molecules")
def compile_gcn_molecules() -> Benchmark:
    """5 epochs of GCN on 320 graphs of 15 to 30 nodes in batches of 32, 4 layers of 64, compiled."""
    task = _chains(400)
    return _against_eager(task, gk.models.GCN.from_task(task, hidden_channels=64, num_layers=4, readout="mean"), 5)


@benchmark("compile_gin_molecules")
def compile_gin_molecules() -> Benchmark:
    """5 epochs of GIN on 320 graphs of 15 to 30 nodes in batches of 32, 4 layers of 64, compiled."""
    task = _chains(400)
    return _against_eager(task, gk.models.GIN.from_task(task, hidden_channels=64, num_layers=4, readout="mean"), 5)


@benchmark("compile_mlp")
def compile_mlp() -> Benchmark:
    """20 epochs of a perceptron with batch norm on 2708 nodes of 100 dense features, hidden 64, compiled."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2708, 100, generator=generator), torch.randint(7, (2708,), generator=generator)
    data = Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=y)
    task = gk.NodeTask("dense", data, gk.Split("fixed", *torch.arange(2708).split([1354, 677, 677])))
    return _against_eager(task, gk.models.MLP.from_task(task, hidden_channels=64, norm="batch_norm"), 20)
