"""What a task has and a model does not read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch_geometric.data import Data

from graphkit.core.reads import Reads, UnreadWarning, reads_of, says_something, unread
from graphkit.models.adapter import PyGModel
from graphkit.models.base import LayeredModel, registry
from graphkit.models.links import PairScorer
from graphkit.models.temporal import EventModel


def check_task(model: nn.Module, task: Any) -> None:
    """Refuse a task that lacks what a model reads, and warn of what it has and the model ignores.

    Edge weights of one say nothing, and a model without edges ignores edges and their directions on purpose.

    Args:
        model: Any module.
        task: The task as it was given, before the model's own transform.

    Raises:
        ValueError: If the model reads node features and the task has none.
    """
    for part in model.modules():
        if isinstance(part, LayeredModel):
            part.check_task(task)
    reads = reads_of(model)
    scorer = f"{type(model).__name__} with encoder " if isinstance(model, PairScorer) else ""
    while isinstance(model, PairScorer | PyGModel):
        model = model.encoder if isinstance(model, PairScorer) else model.module
    name = scorer + type(model).__name__
    for field in ("x", "edge_weight", "edge_attr"):
        if not getattr(reads, field) and any(says_something(graph, field) for graph in _graphs(task, field)):
            _warn(f"task {task.name!r} has {field}, which {name} does not read", field, type(model))
    if reads.edge_index and any("direction" in unread(reads, graph) for graph in task.graphs):
        _warn(f"task {task.name!r} has directed edges, which {name} reads in both directions", "direction", type(model))


def _graphs(task: Any, field: str) -> Iterator[Data]:
    """The graphs, and for edge weights, which some samplers give, a subgraph."""
    yield from task.graphs
    if field == "edge_weight" and task.sampler is not None:
        yield task.example


def _warn(message: str, field: str, cls: type) -> None:
    declared = getattr(cls, "reads", None)
    if isinstance(declared, Reads) and getattr(declared, field):
        message += " with these arguments"
    readers = [
        name
        for name, other in registry.classes().items()
        if getattr(other.reads, field)
        and other is not cls
        and not issubclass(other, PairScorer)
        and issubclass(other, EventModel) == issubclass(cls, EventModel)
    ]
    do = "tell them apart" if field == "direction" else "do"
    warnings.warn(f"{message}; {', '.join(sorted(readers))} {do}", UnreadWarning, stacklevel=6)
