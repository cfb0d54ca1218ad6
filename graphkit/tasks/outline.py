"""What predictions need of a task, as plain values; and a task without data that stands in its place."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit import metrics
from graphkit.core.attributes import attributes_of
from graphkit.core.building import UntoldError, import_class, import_path, rebuilt, told
from graphkit.samplers import Sampler
from graphkit.tasks.base import Task
from graphkit.tasks.edge import EdgeTask
from graphkit.tasks.event import EventTask
from graphkit.tasks.graph import GraphTask
from graphkit.tasks.link import LinkTask
from graphkit.tasks.link_split import LinkSplit
from graphkit.tasks.loaders.pairs import PAIRS
from graphkit.tasks.node import NodeTask
from graphkit.tasks.ranking import RankingTask
from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.tables import Tables
from graphkit.tasks.targets import Target

_NODES = 12  # of a graph that stands for others: a ring
_LEFT_OUT = {"y", *PAIRS, *(f"{stage}_mask" for stage in STAGES)}
_KINDS: dict[str, type[Task]] = {cls.kind: cls for cls in (NodeTask, EdgeTask, GraphTask, LinkTask, RankingTask)}


def outline(task: Task) -> dict[str, Any]:
    """The kind of a task, its target, and the attributes of its graphs by dtype and width: no value of its data.

    Raises:
        UntoldError: If the task, its target or its sampler is of a class that does not tell how it is built.
    """
    if isinstance(task, EventTask):
        raise UntoldError("answers depend on all events so far, which no folder holds")
    if type(task) is not _KINDS.get(task.kind):
        raise UntoldError(f"{type(task).__name__} is a kind of task of your own")
    graph, place = task.graphs[0], f"task {task.name!r}"
    try:
        columns = {kind: attributes_of(kind, graph, place) for kind in ("node", "edge")}
    except ValueError as error:
        raise UntoldError(str(error)) from error
    labels = getattr(task, "labels", None)
    return {
        "kind": task.kind,
        "name": task.name,
        "description": task.describe(),
        "target": import_path(type(task.target)),
        "metric": task.metric,
        "num_outputs": task.num_outputs,
        "num_classes": task.num_classes,
        "labels": None if labels is None else _column(labels),
        "node": {key: _column(graph[key]) for key in columns["node"] if key not in _LEFT_OUT},
        "edge": {key: _column(graph[key]) for key in columns["edge"] if key not in _LEFT_OUT},
        "undirected": getattr(task, "undirected", None),
        "tables": None if task.tables is None else task.tables.config(),
        "applied": [] if task.tables is None else [told(transform) for transform in task.applied],
        "sampler": None if task.sampler is None else told(task.sampler),
        "transforms": [told(transform) for transform in task.loader.transforms],
    }


def stand_in(described: Mapping[str, Any]) -> Task:
    """A task of the same kind, with a small ring of made-up values in place of the graphs.

    It answers what a model, a strategy or the prediction of a new graph asks of a task; there is nothing to train on.

    Raises:
        UntoldError: If the description names a class that is not there.
    """
    place = f"task {described['name']!r}"
    target = import_class(described["target"], Target, place)()
    metric = described["metric"] if described["metric"] in metrics.registry.classes() else None
    graph = _ring(described)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels that are all alike
        task = _MAKERS[described["kind"]](described, graph, target, metric)
        if described["sampler"] is not None:
            task = task.sampled(rebuilt(described["sampler"], Sampler, place))
        for transform in described["transforms"]:
            task = task.transform(rebuilt(transform, BaseTransform, place))
    task.target.num_outputs, task.target.num_classes = described["num_outputs"], described["num_classes"]
    task.stands_for = described["description"]
    task.applied = tuple(rebuilt(transform, BaseTransform, place) for transform in described["applied"])
    task.tables = None if described["tables"] is None else Tables.from_config(described["tables"])
    return task


def _column(value: Tensor) -> dict[str, Any]:
    """The dtype, layout and width of an attribute, and whether it holds numbers that are no codes."""
    whole = not value.is_floating_point() or (value.layout == torch.strided and bool((value == value.round()).all()))
    names = {"dtype": str(value.dtype), "layout": str(value.layout)}
    return {key: name.removeprefix("torch.") for key, name in names.items()} | {
        "width": list(value.shape[1:]),
        "whole": whole,
    }


def _made_up(column: Mapping[str, Any], rows: int) -> Tensor:
    """Noise, or code 0, which every column of codes has; truth values are true."""
    shape, dtype = [rows, *column["width"]], getattr(torch, column["dtype"])
    if dtype == torch.bool:
        return torch.ones(shape, dtype=dtype)
    made = torch.zeros(shape) if column["whole"] else torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return made.to_sparse_csr().to(dtype) if column["layout"] == "sparse_csr" else made.to(dtype)


def _ring(described: Mapping[str, Any]) -> Data:
    nodes = torch.arange(_NODES)
    there = torch.stack([nodes, nodes.roll(-1)])
    data = Data(edge_index=torch.cat([there, there.flip(0)], dim=1), num_nodes=_NODES)
    for kind, rows in (("node", _NODES), ("edge", 2 * _NODES)):
        for key, column in described[kind].items():
            data[key] = _made_up(column, rows).abs() if key == "edge_weight" else _made_up(column, rows)
    return data


def _labels(described: Mapping[str, Any], rows: int) -> Tensor:
    return _made_up(described["labels"] | {"whole": True, "layout": "strided"}, rows)


def _parts(count: int) -> Split:
    train, val, test = torch.arange(count).tensor_split(3)
    return Split("none", train, val, test)


def _options(described: Mapping[str, Any]) -> dict[str, Any]:
    return {"num_outputs": described["num_outputs"], "allow_missing_classes": True}


def _node_task(described: Mapping[str, Any], graph: Data, target: Target, metric: str | None) -> Task:
    graph.y = _labels(described, _NODES)
    return NodeTask(described["name"], graph, _parts(_NODES), target, metric, **_options(described))


def _edge_task(described: Mapping[str, Any], graph: Data, target: Target, metric: str | None) -> Task:
    graph.edge_label = _labels(described, graph.num_edges)
    return EdgeTask(
        described["name"],
        graph,
        Split.random_edges(graph.edge_index),
        target,
        metric,
        **_options(described),
        undirected=described["undirected"],
    )


def _graph_task(described: Mapping[str, Any], graph: Data, target: Target, metric: str | None) -> Task:
    graph.y = _labels(described, 1 if graph.get("readout_mask") is None else _NODES)
    return GraphTask(described["name"], [graph] * 3, _parts(3), target, metric, **_options(described))


def _link_task(described: Mapping[str, Any], graph: Data, target: Target, metric: str | None) -> Task:
    train, val, test = graph.edge_index[:, :_NODES].tensor_split(3, dim=1)
    none = [torch.stack([part[0], (part[0] + 2) % _NODES]).unsqueeze(2) for part in (val, test)]
    split = LinkSplit("none", train, val, test, val_negatives=none[0], test_negatives=none[1])
    return LinkTask(described["name"], graph, split, metric or "roc_auc")


def _ranking_task(described: Mapping[str, Any], graph: Data, target: Target, metric: str | None) -> Task:
    users = _NODES // 2
    graph.node_type = (torch.arange(_NODES) >= users).long()
    graph.edge_index = torch.cartesian_prod(torch.arange(users), torch.arange(users, _NODES - 1)).t()
    for key in described["edge"]:
        del graph[key]
    train, val, test = (torch.arange(part, graph.num_edges, 3) for part in range(3))
    return RankingTask(described["name"], graph, Split("none", train, val, test), metric or "ndcg@10")


_MAKERS = {"node": _node_task, "edge": _edge_task, "graph": _graph_task, "link": _link_task, "ranking": _ranking_task}
