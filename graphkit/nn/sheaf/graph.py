"""The index arithmetic of a graph that carries a sheaf, done once per graph."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.ops import SparsityPattern, sparsity_pattern
from graphkit.ops.facts import positions
from graphkit.ops.pattern import Size


class SheafGraph:
    r"""An undirected simple graph, prepared for sheaves; build it with :func:`sheaf_graph`.

    Every edge :math:`\{v, u\}` has two ends, and a sheaf has one restriction map per end. Ends come in
    pairs: the first :math:`|E|` belong to the smaller node of each edge, the next :math:`|E|` to the larger one, in the
    same order.

    Attributes:
        num_nodes: The number of nodes.
        num_pairs: The number of undirected edges.
        entry: The position of each end in the CSR order of ``pattern``, ``[2 * num_pairs]``.
        node: The node of each end.
        other: The node at the other side.
        degree: The number of edges at each node.
        pattern: The sparsity pattern whose rows are the edges' sources.
    """

    def __init__(self, pattern: SparsityPattern) -> None:
        self.pattern = pattern
        self.entry, self._position, self.node, self.other = pattern.cached("sheaf ends", lambda: _ends(pattern))
        self.num_nodes, self.num_pairs = pattern.num_rows, self.entry.numel() // 2
        self.degree = pattern.in_degree

    def from_edges(self, per_edge: Tensor) -> Tensor:
        """Bring values ``[num_edges, ...]`` from edge order to pairs; an edge stands for the end at its source."""
        return self.pattern.to_csr(per_edge)[self.entry]

    def to_edges(self, per_end: Tensor) -> Tensor:
        """Bring values ``[num_edges, ...]`` from pairs to edge order."""
        return self.pattern.to_edges(per_end[self._position])

    def incidence(self, dtype: torch.dtype, other: bool = False) -> Tensor:
        """The 0/1 CSR matrix ``[num_nodes, num_ends]`` of the ends at each node (or of the ends opposite to it)."""

        def incidence() -> Tensor:
            columns = self._position
            if other:
                columns = torch.where(columns < self.num_pairs, columns + self.num_pairs, columns - self.num_pairs)
            return SparsityPattern(self.pattern.rowptr, columns, None, 2 * self.num_pairs).ones(dtype)

        return self.pattern.cached(("sheaf incidence", dtype, other), incidence)


def sheaf_graph(edge_index: Tensor, num_nodes: Size = None) -> SheafGraph:
    """Check that a graph can carry a sheaf and prepare it; the result is cached with the graph's pattern.

    Args:
        edge_index: Both directions of every edge ``[2, E]``, without self-loops and duplicates.
        num_nodes: The number of nodes (default: from the graph, else the largest id plus one).

    Raises:
        ValueError: If there is a self-loop, a duplicate or an edge without its reverse; the message names the first.

    Example:
        >>> graph = sheaf_graph(torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]]))
        >>> graph.node.tolist(), graph.other.tolist()
        ([0, 1, 1, 2], [1, 2, 0, 1])
    """
    pattern = sparsity_pattern(edge_index, num_nodes).T  # rows are sources: an edge stands for the end at its source
    pattern.cached("sheaf check", lambda: _check_simple(pattern))
    return SheafGraph(pattern)


def _ends(pattern: SparsityPattern) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The CSR entry of each end, the inverse of that, the ends' nodes and the nodes opposite."""
    # Row v, column u holds the end of v at the edge {v, u}; for a symmetric pattern CSC order lists the reverses.
    half = positions(pattern.row < pattern.col, pattern.num_edges // 2)
    entry = torch.cat([half, pattern.csc_perm[half]])
    position = torch.empty_like(entry)
    position[entry] = torch.arange(entry.numel(), device=entry.device)
    return entry, position, pattern.row[entry], pattern.col[entry]


def _is_simple(pattern: SparsityPattern) -> bool:
    """Whether nothing is wrong, for which a device is asked once."""
    if pattern.num_rows != pattern.num_cols:
        return False
    row, col = pattern.row, pattern.col
    again = (row[1:] == row[:-1]) & (col[1:] == col[:-1])
    other_degrees, other_ends = pattern.rowptr != pattern.colptr, pattern.col != pattern.csc_row
    return not bool(torch.stack([part.any() for part in (row == col, again, other_degrees, other_ends)]).any())


def _check_simple(pattern: SparsityPattern) -> None:
    remedy = "use graphkit.transforms.Undirected()"
    row, col = pattern.row, pattern.col
    if _is_simple(pattern):
        return
    if pattern.num_rows != pattern.num_cols:
        raise ValueError(
            f"a sheaf needs one set of nodes, but this graph has {pattern.num_rows} sources and {pattern.num_cols} "
            "targets; give all nodes one numbering"
        )
    loops = (row == col).nonzero()
    if loops.numel() > 0:
        raise ValueError(
            f"a sheaf needs a graph without self-loops, but node {int(row[loops[0]])} has one ({loops.size(0)} in all)"
            f"; {remedy}"
        )
    if pattern.is_symmetric:
        twice = ((row[1:] == row[:-1]) & (col[1:] == col[:-1])).nonzero()
        v, u = int(row[twice[0]]), int(col[twice[0]])
        raise ValueError(
            f"a sheaf needs each edge once per direction, but the edge {v} -> {u} is repeated ({twice.size(0)} "
            f"duplicates in all); {remedy}"
        )
    missing = ~torch.isin(row * pattern.num_cols + col, col * pattern.num_cols + row)
    if bool(missing.any()):
        first = int(missing.nonzero()[0])
        raise ValueError(
            f"a sheaf needs both directions of every edge, but {int(row[first])} -> {int(col[first])} has no reverse "
            f"({int(missing.sum())} missing in all); {remedy}"
        )
    raise ValueError(f"a sheaf needs each edge once per direction, but some edges are repeated; {remedy}")
