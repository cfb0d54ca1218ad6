"""Copies of graphs in which a few nodes are labelled, as rows of sparse matrices."""

from __future__ import annotations

import copy
from itertools import pairwise, permutations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.colouring.refinement import refinements
from graphkit.core.caching import Caching
from graphkit.core.devices import CPU, read
from graphkit.ops import SparseMatrix, SparsityPattern, split_pattern
from graphkit.ops.facts import positions
from graphkit.ops.groups import Groups
from graphkit.ops.indices import count, ragged, starts
from graphkit.ops.pattern import build_pattern

_MAX_ROWS = 2**27


class Step(NamedTuple):
    """A layer on the distinct rows of labelled copies.

    Attributes:
        own: The row of the layer below that each row continues.
        adjacency: One matrix per kind of edge, from rows of the layer below.
    """

    own: Tensor
    adjacency: list[SparseMatrix]


class _Sizes(NamedTuple):
    """What the host has to know of copies.

    Attributes:
        largest: The number of nodes of the largest graph.
        subsets: The number of subsets.
        rows: The number of pairs (subset, node).
        edges: The number of edges of each kind between these.
    """

    largest: int
    subsets: int
    rows: int
    edges: list[int]


class LabelledCopies(Caching):
    r"""Copies of graphs, one per subset of :math:`l` nodes and per order in which these get the labels.

    They are built on the device of the subsets, for which the host waits once; what is asked of them is kept.

    Args:
        graph: The pattern of all graphs.
        edge_type: The kind of each edge ``[num_edges]``; ``None`` if all are of one kind.
        num_types: The number of kinds.
        node_start: The first node of each graph, then the number of nodes.
        subsets: Nodes ``[l, num_subsets]``, by graph.

    Attributes:
        subsets: The subsets.
        graph: The graph of each subset.

    Raises:
        ValueError: If there are more than :math:`2^{27}` labelled nodes, when they are asked for.
    """

    def __init__(
        self, graph: SparsityPattern, edge_type: Tensor | None, num_types: int, node_start: Tensor, subsets: Tensor
    ) -> None:
        self._whole, self._type, self._node_start = graph, edge_type, node_start
        self._patterns = by_type(graph, edge_type, num_types)
        self._orders = torch.tensor(list(permutations(range(subsets.size(0)))), device=subsets.device)
        ends = [node_start, *(pattern.rowptr[node_start] for pattern in self._patterns)]
        self._per_graph = torch.stack(ends).diff()  # nodes, and edges of each kind
        self._known: _Sizes | None = None
        self._choose(subsets.long())

    def _choose(self, subsets: Tensor) -> None:
        self.subsets = subsets
        self.graph = torch.searchsorted(self._node_start, subsets[0], right=True) - 1
        self._first, self._width = self._node_start[self.graph], self._per_graph[0, self.graph]

    def split(self, num_rows: int) -> list[LabelledCopies]:
        """Parts of about ``num_rows`` labelled nodes each; these alone, if they are no more."""
        size = max(1, num_rows // (self.largest * len(self._orders)))
        if self.subsets.size(1) <= size:
            return [self]
        kinds = self._type, len(self._patterns), self._node_start
        return [LabelledCopies(self._whole, *kinds, part) for part in self.subsets.split(size, dim=1)]

    def sample(self, rate: float) -> LabelledCopies:
        """A random share of each graph's subsets: ``int(rate * n) + 1`` of ``n``, at most all, in their order."""
        drawn, sizes = self.cached(("sample", rate), lambda: self._planned(rate))
        by_chance = torch.rand(self.graph.shape, device=self.graph.device).argsort()
        by_chance = by_chance[self.graph[by_chance].argsort(stable=True)]
        number = count(self.graph, drawn.numel())
        rank = torch.arange(self.graph.numel(), device=self.graph.device) - starts(number)[self.graph]
        chosen = by_chance[positions(rank < drawn[self.graph], sizes.subsets)].sort().values
        part = copy.copy(self)
        part._known = sizes
        part._choose(self.subsets[:, chosen])
        return part

    def _planned(self, rate: float) -> tuple[Tensor, _Sizes]:
        """How many subsets of each graph a sample has, and how large it is, whichever they are."""
        counts = count(self.graph, self._per_graph.size(1))
        drawn = torch.minimum((rate * counts).long() + 1, counts)
        sums = drawn.sum(), *(self._per_graph * drawn).sum(1)
        largest, subsets, rows, *edges = read(self._per_graph[0].max(), *sums)
        return drawn, _Sizes(largest, subsets, rows, edges)

    @property
    def _sizes(self) -> _Sizes:
        if self._known is None:
            self._known = self._planned(1.0)[1]
        return self._known

    @property
    def largest(self) -> int:
        """The number of nodes of the largest graph."""
        return self._sizes.largest

    @property
    def node(self) -> Tensor:
        """The node of each row, which is a pair (subset, node)."""
        return self.cached("node", self._nodes)

    @property
    def sets(self) -> Groups:
        """The rows grouped by subset."""
        return Groups(self._sizes.subsets, None, starts(self._width), self._sizes.rows)

    @property
    def adjacency(self) -> list[SparseMatrix]:
        """Edges between rows (subset, node), one matrix per kind."""
        rows = torch.arange(self._sizes.rows, device=self.node.device)
        return self.cached(
            "adjacency", lambda: self._between(self.node, rows, rows, self._sizes.rows, self._sizes.edges)
        )

    def _nodes(self) -> Tensor:
        rows = self._sizes.rows * len(self._orders)
        if rows > _MAX_ROWS:
            raise ValueError(
                f"{self._sizes.subsets} sets of {len(self.subsets)} nodes make {rows:.3g} labelled nodes at once, "
                "more than 2**27; use a smaller rate, max_distance or batch, fewer labels, or smaller graphs"
            )
        return ragged(self._first, self._width, self._sizes.rows)

    def steps(self, num_layers: int, merge: bool = True) -> tuple[list[Step], SparseMatrix]:
        r"""What each layer reads that starts from labels alone, and the mean over orders that ends in :attr:`node`.

        Rows are triples (subset, order, node). With ``merge``, those of equal colour by colour refinement are one row,
        layer by layer: their states are equal. The first layer reads the :math:`l + 1` rows of the labels, the last of
        which stands for none.

        Args:
            num_layers: The number of layers.
            merge: Whether rows are merged (default: ``True``); on the CPU only, a GPU would wait for each refinement.
        """
        merge = merge and self.subsets.device == CPU
        return self.cached(("steps", num_layers, merge), lambda: self._steps(num_layers, merge))

    def _steps(self, num_layers: int, merge: bool) -> tuple[list[Step], SparseMatrix]:
        orders, num_rows = self._orders, self.node.numel()
        total = num_rows * len(orders)
        width, first = (part.repeat_interleave(len(orders)) for part in (self._width, self._first))
        node, start = ragged(first, width, total), starts(width)
        rows = torch.arange(total, device=node.device)
        label = torch.full_like(node, self.subsets.size(0))
        label[(start[:-1] - first).view(-1, len(orders), 1) + self.subsets.t()[:, None]] = orders
        names = self._colours(label, num_layers) if merge else [label] + [rows] * num_layers
        all_edges = [number * len(orders) for number in self._sizes.edges]
        steps: list[Step] = []
        size = self.subsets.size(0) + 1
        for layer, (below, here) in enumerate(pairwise(names)):
            if layer > 1 and names[layer - 1] is below is here:
                steps.append(steps[-1])
                continue
            chosen = rows if here is rows else torch.from_numpy(_one_of_each(here.numpy()))
            matrices = self._between(node[chosen], chosen, below, size, all_edges if here is rows else None)
            steps.append(Step(below[chosen], matrices))
            size = chosen.numel()
        into = ragged(starts(self._width)[:-1].repeat_interleave(len(orders)), width, total)
        share = torch.full(into.shape, 1 / len(orders), dtype=torch.float64, device=into.device)
        return steps, SparseMatrix(build_pattern(names[-1], into, size, num_rows), share)

    def _colours(self, label: Tensor, num_layers: int) -> list[Tensor]:
        """The colour of each row before and after each layer."""
        from graphkit.algorithms.kernels import colouring as kernels

        whole, width = self._whole, self._per_graph[0]
        kinds = torch.zeros_like(whole.col) if self._type is None else whole.to_csr(self._type)
        copies = count(self.graph, width.numel()) * len(self._orders)
        layout = kernels.Layout(
            kernels.EDGES,
            1,
            starts(copies * width).numpy(),
            width.clamp(min=1).numpy(),
            self._node_start.numpy(),
            whole.colptr.numpy(),
            whole.csc_row.numpy(),
            whole.to_csc(kinds).numpy(),
            whole.rowptr.numpy(),
            whole.col.numpy(),
            kinds.numpy(),
            len(self._patterns),
            int(whole.out_degree.max()) if whole.num_edges else 0,
        )
        colours = [label]
        for colour, _ in refinements(layout, label.numpy()):
            colours.append(torch.from_numpy(colour.copy()))
            if len(colours) > num_layers:
                break
        return colours + colours[-1:] * (num_layers + 1 - len(colours))

    def _between(
        self, node: Tensor, row: Tensor, names: Tensor, size: int, num_edges: list[int] | None
    ) -> list[SparseMatrix]:
        """Per kind, the edges into some rows, given with their nodes, from the ``size`` rows that have these names."""
        matrices = []
        for kind, pattern in enumerate(self._patterns):
            total = None if num_edges is None else num_edges[kind]
            degree = pattern.in_degree[node]
            entries = ragged(pattern.rowptr[node], degree, total)
            source = names[pattern.col[entries] + (row - node).repeat_interleave(degree, output_size=total)]
            matrices.append(SparseMatrix(SparsityPattern(starts(degree), source, None, size)))
        return matrices


def by_type(graph: SparsityPattern, edge_type: Tensor | None, num_types: int) -> list[SparsityPattern]:
    """The edges of each kind; all of them, if there is one."""
    if edge_type is None:
        return [graph]
    return [pattern for pattern, _ in split_pattern(graph, edge_type, range(num_types))]


def scaled_sum(h: Tensor, adjacency: list[SparseMatrix], scale: Tensor | None) -> Tensor:
    r"""The sum over neighbours, each scaled channel by channel by its edge's kind: :math:`\sum_u e_{vu} \odot h_u`.

    Args:
        h: States ``[num_sources, channels]``.
        adjacency: One matrix per kind of edge.
        scale: One row per kind ``[num_kinds, channels]``; ``None`` scales by 1.
    """
    rows = [None] * len(adjacency) if scale is None else list(scale)
    terms = [
        matrix @ (h if row is None else h * row)
        for matrix, row in zip(adjacency, rows)
        if matrix.pattern.num_edges or matrix is adjacency[0]
    ]
    return sum(terms[1:], terms[0])


def _one_of_each(names: np.ndarray) -> np.ndarray:
    """A position of each name 0, 1, ...: the last."""
    chosen = np.empty(int(names.max(initial=-1)) + 1, dtype=np.int64)
    chosen[names] = np.arange(names.size)
    return chosen
