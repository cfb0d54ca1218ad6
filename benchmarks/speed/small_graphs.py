"""Public calls on a graph of 34 nodes, where checks and set-up cost more than arithmetic."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GCNConv
from torch_geometric.transforms import AddRandomWalkPE

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark

CALLS, EPOCHS, HIDDEN = 200, 30, 16


def many(call: Callable[[], Any]) -> Callable[[], None]:
    """Many calls, of which each is too short to be timed."""

    def run() -> None:
        for _ in range(CALLS):
            call()

    return run


def karate() -> tuple[gk.Task, Data]:
    """The karate club, as a task and as its graph."""
    task = gk.load("karate")
    (data,) = task.batches("train")
    return task, data


@benchmark("small_layer", goal=1.0)
def small_layer() -> Benchmark:
    """200 new GCN layers on the karate club, each with its first forward pass."""
    task, data = karate()
    return Benchmark(
        ours=many(lambda: gk.nn.GCNConv(task.num_features, HIDDEN)(data.x, data.edge_index)),
        opponent=many(lambda: GCNConv(task.num_features, HIDDEN)(data.x, data.edge_index)),
        against="torch_geometric.nn.GCNConv",
    )


@benchmark("small_transform")
def small_transform() -> Benchmark:
    """200 random-walk encodings of 8 steps of the karate club."""
    _, data = karate()
    ours, opponent = gk.features.RandomWalkPE(8), AddRandomWalkPE(8)
    return Benchmark(
        ours=many(lambda: ours(data)),
        opponent=many(lambda: opponent(data)),
        against="torch_geometric.transforms.AddRandomWalkPE",
    )


@benchmark("small_task")
def small_task() -> Benchmark:
    """200 node tasks of the karate club: data, labels and split are checked, target, loss and metric made."""
    task, _ = karate()
    return Benchmark(
        ours=many(lambda: gk.NodeTask("karate", task.data, task.split)),
        opponent=many(lambda: copy.copy(task.data).validate()),
        against="a copy and torch_geometric's Data.validate, without labels, split and metric",
    )


@benchmark("small_fit")
def small_fit() -> Benchmark:
    """30 epochs of a GCN on the karate club, validation every epoch: the whole trainer against a bare loop over PyG."""
    task, data = karate()
    train, val = data.train_index, data.val_index

    def ours() -> None:
        model = gk.models.GCN(task.num_features, HIDDEN, out_channels=task.num_outputs)
        gk.Trainer(max_epochs=EPOCHS, progress=False).fit(model, task)

    def opponent() -> None:
        model = GCN(task.num_features, HIDDEN, 2, task.num_outputs)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(EPOCHS):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(data.x, data.edge_index)[train], data.y[train]).backward()
            optimizer.step()
            model.eval()
            with torch.no_grad():
                (model(data.x, data.edge_index)[val].argmax(1) == data.y[val]).float().mean().item()

    return Benchmark(ours=ours, opponent=opponent, against="a bare loop over torch_geometric.nn.GCN")
