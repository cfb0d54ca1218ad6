"""The shape that all rewirings share: a budget, relations for new edges, and a report of what was achieved."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.graph import SimpleGraph, as_pairs
from graphkit.algorithms.spectral.gap import gap
from graphkit.algorithms.spectral.resistance import total
from graphkit.core.attributes import attributes_of, record_kinds, take
from graphkit.core.constraints import NonNegative, NonNegativeInt
from graphkit.core.deprecation import renamed_members
from graphkit.core.reads import Reads
from graphkit.transforms.base import Precompute

REPORT_EPS = 0.25  # the standard error of a large graph's total resistance in reports, at most


def _none() -> np.ndarray:
    return np.empty((0, 2), dtype=np.int64)


Budget = NonNegativeInt | NonNegative  # so many, or a share of those there are


@dataclass
class EdgeChange:
    """What a rewiring does to an undirected graph.

    Attributes:
        added: Pairs ``[num_added, 2]`` not joined before, in the order in which they were chosen.
        removed: Joined pairs ``[num_removed, 2]`` (default: none).
        relation: The relation of each added pair, from 1 (default: 1 for all).
        resistance_drop: By how much the total resistance falls, if the method knows it (default: ``None``).
    """

    added: np.ndarray
    removed: np.ndarray = field(default_factory=_none)
    relation: np.ndarray | None = None
    resistance_drop: float | None = None


class Rewiring(Precompute):
    r"""A transform that changes which nodes are joined; all rewirings share what follows.

    The graph is taken as undirected and simple for every decision: a repeated edge counts once, with the mean of the
    weights, and a self-loop not at all. New edges come in both directions and repeat none. Edges that stay keep their
    direction, duplicates and attributes. Directions, and weights where a method does not read them, are warned about,
    and so is a graph that is left without edges. The result has its edges sorted by source and target, and

    ====================  ==============================================================================================
    ``edge_type``         the relation: 0 (or what the graph came with) for old edges, the next numbers for new ones
    ``edge_step``         0 for old edges, :math:`k` for the :math:`k`-th new pair (methods that add pair by pair); see
                          :class:`FirstEdges`
    ``edge_weight``       1 for new edges, where the graph has weights
    others of edges       0 for new edges: ``edge_attr``, ``time``, ...; see :mod:`graphkit.core.attributes`
    ``num_components``    ``[1, 2]``, the number of connected components before and after
    ``total_resistance``  ``[1, 2]``, before and after, within components (beyond 2000 nodes within a few per cent);
                          resistance between them is infinite, so values of a graph that falls apart do not compare
    ``spectral_gap``      ``[1, 2]``, before and after; see :func:`~graphkit.algorithms.spectral_gap`
    ====================  ==============================================================================================

    Subclasses write :meth:`rewire`, or :meth:`PairRewiring.choose`.

    Usual arguments:
        num_edges: The number of pairs: an ``int``, or a ``float`` for a share of the pairs joined (default: 10).
        report: Whether to measure components, total resistance and spectral gap before and after (default: ``True``).
    """

    report: bool = True
    reads = Reads(direction=False)

    @abstractmethod
    def rewire(self, data: Data, graph: SimpleGraph) -> float | None:
        """Replace the edges of ``data``; return by how much the total resistance falls, if that is known."""

    def forward(self, data: Data) -> Data:
        """Replace the edges in ``data`` (a shallow copy when called through ``transform(data)``)."""
        before = simple_graph(data, type(self).__name__)
        drop = self.rewire(data, before)
        if before.num_pairs and bool((data.edge_index[0] == data.edge_index[1]).all()):
            warnings.warn(f"{self!r} leaves a graph without edges between its nodes", stacklevel=3)
        if self.report:
            write_report(data, before, simple_graph(data, type(self).__name__), drop)
        return data


class PairRewiring(Rewiring):
    """A rewiring that adds and removes undirected edges; subclasses write :meth:`choose`.

    Attributes:
        nested: Whether the first edges of a large budget are those of a smaller one.
    """

    nested: bool = False

    @abstractmethod
    def choose(self, graph: SimpleGraph) -> EdgeChange:
        """The pairs to add and to remove."""

    def rewire(self, data: Data, graph: SimpleGraph) -> float | None:
        return self.exchange(data, self.choose(graph))

    def exchange(self, data: Data, change: EdgeChange) -> float | None:
        """Add and remove the pairs of a change."""
        source, target = data.edge_index
        n, count = int(data.num_nodes or 0), change.added.shape[0]
        keys = torch.minimum(source, target) * n + torch.maximum(source, target)
        removed = as_pairs(change.removed)
        stays = ~torch.isin(keys, (removed.amin(0) * n + removed.amax(0)).to(keys.device))
        old = torch.cat([stays.nonzero().view(-1), source.new_full((2 * count,), -1)])
        added = as_pairs(change.added).to(data.edge_index)
        edge_index = torch.cat([data.edge_index[:, stays], added, added.flip(0)], dim=1)
        relation = torch.ones(count, dtype=torch.long) if change.relation is None else torch.from_numpy(change.relation)
        new = {"edge_type": relation.to(source.device) + last_relation(data)}
        if self.nested:
            data.edge_step = source.new_zeros(source.numel())
            new["edge_step"] = torch.arange(1, count + 1, device=source.device)
        replace_edges(data, edge_index, old, type(self).__name__, {key: value.repeat(2) for key, value in new.items()})
        return change.resistance_drop


def last_relation(data: Data) -> int:
    """The largest relation of the graph's edges, all of which are of relation 0 if it says nothing."""
    if data.get("edge_type") is None:
        data.edge_type = torch.zeros_like(data.edge_index[0])
    return int(data.edge_type.max()) if data.edge_type.numel() else 0


