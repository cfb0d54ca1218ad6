"""What is checked before any training; each error names the value, the place and the remedy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit.core.graph_input import as_graph, as_tensor, check_edges
from graphkit.core.mapped_graph import MappedGraph
from graphkit.core.validate import all_finite, check_features
from graphkit.tasks.split import STAGES, Split

# Names that models do not read, and what might be meant by them.
_MISNAMED = {"weight": "edge_weight", "weights": "edge_weight", "edge_weights": "edge_weight"}
_OF_BATCHES = {"root_index", "pair_weight", "chunk_size"}


def as_graphs(graphs: Any, task: str) -> list[Data]:
    """The graphs of a task, as :func:`~graphkit.core.graph_input.as_graph` makes them."""
    if isinstance(graphs, Data) or not (hasattr(graphs, "__iter__") or hasattr(graphs, "__getitem__")):
        remedy = "use batch.to_data_list()" if isinstance(graphs, Batch) else "put it into one"
        raise TypeError(f"{task}: graphs is a {type(graphs).__name__}, not a list of PyG Data; {remedy}")
    graphs = list(graphs)
    graphs = [as_graph(graph, _place(task, number, graphs)) for number, graph in enumerate(graphs)]
    for key in ("x", "edge_weight", "edge_attr"):
        for number, graph in enumerate(graphs):
            if getattr(graph._store.get(key), "requires_grad", False):
                raise ValueError(
                    f"{_place(task, number, graphs)}: {key} requires a gradient, but no optimizer has it; use "
                    f"{key}.detach(), or make it a parameter of the model"
                )
    for name, meant in _MISNAMED.items() if graphs else ():
        if name in graphs[0] and meant not in graphs[0]:
            warnings.warn(f"{task}: models do not read data.{name}; call it {meant} if it is that", stacklevel=4)
    return graphs


def as_labels(y: Any, place: str, name: str = "y") -> Tensor:
    """Labels, called so, as a tensor of real numbers or truth values.

    Raises:
        TypeError: If they are strings or complex numbers.
    """
    labels = as_tensor(y, f"{place}: {name}")
    if labels.is_complex() or labels.layout != torch.strided:
        kind = labels.dtype if labels.is_complex() else labels.layout
        raise TypeError(f"{place}: {name} is {kind}, but labels are real numbers in a dense tensor")
    return labels


def check_graphs(graphs: Sequence[Data], task: str) -> None:
    """Check that graphs have nodes, sound edges, finite features if any, and the same attributes."""
    if not graphs:
        raise ValueError(f"{task} has no graphs; give at least one")
    if len(graphs) == 1 or not _all_sound(graphs):
        for number, graph in enumerate(graphs):
            _check_graph(graph, _place(task, number, graphs))
    _check_alike(graphs, task)


def check_names(graphs: Sequence[Data], task: str) -> None:
    """Refuse attributes under the names by which the batches of nodes or pairs say what is judged, and how."""
    for graph in graphs:
        for name in _OF_BATCHES & set(graph.keys()):
            raise ValueError(
                f"{task}: data.{name} has a name by which samplers tell what is judged; give it another, or delete it"
            )


def _place(task: str, number: int, graphs: Sequence[Data]) -> str:
    return task if len(graphs) == 1 else f"{task}, graph {number}"


def _check_alike(graphs: Sequence[Data], task: str) -> None:
    """A batch joins what all graphs have, in one dtype and width."""
    widths = {0 if graph.x is None else graph.x.size(1) for graph in graphs}
    if len(widths) > 1:
        raise ValueError(f"{task}: graphs differ in their number of features: {sorted(widths)}")
    first = _attributes(graphs[0])
    for number, graph in enumerate(graphs):
        own = _attributes(graph)
        if own == first:
            continue
        if odd := sorted(own.keys() ^ first.keys()):
            who = (number, 0) if odd[0] in own else (0, number)
            raise ValueError(
                f"{task}: graph {who[0]} has {odd[0]}, but graph {who[1]} has not; give it to all graphs, or to none"
            )
        odd = [key for key in own if own[key] != first[key]]
        raise ValueError(
            f"{task}: {odd[0]} of graph {number} is {_in_words(own[odd[0]])}, but {_in_words(first[odd[0]])} in graph 0"
        )


def _attributes(graph: Data) -> dict[str, Any]:
    """The attributes that a batch joins, and for those with a row per node or edge their kind."""
    return {
        key: (value.dtype, value.layout, *value.shape[1:]) if key in ("x", "edge_attr", "edge_weight", "pos") else None
        for key, value in graph.to_dict().items()
        if value is not None and key not in ("y", "num_nodes")
    }


def _in_words(kind: tuple[Any, ...]) -> str:
    dtype, layout, *width = kind
    return f"{dtype}{'' if layout == torch.strided else f' ({layout})'} of shape {['n', *width]}"


def _all_sound(graphs: Sequence[Data]) -> bool:
    """Whether many graphs pass, by a few operations on all of them at once; ``False`` may also mean unsure."""
    if any(graph.get("x") is None or graph.get("edge_index") is None for graph in graphs):
        return False
    features, edges = [graph.x for graph in graphs], [graph.edge_index for graph in graphs]
    kinds = {(x.dtype, x.layout, x.shape[1:], e.dtype, e.shape[:-1]) for x, e in zip(features, edges, strict=True)}
    dtype, layout, width, *of_edges = kinds.pop()
    if kinds or not dtype.is_floating_point or layout != torch.strided or len(width) != 1:
        return False
    if of_edges != [torch.int64, (2,)] or any(g.get("num_nodes") not in (None, g.x.size(0)) for g in graphs):
        return False
    for key in ("edge_weight", "edge_attr"):
        values = [graph.get(key) for graph in graphs]
        if any(v is not None and v.layout != torch.strided for v in values):
            return False
        if any(v is not None and v.size(0) != e.size(1) for v, e in zip(values, edges, strict=True)):
            return False
        if key == "edge_weight" and any(v is not None and (v.dim() > 1 or not v.is_floating_point()) for v in values):
            return False
        floats = [v.reshape(-1) for v in values if v is not None and v.is_floating_point()]
        if floats and not all_finite(torch.cat(floats)):
            return False
    sizes = torch.tensor([x.size(0) for x in features])
    counts = torch.tensor([e.size(1) for e in edges])
    ids = torch.cat(edges, dim=1)
    fits = bool((ids >= 0).all() and (ids < sizes.repeat_interleave(counts)).all())
    return fits and bool((sizes > 0).all()) and all_finite(torch.cat(features))


def _check_graph(graph: Data, where: str) -> None:
    if isinstance(graph, MappedGraph):  # was checked when it was written
        return
    if graph.x is None and graph.get("num_nodes") is None:
        raise ValueError(f"{where} has no node features, so its size is not known; set data.num_nodes")
    if not graph.num_nodes:
        raise ValueError(f"{where} is empty (0 nodes); leave it out")
    if graph.x is not None:
        check_features(graph.x, where, graph.num_nodes)
    check_edges(graph, where)


def check_split(split: Split, count: int, kind: str, task: str, given: int | None = None) -> None:
    """Check that the split names nothing beyond ``count`` nodes or graphs, ``given`` of them before any transform."""
    if not isinstance(split, Split):
        raise TypeError(
            f"{task}: split is a {type(split).__name__}; {kind} tasks need a gk.Split, by ids or .from_masks"
        )
    if split.num_examples not in (None, count, given):
        raise ValueError(
            f"{task}: split {split.name!r} is of {split.num_examples} {kind}s, but there are {count}; "
            f"give masks of the same {kind}s"
        )
    largest = max(int(getattr(split, stage).max()) for stage in STAGES)
    if largest >= count:
        raise ValueError(f"{task}: split {split.name!r} names {kind} {largest}, but there are {count} labelled {kind}s")
