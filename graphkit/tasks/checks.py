"""What is checked before any training; each error names the value, the place and the remedy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.validate import check_edge_index, check_features
from graphkit.tasks.split import STAGES, Split


def check_graphs(graphs: Sequence[Data], task: str) -> None:
    """Check that every graph has nodes, finite features and sound edges."""
    if not graphs:
        raise ValueError(f"{task} has no graphs; give at least one")
    if len(graphs) == 1 or not _all_sound(graphs):
        for position, graph in enumerate(graphs):
            _check_graph(graph, task if len(graphs) == 1 else f"{task}, graph {position}")
    widths = {graph.x.size(1) for graph in graphs}
    if len(widths) > 1:
        raise ValueError(f"{task}: graphs differ in their number of features: {sorted(widths)}")


def _all_sound(graphs: Sequence[Data]) -> bool:
    """Whether many graphs pass, found by a few operations on all of them at once; ``False`` may also mean unsure."""
    if any(graph.get("x") is None or graph.get("edge_index") is None for graph in graphs):
        return False
    if any(graph.get("num_nodes") not in (None, graph.x.size(0)) for graph in graphs):
        return False
    features, edges = [graph.x for graph in graphs], [graph.edge_index for graph in graphs]
    same_kind = all(
        x.dtype == features[0].dtype and x.layout == torch.strided and x.dim() == 2 and e.dtype == torch.int64
        for x, e in zip(features, edges, strict=True)
    )
    if not same_kind or not features[0].is_floating_point():
        return False
    if any(e.dim() != 2 or e.size(0) != 2 for e in edges) or len({x.size(1) for x in features}) > 1:
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
    if not graph.num_nodes:
        raise ValueError(f"{where} is empty (0 nodes); leave it out")
    if graph.x is None:
        raise ValueError(f"{where} has no node features; add some, e.g. torch_geometric.transforms.Constant()")
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


def check_classes(
    labels: Tensor, rows: Split, kind: str, task: str, num_classes: int | None, allow_missing: bool
) -> tuple[Tensor, int]:
    """Check class ids ``[n]``, of which ``rows`` says those of each stage; returns them as int64, and how many."""
    used = torch.cat([rows.train, rows.val, rows.test])
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.dim() != 1:
        raise ValueError(
            f"{task}: multiclass labels must be integers of shape [n], got {labels.dtype} of shape "
            f"{list(labels.shape)}; use y.long().view(-1), or another target"
        )
    labels = labels.long()
    if labels[used].min() < 0:
        first = int(used[(labels[used] < 0).nonzero()[0, 0]])
        raise ValueError(
            f"{task}: {kind} {first} is in the split but has the label {int(labels[first])} (missing); take it out of "
            "the split"
        )
    found = int(labels.max()) + 1
    if num_classes is not None and found > num_classes:
        raise ValueError(f"{task}: a label is {found - 1}, but num_outputs={num_classes} (labels 0..{num_classes - 1})")
    num_classes = num_classes or found
    present = torch.bincount(labels[rows.train], minlength=num_classes) > 0
    if not allow_missing and not present.all():
        raise ValueError(_missing_class(task, int((~present).nonzero()[0, 0]), num_classes, "train", rows.name))
    return labels, num_classes


def check_values(
    labels: Tensor, rows: Split, kind: str, task: str, target: str, num_outputs: int | None, allow_missing: bool
) -> Tensor:
    """Check binary, multilabel or regression labels; returns them as floats, ``[n]`` if binary, else ``[n, T]``."""
    used = torch.cat([rows.train, rows.val, rows.test])
    if not labels.is_floating_point():
        labels = labels.to(torch.get_default_dtype())
    labels = labels.view(-1) if target == "binary" else labels.view(labels.size(0), -1)
    columns = labels.size(1) if labels.dim() == 2 else 1
    if num_outputs is not None and num_outputs != columns:
        raise ValueError(f"{task}: num_outputs={num_outputs}, but the labels have {columns} columns")
    values = labels[used]
    missing = torch.isnan(values)
    if target == "binary" and missing.any():
        first = int(used[missing.nonzero()[0, 0]])
        raise ValueError(f"{task}: {kind} {first} is in the split but has no label; take it out of the split")
    known = values[~missing]
    if known.numel() == 0:
        raise ValueError(f"{task}: every label of the split is missing (NaN)")
    if not torch.isfinite(known).all():
        raise ValueError(f"{task}: a label is infinite; replace it, or NaN for a missing one")
    if target != "regression" and not ((known == 0) | (known == 1)).all():
        bad = known[(known != 0) & (known != 1)][0].item()
        raise ValueError(f"{task}: a {target} label is {bad}, expected 0 or 1")
    if target == "binary" and not allow_missing:
        for stage in STAGES:
            present = labels[getattr(rows, stage)].unique()
            if present.numel() < 2:
                raise ValueError(_missing_class(task, 1 - int(present[0]), 2, stage, rows.name))
    return labels


def _missing_class(task: str, missing: int, total: int, stage: str, split: str) -> str:
    return (
        f"{task}: class {missing} of {total} has no {stage} example in split {split!r}; use another split, or "
        "allow_missing_classes=True if the split is meant to be so"
    )
