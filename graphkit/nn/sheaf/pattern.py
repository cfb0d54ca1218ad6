"""The sparsity pattern of a sheaf Laplacian, written down without sorting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.nn.sheaf.graph import SheafGraph
from graphkit.ops import SparsityPattern
from graphkit.ops.indices import starts


@dataclass(frozen=True)
class SheafPattern:
    r"""Where the parts of a sheaf Laplacian go.

    The matrix has :math:`D` rows per node: ``d`` for the stalk, then the fixed coordinates. Its values are gathered
    from one vector: the blocks between nodes (once per undirected edge), the diagonal blocks, the fixed coordinates.

    Attributes:
        pattern: The pattern of the matrix, ``num_nodes * D`` rows.
        width: The number of coordinates :math:`D`.
        num_fixed: How many of them are fixed.
        source: Which number of that vector each CSR entry takes.
        upper: CSR entry of each number between nodes.
        lower: The entry that mirrors it.
        diagonal: CSR entry of each number of the diagonal blocks.
        edge: The edge that leaves the node of each end.
    """

    pattern: SparsityPattern
    width: int
    num_fixed: int
    source: Tensor
    upper: Tensor
    lower: Tensor
    diagonal: Tensor
    edge: Tensor

    def of_edges(self, per_edge: Tensor) -> Tensor:
        """For each CSR entry the value of the edge that enters its row's node, 1 where nodes meet themselves."""
        from_smaller, from_larger = per_edge[self.edge].chunk(2)
        pairs, n = from_smaller.numel(), self.pattern.num_rows // self.width
        blocks = self.upper.numel() // max(pairs, 1)
        fixed = torch.cat([from_larger, from_smaller, per_edge.new_ones(n)]).repeat(self.num_fixed)
        numbers = [from_larger.repeat(blocks), per_edge.new_ones(self.diagonal.numel()), fixed]
        return torch.cat(numbers)[self.source].index_put((self.lower,), from_smaller.repeat(blocks))


def sheaf_pattern(graph: SheafGraph, stalk_dim: int, kind: str, num_fixed: int) -> SheafPattern:
    """The pattern for blocks of size ``stalk_dim``, cached with the graph.

    Args:
        graph: The graph.
        stalk_dim: The size ``d`` of a block.
        kind: ``"diag"`` for diagonal blocks, ``"bundle"`` for full blocks with multiples of the identity on the
            diagonal, ``"general"`` for full blocks everywhere.
        num_fixed: How many scalar coordinates follow the blocks.
    """
    key = ("sheaf pattern", stalk_dim, kind, num_fixed)
    return graph.pattern.cached(key, lambda: _build(graph, stalk_dim, kind, num_fixed))


def _build(graph: SheafGraph, d: int, kind: str, num_fixed: int) -> SheafPattern:
    pattern, n, device = graph.pattern, graph.num_nodes, graph.node.device
    width = d + num_fixed
    # Entries that a row of the stalk has for each neighbour and for its own node; fixed coordinates have one each.
    per_edge = torch.tensor([1 if kind == "diag" else d] * d + [1] * num_fixed, device=device)
    per_node = torch.tensor([d if kind == "general" else 1] * d + [1] * num_fixed, device=device)
    lengths = graph.degree[:, None] * per_edge + per_node
    rowptr = starts(lengths.view(-1))
    start = rowptr[:-1].view(n, width)
    smaller = graph.degree.new_zeros(n).index_add_(0, graph.node, (graph.other < graph.node).long())
    rank = graph.entry - pattern.rowptr[graph.node]  # the neighbour's number in its row
    after = (graph.other > graph.node).long()  # the diagonal block comes first

    def between(ends: slice, row: Tensor | int, column: Tensor | int) -> Tensor:
        node = graph.node[ends]
        return start[node, row] + rank[ends] * per_edge[row] + after[ends] * per_node[row] + column

    h = graph.num_pairs
    first, second, both = slice(0, h), slice(h, 2 * h), slice(0, 2 * h)
    i, j = torch.arange(d, device=device).view(d, 1, 1), torch.arange(d, device=device).view(1, d, 1)
    if kind == "diag":
        row, column = i[:, 0], i[:, 0]
        upper, lower = between(first, row, 0), between(second, row, 0)
    else:
        row, column = i.expand(d, d, 1), j.expand(d, d, 1)
        upper, lower = between(first, row, column), between(second, column, row)
    diagonal = start.t()[:d] + smaller * per_edge[:d, None]
    own_column = i[:, 0]
    if kind == "general":
        diagonal, own_column = diagonal.unsqueeze(1) + j, j.expand(d, d, 1)

    of_edge, of_node = (d if kind == "diag" else d * d) + num_fixed, (d * d if kind == "general" else d) + num_fixed
    col = torch.empty(2 * h * of_edge + n * of_node, dtype=torch.long, device=device)
    source = torch.empty_like(col)
    nodes = torch.arange(n, device=device)
    col[upper] = graph.other[first] * width + column
    col[lower] = graph.other[second] * width + row
    numbers = torch.arange(upper.numel(), device=device).view(upper.shape)
    source[upper] = numbers
    source[lower] = numbers
    col[diagonal] = nodes * width + own_column
    count = upper.numel()
    source[diagonal] = count + torch.arange(diagonal.numel(), device=device).view(diagonal.shape)
    count += diagonal.numel()
    for k in range(d, width):
        for where, column_node in ((between(both, k, 0), graph.other), (start[:, k] + smaller, nodes)):
            col[where] = column_node * width + k
            source[where] = count + torch.arange(where.numel(), device=device)
            count += where.numel()
    narrow = torch.int32 if col.numel() < 2**31 else torch.int64
    edge = graph.from_edges(torch.arange(2 * h, device=device))
    return SheafPattern(
        SparsityPattern(rowptr, col, None, n * width),
        width,
        num_fixed,
        *(index.reshape(-1).to(narrow) for index in (source, upper, lower, diagonal, edge)),
    )
