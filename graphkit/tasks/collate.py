"""Batches of graphs, gathered from one concatenation instead of concatenated anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphkit.ops.indices import starts


class Collator:
    """Makes the batches of a list of graphs, each equal to what ``Batch.from_data_list`` makes of the same graphs.

    All graphs are concatenated once, and a batch gathers its rows, which costs a few calls per attribute instead of a
    few per attribute and graph. Graphs with other values than tensors of one kind and numbers go through PyG.

    Args:
        graphs: The graphs.
    """

    def __init__(self, graphs: Sequence[Data]) -> None:
        self.graphs = graphs
        self._columns = _columns(graphs)
        self._num_nodes = torch.tensor([graph.num_nodes for graph in graphs])

    def batch(self, ids: Tensor) -> Batch:
        """The batch of the graphs at the given positions ``[n]``."""
        if self._columns is None:
            return Batch.from_data_list([self.graphs[position] for position in ids.tolist()])
        first = self.graphs[0]
        out: Any = Batch(_base_cls=type(first)).stores_as(first)
        out._num_graphs, out._slice_dict, out._inc_dict = ids.numel(), {}, {}
        shared: dict[int, tuple[Tensor, Tensor]] = {}
        for key, column in self._columns.items():
            if key == "num_nodes":
                given = column.values[ids].tolist()
                out._store._num_nodes, out._store.num_nodes = given, sum(given)
                continue
            if id(column.sizes) not in shared:
                shared[id(column.sizes)] = _rows(column, ids)
            out._store[key], increments = _gathered(column, ids, *shared[id(column.sizes)])
            out._slice_dict[key], out._inc_dict[key] = shared[id(column.sizes)][0], increments
        counts = self._num_nodes[ids]
        out._store.batch = torch.arange(ids.numel()).repeat_interleave(counts)
        out._store.ptr = starts(counts)
        return out


@dataclass
class _Column:
    """One attribute of all graphs: rows along ``dim``, ``sizes`` and ``starts`` by graph, and what is added to ids."""

    values: Tensor
    dim: int
    sizes: Tensor
    starts: Tensor
    increments: Tensor


def _columns(graphs: Sequence[Data]) -> dict[str, _Column] | None:
    """The attributes by name; ``None`` if some attribute cannot be gathered."""
    keys = list(graphs[0].keys()) if graphs else []
    plain = all(not isinstance(graph, Batch) and list(graph.keys()) == keys for graph in graphs)
    if not plain or not graphs or {"batch", "ptr"} & set(keys):
        return None
    columns: dict[str, _Column] = {}
    layouts: dict[bytes, Tensor] = {}  # attributes of nodes share their sizes, and those of edges
    for key in keys:
        column = _column(key, graphs)
        if column is None:
            return None
        column.sizes = layouts.setdefault(column.sizes.numpy().tobytes(), column.sizes)
        columns[key] = column
    return columns


def _column(key: str, graphs: Sequence[Data]) -> _Column | None:
    values = [graph[key] for graph in graphs]
    first = values[0]
    if any(type(value) is not type(first) for value in values):
        return None
    increments = [graph.__inc__(key, value, graph._store) for graph, value in zip(graphs, values, strict=True)]
    dim = 0
    if isinstance(first, bool | int | float):
        joined, sizes = torch.tensor(values), torch.ones(len(values), dtype=torch.long)
    elif type(first) is Tensor and first.layout == torch.strided and first.device.type == "cpu":
        axis = graphs[0].__cat_dim__(key, first, graphs[0]._store)
        if not isinstance(axis, int | None):
            return None
        if axis is None or first.dim() == 0:
            values = [value.unsqueeze(0) for value in values]
        else:
            dim = axis % first.dim()
        kinds = {(value.dtype, value.requires_grad, *value.shape[:dim], *value.shape[dim + 1 :]) for value in values}
        if len(kinds) > 1 or first.requires_grad or first.is_nested:
            return None
        joined, sizes = torch.cat(values, dim), torch.tensor([value.size(dim) for value in values])
    else:
        return None
    if any(isinstance(step, Tensor) and step.numel() != 1 for step in increments):
        return None
    steps = torch.tensor([int(step) for step in increments])
    return _Column(joined, dim, sizes, sizes.cumsum(0) - sizes, steps)


def _rows(column: _Column, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Where each graph's rows end in the batch ``[n + 1]``, and which rows of the concatenation these are."""
    sizes = column.sizes[ids]
    ends = starts(sizes)
    return ends, (column.starts[ids] - ends[:-1]).repeat_interleave(sizes) + torch.arange(int(ends[-1]))


def _gathered(column: _Column, ids: Tensor, ends: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The values of a batch, and what was added to each graph's."""
    values = column.values.index_select(column.dim, rows)
    added = starts(column.increments[ids])[:-1]
    if added[-1:].any():
        by_row = added.repeat_interleave(ends.diff())
        values += by_row.view(-1, *[1] * (values.dim() - 1 - column.dim)).to(values.dtype)
    return values, added
