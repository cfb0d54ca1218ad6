"""What a trained model makes of a task, or of graphs without labels: predictions, and the states under them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphkit.models.base import required_by
from graphkit.ops import SparseMatrix
from graphkit.tasks import Task
from graphkit.tasks.checks import as_graphs, check_graphs, check_names
from graphkit.training.frames import are_tables, frame, graphs_of
from graphkit.training.lifecycle import evaluation, lent
from graphkit.training.setting_up import prepared
from graphkit.training.strategies.base import Strategy


def predict(
    strategy: Strategy, data: Any, stage: str | None, batch_size: int | None, as_frame: bool | None = None
) -> Any:
    """See :meth:`graphkit.training.Trainer.predict`."""
    task = _task(data, strategy, "predict")
    rows = data.unlabelled() if isinstance(data, Task) and stage == "unlabelled" else None
    of_part = isinstance(data, Task) and rows is None and stage is not None
    if stage not in (None, "test") and not isinstance(data, Task):
        raise ValueError(f"predict: stage={stage!r} is a part of a task, which a graph or table has not; leave it out")
    if of_part and stage is not None:
        batches, ids = task.batches(stage, batch_size), None
    else:
        graphs, ids = _graphs(data, task, strategy)
        batches, stage = _unlabelled(task, graphs, strategy, batch_size), "test"
    with evaluation(strategy.model, strategy, stage):
        parts = [task.judged(strategy.predict, batch, stage) for batch in _lent(strategy, task, batches)]
    prediction, label = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    prediction = prediction if rows is None else prediction[rows]
    if as_frame is None:
        as_frame = ids is not None
    if not as_frame:
        return (prediction, label) if of_part else prediction
    if isinstance(data, Task):
        ids = task.names(stage if of_part else None)
        if rows is not None:
            ids = rows.tolist() if ids is None else ids[rows.numpy()]
    return frame(task, prediction, ids, label if of_part else None)


def embed(strategy: Strategy, data: Any, stage: str | None, layer: int | Literal["all"], batch_size: int | None) -> Any:
    """See :meth:`graphkit.training.Trainer.embed`."""
    task = _task(data, strategy, "embed")
    if stage is not None and not isinstance(data, Task):
        raise ValueError(f"embed: stage={stage!r} is a part of a task, which a graph or table has not; leave it out")
    if isinstance(data, Task) and stage is not None and not task.judges_pairs:
        batches = task.batches(stage, batch_size)
    else:
        batches = _unlabelled(task, _without_pairs(strategy, task, data, stage or "test"), strategy, batch_size)
        stage = "test"  # of all of which something is judged
    parts = []
    with evaluation(strategy.model, strategy, stage):
        for batch in _lent(strategy, task, batches):
            rows = None if task.joins_graphs else task.target_index(batch, stage)
            chosen = _of_layer(strategy.layer_states(batch), layer)
            parts.append([_dense(h) if rows is None else _dense(h)[rows] for h in chosen])
    states = [torch.cat(part).cpu() for part in zip(*parts, strict=True)]
    return states if layer == "all" else states[0]


def _task(data: Any, strategy: Strategy, call: str) -> Task:
    """The task that is asked about, or that of the training."""
    if not isinstance(data, Task):
        return strategy.task
    if data.stands_for:
        raise ValueError(f"{call}: task {data.name!r} stands for one whose data is not here; give that, or its graphs")
    return prepared(data, strategy.model)


def _lent(strategy: Strategy, task: Task, batches: Iterable[Data]) -> Iterator[Data]:
    return lent(map(strategy.engine.to_device, batches), task.name)


def _graphs(data: Any, task: Task, strategy: Strategy) -> tuple[list[Data], Any]:
    """The graphs of a task, or those that were given, one by one; and the ids of nodes, where they have some."""
    if isinstance(data, Task):
        return data.asked(), None
    if are_tables(data):
        return graphs_of(data, task, required_by(strategy.model))
    many = hasattr(data, "__iter__") and not isinstance(data, Tensor | Mapping | nn.Module)
    if not isinstance(data, Data) and not many:
        raise TypeError(
            f"predict: data is a {type(data).__name__}, must be a task, a PyG Data, a list or loader of them, or, for "
            "a task made of tables, (nodes, edges) or the folder of both"
        )
    given = as_graphs([data] if isinstance(data, Data) else data, "predict")
    for graph in given:
        if "input_id" in graph:
            raise ValueError(
                "predict: the loader yields subgraphs around nodes of its own choice; give the whole graph, and the "
                "task's sampler draws from it"
            )
    return [part for graph in given for part in (graph.to_data_list() if isinstance(graph, Batch) else [graph])], None


def _without_pairs(strategy: Strategy, task: Task, data: Any, stage: str) -> list[Data]:
    """The graphs; of a link task with no pair to judge, and that of a stage."""
    if not task.judges_pairs:
        return _graphs(data, task, strategy)[0]
    graphs = [data.stage_graph(stage)] if isinstance(data, Task) else _graphs(data, task, strategy)[0]  # type: ignore[attr-defined]
    copies = [copy.copy(graph) for graph in graphs]
    for graph in copies:
        graph.edge_label_index = torch.empty(2, 0, dtype=torch.long)
        graph.pop("edge_label_attr", None)
    return copies


def _unlabelled(task: Task, graphs: list[Data], strategy: Strategy, batch_size: int | None) -> Iterable[Data]:
    """Graphs without labels as batches that the model of this task reads, after the transform that it wants.

    Raises:
        ValueError: If one is damaged, or has another number of features than the task.
    """
    check_graphs(graphs, "predict")
    if not task.joins_graphs:
        check_names(graphs, "predict")
    transform, known = required_by(strategy.model), task.graphs[0]
    if transform is not None and task.sampler is None:  # a sampled task applies it to its subgraphs
        graphs = [transform(graph) for graph in graphs]
    for position, graph in enumerate(graphs):
        for key in ("edge_weight", "edge_attr"):
            if (graph.get(key) is None) != (known.get(key) is None):
                has = "has no" if graph.get(key) is None else "has"
                raise ValueError(f"predict: graph {position} {has} {key}, unlike the graphs of task {task.name!r}")
        width, wanted = (0 if each.x is None else each.x.size(1) for each in (graph, known))
        if width != wanted:
            raise ValueError(
                f"predict: graph {position} has {width} features, but the model was trained on {wanted}; prepare it as "
                f"the graphs of task {task.name!r} were"
            )
    return task.loader.unlabelled(graphs, batch_size)


def _of_layer(states: list[Any], layer: int | Literal["all"]) -> list[Any]:
    if layer == "all":
        return states
    if not -len(states) <= layer < len(states):
        raise ValueError(
            f"embed: layer={layer!r}, must be in 0..{len(states) - 1} (0: before the first layer), -1 for the last, or "
            "'all'"
        )
    return [states[layer]]


def _dense(h: Tensor | SparseMatrix) -> Tensor:
    dense = h.to_dense() if isinstance(h, SparseMatrix) else h
    return dense.float() if dense.dtype in (torch.bfloat16, torch.float16) else dense
