"""Tables of the user in, a table of predictions out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.tasks import RankingTask, Task
from graphkit.tasks.tables import from_graph, pandas_needed
from graphkit.transforms.base import Precompute, has_own_space


def are_tables(data: Any) -> bool:
    """Whether these are tables, their folder, a networkx graph or a list of such graphs."""
    if isinstance(data, str | Path) or _is_networkx(data):
        return True
    if not isinstance(data, Sequence) or not data:
        return False
    return all(map(_is_networkx, data)) or all(hasattr(table, "columns") for table in data)


def graphs_of(data: Any, task: Task, required: BaseTransform | None) -> tuple[list[Data], Any]:
    """The graphs, made as those of the task were; and the ids of nodes or of the ends of edges, or numbers of graphs.

    Args:
        data: The tables or graphs of networkx.
        task: The task.
        required: A transform that is applied later, as the model wants it.

    Raises:
        ValueError: If the task was made of no tables, of one graph where many are given, or of undirected edges where
            directed ones are, or the reverse.
    """
    if task.tables is None:
        raise ValueError(
            f"predict: task {task.name!r} was not made of tables, so how to read others is not known; give a PyG Data"
        )
    if isinstance(data, str | Path):
        data = task.tables.read(data, task.table_names)
    elif _is_networkx(data) or all(map(_is_networkx, data)):
        graphs = [data] if _is_networkx(data) else data
        if len(graphs) > 1 and not task.joins_graphs:
            raise ValueError(f"predict: task {task.name!r} is of nodes of one graph, whose ids name them; give one")
        for graph in graphs:
            _check_direction(graph, task)
        if task.joins_graphs:
            made = [task.tables.graph(*from_graph(graph)).data for graph in graphs]
            return [_transformed(graph, task, required) for graph in made], range(len(made))
        data = from_graph(graphs[0])
    if len(data) != len(task.table_names):
        raise ValueError(
            f"predict: a {task.kind} task is asked by {len(task.table_names)} tables, ({', '.join(task.table_names)}), "
            f"got {len(data)}"
        )
    made = task.tables.graph(*data)
    graph, names = task.named(_transformed(made.data, task, required), made)
    return [graph], names


def _check_direction(graph: Any, task: Task) -> None:
    wanted = task.tables is not None and task.tables.directed
    if graph.is_directed() != wanted:
        kinds = ("undirected", "directed")
        raise ValueError(
            f"predict: the graph is {kinds[not wanted]}, but edges of task {task.name!r} are {kinds[wanted]}; give "
            f"graph.to_{kinds[wanted]}()"
        )


def _transformed(graph: Data, task: Task, required: BaseTransform | None) -> Data:
    for transform in task.applied:
        if not (isinstance(required, Precompute) and isinstance(transform, Precompute)) or (
            transform.cache_key() != required.cache_key()
        ):
            if has_own_space(transform):
                warnings.warn(
                    f"predict: what {type(transform).__name__} makes of other tables cannot be compared with what it "
                    f"made of task {task.name!r}, so predictions mean little; train on columns that can be, such as "
                    "those of FastRP or TextEmbedding(encoder='hashing')",
                    stacklevel=4,
                )
            graph = transform(graph)
    return graph


def frame(task: Task, prediction: Tensor, ids: Any, label: Tensor | None) -> Any:
    """A pandas table of predictions in the user's words, with a row per node, graph or pair."""
    pd = pandas_needed("as_frame=True")
    if isinstance(task, RankingTask):
        return task.frame(prediction, ids, label)
    classes = task.classes
    several = None if task.tables is None or len(task.tables.label) < 2 else task.tables.label
    if ids is not None:
        prediction = prediction[: len(ids)]  # a virtual node comes last
    columns = task.target.answers(prediction, classes or several)
    if label is not None:
        rows = label.view(label.size(0), -1)
        for number, name in enumerate(several or range(rows.size(1))):
            values = rows[:, number].tolist()
            named = values if classes is None else [classes[int(v)] if v == v and v >= 0 else None for v in values]
            columns["label" if rows.size(1) == 1 else f"label({name})"] = named
    return pd.DataFrame(columns, index=ids)


def _is_networkx(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "networkx"
