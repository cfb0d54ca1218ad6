"""Whole training runs on Cora, which need the dataset (network, or GRAPHKIT_MIRROR), and batches of graphs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv

import graphkit as gk
from benchmarks.speed.common import Benchmark, benchmark

EPOCHS = 100
HIDDEN, LR, DECAY = 64, 0.01, 5e-4


class PyGGCN(nn.Module):
    """The two-layer GCN of PyG's examples."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = GCNConv(in_channels, HIDDEN, cached=True)
        self.conv2 = GCNConv(HIDDEN, out_channels, cached=True)

    def forward(self, data: Data) -> torch.Tensor:
        """Dropout, convolution, ReLU, dropout, convolution."""
        x = F.dropout(data.x, 0.5, self.training)
        x = F.dropout(self.conv1(x, data.edge_index).relu(), 0.5, self.training)
        return self.conv2(x, data.edge_index)


def bare_loop(model: nn.Module, data: Data, fused: bool = False) -> None:
    """Train with a validation per epoch and nothing else."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, weight_decay=DECAY, fused=fused)
    train, val = data.train_index, data.val_index
    for _ in range(EPOCHS):
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(data)[train], data.y[train]).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            (model(data)[val].argmax(1) == data.y[val]).float().mean().item()


def graphkit_run(task: gk.Task) -> None:
    """The same training by the trainer: progress bar, log file and checkpoints included."""
    model = gk.models.GCN(task.num_features, HIDDEN, out_channels=task.num_outputs, dropout=0.5)
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        gk.Trainer(max_epochs=EPOCHS, lr=LR, weight_decay=DECAY, progress=True, run_dir=run_dir).fit(model, task)


def _bare_graphkit(task: gk.Task) -> None:
    prepared = task.transform(gk.transforms.SparseFeatures())
    (data,) = prepared.batches("train")
    model = gk.models.GCN(task.num_features, HIDDEN, out_channels=task.num_outputs, dropout=0.5)
    bare_loop(model, data, fused=True)  # as the trainer's optimizer


@benchmark("gcn_cora_epochs", goal=8.0, of="GCN")
def gcn_cora_epochs() -> Benchmark:
    """100 epochs of GCN on Cora, hidden 64, validation every epoch: the whole trainer against a bare loop over PyG."""
    task = gk.load("cora")
    (data,) = task.batches("train")
    return Benchmark(
        ours=lambda: graphkit_run(task),
        opponent=lambda: bare_loop(PyGGCN(task.num_features, task.num_outputs), data),
        against="bare loop over torch_geometric.nn.GCNConv(cached=True), dense features",
        rounds=5,
    )


@benchmark("trainer_overhead", goal=1 / 1.3)
def trainer_overhead() -> Benchmark:
    """100 epochs of graphkit's GCN on Cora, hidden 64: the whole trainer against a bare loop over the same model."""
    task = gk.load("cora")
    return Benchmark(
        ours=lambda: graphkit_run(task),
        opponent=lambda: _bare_graphkit(task),
        against="bare loop over the same graphkit model",
    )


@benchmark("graph_batches")
def graph_batches() -> Benchmark:
    """An epoch of shuffled batches of 64 graphs: 900 graphs of 20 to 40 nodes with features, edge features, labels."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for _ in range(1000):
        n = int(torch.randint(20, 41, (), generator=generator))
        edges = torch.randint(n, (2, 4 * n), generator=generator)
        x, edge_attr = torch.rand(n, 16, generator=generator), torch.rand(4 * n, 4, generator=generator)
        graphs.append(Data(x=x, edge_index=edges, edge_attr=edge_attr, y=torch.randint(2, (), generator=generator)))
    ids = torch.arange(1000)
    task = gk.GraphTask("random", graphs, gk.Split("random", ids[:900], ids[900:950], ids[950:]))
    loader = DataLoader(graphs[:900], batch_size=64, shuffle=True)
    return Benchmark(
        ours=lambda: _touch(task.batches("train", 64, shuffle=True, generator=generator)),
        opponent=lambda: _touch(loader),
        against="torch_geometric.loader.DataLoader",
        rounds=15,
    )


def _touch(batches: Iterable[Data]) -> None:
    for _ in batches:
        pass
