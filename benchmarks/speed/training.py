"""Whole training runs on Cora; needs the dataset (network, or GRAPHKIT_MIRROR)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
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


@benchmark("gcn_cora_epochs", goal=8.0)
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
