"""Graphs side by side, with coloured nodes and edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch_geometric.data import Batch, Data

from graphkit.core.validate import check_edge_index, check_features


def numbered_rows(rows: np.ndarray) -> np.ndarray:
    """A number from 0 for each row, equal for equal rows."""
    if rows.shape[1] == 1:  # much faster than rows of one column
        return np.unique(rows[:, 0], return_inverse=True)[1].astype(np.int64)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


@dataclass(frozen=True)
class DisjointUnion:
    """Graphs side by side, as the refinements read them.

    Attributes:
        node_start: The first node of each graph, then the number of nodes.
        source: The source of each edge, sorted; no edge twice.
        target: Its target.
        kind: Its colour.
        node_colour: The first colour of each node.
    """

    node_start: np.ndarray
    source: np.ndarray
    target: np.ndarray
    kind: np.ndarray
    node_colour: np.ndarray

    @classmethod
    def build(
        cls,
        graphs: Data | Sequence[Data],
        node_attr: str | None = None,
        edge_attr: str | None = None,
        colours: Callable[[np.ndarray], np.ndarray] = numbered_rows,
    ) -> DisjointUnion:
        """Check and join graphs.

        Args:
            graphs: A graph, a batch or a sequence of graphs.
            node_attr: The attribute that colours nodes (default: none).
            edge_attr: The attribute that colours edges (default: none).
            colours: Turns the rows of an attribute of all graphs into int64 colours (default: numbers from 0).

        Raises:
            ValueError: If there is no graph, or an attribute is missing or has the wrong size.
            TypeError, IndexError: If ``edge_index`` does not hold ids of nodes.
        """
        if isinstance(graphs, Batch):
            graphs = graphs.to_data_list()
        graphs = [graphs] if isinstance(graphs, Data) else list(graphs)
        if not graphs:
            raise ValueError("k,l-WL needs at least one graph")
        sizes = [int(graph.num_nodes or 0) for graph in graphs]
        for number, (graph, n) in enumerate(zip(graphs, sizes)):
            check_edge_index(graph.edge_index, n, f"graph {number}")
        node_start = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        edges = [graph.edge_index.cpu().long().numpy() + start for graph, start in zip(graphs, node_start)]
        source, target = np.concatenate(edges, axis=1)
        kind = colours(_attribute(graphs, edge_attr, [graph.num_edges for graph in graphs]))
        names, code = np.unique(kind, return_inverse=True)
        num_nodes, num_kinds = max(int(node_start[-1]), 1), max(names.size, 1)
        keys = (source * num_nodes + target) * num_kinds + code
        if (keys[1:] <= keys[:-1]).any():  # coalesced edges are in order
            keys = np.sort(keys)
            keys = keys[np.diff(keys, prepend=-1) != 0]
        pair, code = np.divmod(keys, num_kinds)
        source, target = np.divmod(pair, num_nodes)
        node_colour = colours(_attribute(graphs, node_attr, sizes))
        return cls(node_start, source, target, names[code], node_colour)

    @property
    def num_nodes(self) -> np.ndarray:
        """The number of nodes of each graph."""
        return np.diff(self.node_start)

    def relations(self, number: int) -> np.ndarray:
        """A number per pair of nodes of a graph: whether they are equal, and the colour of the edge, if any."""
        start, stop = self.node_start[number : number + 2]
        inside = slice(*np.searchsorted(self.source, [start, stop]))
        source, target, kind = self.source[inside] - start, self.target[inside] - start, self.kind[inside]
        twice = (np.diff(source) == 0) & (np.diff(target) == 0)
        if twice.any():
            place = int(twice.argmax())
            raise ValueError(
                f"graph {number}: edges of two colours go from node {source[place]} to node {target[place]}; k-WL with "
                "k >= 2 reads one edge per pair, so give each pair one colour"
            )
        relations = np.zeros((stop - start, stop - start), dtype=np.int64)
        relations[source, target] = kind + 1
        return relations * 2 + np.eye(stop - start, dtype=np.int64)


def _attribute(graphs: Sequence[Data], name: str | None, sizes: Sequence[int]) -> np.ndarray:
    """The rows of an attribute of all graphs in double precision; zeros if there is no name."""
    rows = [np.zeros((0, 1))]
    for number, (graph, size) in enumerate(zip(graphs, sizes)):
        if name is None or size == 0:
            rows.append(np.zeros((size, 1)))
            continue
        values = graph.get(name)
        if values is None or values.dim() == 0 or values.size(0) != size:
            given = "none" if values is None else f"shape {list(values.shape)}"
            raise ValueError(f"graph {number}: k,l-WL needs {size} rows of {name!r} as colours, got {given}")
        values = (values if values.layout == torch.strided else values.to_dense()).reshape(size, -1).double()
        check_features(values, f"graph {number}, {name}")
        rows.append(values.detach().cpu().numpy() + 0.0)  # no negative zeros
    widths = {part.shape[1] for part in rows if len(part)}
    if len(widths) > 1:
        raise ValueError(f"k,l-WL: rows of {name!r} have {sorted(widths)} columns; all graphs need as many")
    return np.concatenate([part for part in rows if len(part)] or rows[:1])
