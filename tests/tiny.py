"""Tiny tasks of every kind that train in milliseconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv

from graphkit import EdgeTask, GraphTask, LinkSplit, LinkTask, NodeTask, RankingTask, Split, Task
from graphkit.models import LayerStack
from graphkit.samplers import NeighborSampler


def graph(num_nodes: int = 24, num_edges: int = 40, num_features: int = 6, seed: int = 0) -> Data:
    generator = torch.Generator().manual_seed(seed)
    source, target = torch.randint(num_nodes, (2, num_edges), generator=generator)
    edge_index = torch.stack([torch.cat([source, target]), torch.cat([target, source])])
    return Data(x=torch.randn(num_nodes, num_features, generator=generator), edge_index=edge_index)


def crowded_edges(num_sources: int, num_targets: int, num_edges: int, hub: int) -> torch.Tensor:
    """Edges of which the first ``hub`` lead to target 4, some of them parallel; the last ids have none."""
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(num_sources, (num_edges,), generator=generator)
    target = torch.randint(num_targets, (num_edges,), generator=generator)
    target[:hub] = 4
    source[:3] = 2
    return torch.stack([source, target])


def split(n: int) -> Split:
    """Every class of labels that alternate is in every part."""
    ids = torch.arange(n)
    return Split("tiny", ids[: n // 2], ids[n // 2 : 3 * n // 4], ids[3 * n // 4 :])


def node_task(target: str = "multiclass", metric: str | None = None, seed: int = 0) -> NodeTask:
    data = graph(seed=seed)
    data.y = _labels(data.x, target)
    return NodeTask(f"tiny node {target}", data, split(data.num_nodes), target, metric)


def sampled_task(target: str = "multiclass") -> Task:
    return node_task(target).sampled(NeighborSampler([3, 3]))


def graph_task(target: str = "multiclass", metric: str | None = None) -> GraphTask:
    graphs = [graph(3 + i % 5, 6, seed=i) for i in range(24)]
    labels = _labels(torch.stack([g.x.mean(0) for g in graphs]), target)
    for position, g in enumerate(graphs):
        g.y = labels[position : position + 1]
    return GraphTask(f"tiny graph {target}", graphs, split(len(graphs)), target, metric)


def edge_task(target: str = "multiclass", metric: str | None = None) -> EdgeTask:
    data = graph()
    data.edge_label = _labels(data.x, target)[data.edge_index.sum(0) % 24]
    data.edge_attr = data.edge_index.sum(0).view(-1, 1) / 24
    split = Split.random_edges(
        data.edge_index, 0.25, 0.25, stratify=data.edge_label if target == "multiclass" else None
    )
    return EdgeTask(f"tiny edge {target}", data, split, target, metric)


def link_task(target: str = "link", metric: str = "roc_auc") -> LinkTask:
    data = graph()
    return LinkTask("tiny link", data, LinkSplit.random(data.edge_index, data.num_nodes, 0.2, 0.2), metric)


def ranking_task(target: str = "ranking", metric: str = "ndcg@3") -> RankingTask:
    """Twelve users who have seven of twelve items each, with features."""
    users, steps = torch.arange(12).repeat_interleave(7), torch.arange(7).repeat(12)
    edge_index = torch.stack([users, 12 + (users + steps) % 12])
    x = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
    data = Data(x=x, edge_index=edge_index, node_type=torch.tensor([0, 1]).repeat_interleave(12))
    return RankingTask("tiny ranking", data, Split.random(84), metric)


def _labels(x: Tensor, target: str) -> Tensor:
    number = torch.arange(x.size(0))
    if target == "multiclass":
        return number % 3
    if target == "binary":
        return number % 2
    if target == "multilabel":
        labels = torch.stack([number % 2, number // 2 % 2], dim=1).float()
        labels[1, 0] = float("nan")
        return labels
    return x[:, :1] - x[:, 1:2]


class PyGStack(LayerStack):
    """A stack of PyG's layers."""

    def propagate(self, layer: nn.Module, h: Any, batch: Data) -> Tensor:
        return layer(h, batch.edge_index)

    def required_transform(self) -> None:
        return None


class SAGEStack(PyGStack):
    """A stack of PyG's ``SAGEConv``."""

    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return SAGEConv(in_channels, out_channels)


TASKS: dict[str, tuple] = {
    "node multiclass": (node_task, "multiclass"),
    "node binary": (node_task, "binary"),
    "node regression": (node_task, "regression"),
    "node sampled multiclass": (sampled_task, "multiclass"),
    "graph multiclass": (graph_task, "multiclass"),
    "graph multilabel": (graph_task, "multilabel"),
    "graph regression": (graph_task, "regression"),
    "link": (link_task, "link"),
    "edge multiclass": (edge_task, "multiclass"),
    "ranking": (ranking_task, "ranking"),
}


def task(name: str) -> Task:
    make, target = TASKS[name]
    return make(target)


def with_random_weights(model):
    """The model in double precision, for evaluation, with weights that hide nothing by being zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model.double().eval()
