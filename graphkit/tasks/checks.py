"""What is checked before any training; each error names the value, the place and the remedy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch_geometric.data import Data

from graphkit.core.validate import check_edge_index, check_features
from graphkit.tasks.split import STAGES, Split


def check_graphs(graphs: Sequence[Data], task: str) -> None:
    """Check that every graph has nodes, sound edges and, where there are features, finite ones."""
    if not graphs:
        raise ValueError(f"{task} has no graphs; give at least one")
    if len(graphs) == 1 or not _all_sound(graphs):
        for position, graph in enumerate(graphs):
            _check_graph(graph, task if len(graphs) == 1 else f"{task}, graph {position}")
    widths = {0 if graph.x is None else graph.x.size(1) for graph in graphs}
    if len(widths) > 1:
        raise ValueError(f"{task}: graphs differ in their number of features: {sorted(widths)}")


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
        if any(v is not None and v.size(0) != e.size(1) for v, e in zip(values, edges, strict=True)):
            return False
        floats = [v.reshape(-1) for v in values if v is not None and v.is_floating_point()]
        if floats and not torch.isfinite(torch.cat(floats)).all():
            return False
    sizes = torch.tensor([x.size(0) for x in features])
    counts = torch.tensor([e.size(1) for e in edges])
    ids = torch.cat(edges, dim=1)
    fits = bool((ids >= 0).all() and (ids < sizes.repeat_interleave(counts)).all())
    return fits and bool((sizes > 0).all()) and bool(torch.isfinite(torch.cat(features)).all())


def _check_graph(graph: Data, where: str) -> None:
    if graph.x is None and graph.get("num_nodes") is None:
        raise ValueError(f"{where} has no node features, so its size is not known; set data.num_nodes")
    if not graph.num_nodes:
        raise ValueError(f"{where} is empty (0 nodes); leave it out")
    if graph.x is not None:
        check_features(graph.x, where, graph.num_nodes)
    if graph.edge_index is None:
        raise ValueError(f"{where} has no edge_index; a graph without edges has torch.empty(2, 0, dtype=torch.long)")
    check_edge_index(graph.edge_index, graph.num_nodes, where)
    for key in ("edge_weight", "edge_attr"):
        value = graph.get(key)
        if value is None:
            continue
        if value.size(0) != graph.num_edges:
            raise ValueError(f"{where}: {key} has {value.size(0)} rows for {graph.num_edges} edges")
        if value.is_floating_point() and not torch.isfinite(value).all():
            edge = int((~torch.isfinite(value.view(value.size(0), -1))).any(1).nonzero()[0, 0])
            raise ValueError(f"{where}: {key} of edge {edge} is not finite")


def check_split(split: Split, count: int, kind: str, task: str) -> None:
    """Check that the split names nothing beyond ``count`` nodes or graphs."""
    largest = max(int(getattr(split, stage).max()) for stage in STAGES)
    if largest >= count:
        raise ValueError(f"{task}: split {split.name!r} names {kind} {largest}, but there are {count} labelled {kind}s")