def replace_edges(data: Data, edge_index: Tensor, old: Tensor, where: str, new: Mapping[str, Tensor]) -> None:
    """Give a graph other edges, sorted by source and target, with their attributes.

    Args:
        data: The graph, which is changed.
        edge_index: Its new edges ``[2, e]``.
        old: The edge ``[e]`` that each of them was before; -1 for one that is new.
        where: The place named in messages.
        new: Attributes of the new edges alone, in their order; others are as :class:`Rewiring` says.
    """
    order = (edge_index[0] * (int(edge_index.max()) + 1 if old.numel() else 0) + edge_index[1]).argsort(stable=True)
    record_kinds(data)
    for key in attributes_of("edge", data, where):
        value = take(data[key], old, key)
        if key in new:
            value[old < 0] = new[key].to(value.dtype)
        data[key] = value[order]
    data.edge_index = edge_index[:, order]


def simple_graph(data: Data, where: str) -> SimpleGraph:
    """The undirected simple graph of the edges, weights included."""
    return SimpleGraph.from_edges(data.edge_index, int(data.num_nodes or 0), data.get("edge_weight"), where)


def write_report(data: Data, before: SimpleGraph, after: SimpleGraph, drop: float | None = None) -> None:
    """Measure both graphs; the same random numbers for both make the change exacter than the values."""
    first = total(before, eps=REPORT_EPS)
    second = total(after, eps=REPORT_EPS) if drop is None else first - drop
    data.num_components = torch.tensor([[before.component_size.size, after.component_size.size]])
    data.total_resistance = torch.tensor([[first, second]], dtype=torch.double)
    data.spectral_gap = torch.tensor([[gap(before), gap(after)]], dtype=torch.double)


def budget(num_edges: int | float, graph: SimpleGraph) -> int:
    """The number of pairs: as it is, or a share of those joined."""
    return int(num_edges) if isinstance(num_edges, Integral) else round(num_edges * graph.num_pairs)


def net_change(added: np.ndarray, removed: np.ndarray) -> EdgeChange:
    """What is left of a sequence of additions and removals, one of each per step; -1 for none."""
    new: dict[tuple[int, int], None] = {}
    gone: dict[tuple[int, int], None] = {}
    for step in range(added.shape[0]):
        for pair, into, out_of in ((added[step], new, gone), (removed[step], gone, new)):
            key = (int(pair.min()), int(pair.max()))
            if key[0] < 0:
                continue
            if key in out_of:
                del out_of[key]
            else:
                into[key] = None
    return EdgeChange(np.array(list(new), np.int64).reshape(-1, 2), np.array(list(gone), np.int64).reshape(-1, 2))


def free_pairs(pairs: Tensor, graph: SimpleGraph) -> np.ndarray:
    """Those of ``pairs`` ``[2, p]`` that join different nodes not joined yet, each once, smaller node first."""
    n = max(graph.num_nodes, 1)
    low, high = pairs.amin(0).numpy(), pairs.amax(0).numpy()
    wanted = np.unique((low * n + high)[low != high])
    free = wanted[~np.isin(wanted, graph.pairs() @ np.array([n, 1]))]
    return np.stack([free // n, free % n], axis=1)


__getattr__ = renamed_members(globals(), {"Change": "EdgeChange"})
