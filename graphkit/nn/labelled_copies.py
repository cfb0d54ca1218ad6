"""Copies of graphs in which a few nodes are labelled, as rows of sparse matrices."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise, permutations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.colouring.refinement import refinements
from graphkit.ops import SparseMatrix, SparsityPattern, sparsity_pattern, split_edges
from graphkit.ops.indices import ragged, starts

_MAX_ROWS = 2**27


class Step(NamedTuple):
    """A layer on the distinct rows of labelled copies.

    Attributes:
        own: The row of the layer below that each row continues.
        adjacency: One matrix per kind of edge, from rows of the layer below.
    """

    own: Tensor
    adjacency: list[SparseMatrix]


class LabelledCopies:
    r"""Copies of graphs, one per subset of :math:`l` nodes and per order in which these get the labels.

    Args:
        edge_index: Edges of all graphs ``[2, num_edges]``.
        edge_type: The kind of each edge ``[num_edges]``.
        num_types: The number of kinds.
        node_start: The first node of each graph, then the number of nodes.
        subsets: Nodes ``[l, num_subsets]``, by graph.

    Attributes:
        subsets: The subsets, on the CPU.
        graph: The graph of each subset.
        row_start: The first row of each subset, then the number of rows: a row is a pair (subset, node).
        node: The node of each row.

    Raises:
        ValueError: If there are more than :math:`2^{27}` labelled nodes.
    """

    def __init__(
        self, edge_index: Tensor, edge_type: Tensor, num_types: int, node_start: Tensor, subsets: Tensor
    ) -> None:
        self._device, edge_index = edge_index.device, edge_index.cpu()
        self._node_start, self.subsets, self._type = node_start.cpu(), subsets.cpu().long(), edge_type.cpu()
        size = int(self._node_start[-1])
        self._whole = sparsity_pattern(edge_index, size)
        kinds = split_edges(edge_index, self._type, range(num_types), size)
        self._patterns = [sparsity_pattern(edges, size) for edges in kinds]
        graph = torch.searchsorted(self._node_start, self.subsets[0], right=True) - 1
        self._first, self._width = self._node_start[graph], self._node_start.diff()[graph]
        rows = int(self._width.sum()) * math.factorial(len(self.subsets))
        if rows > _MAX_ROWS:
            raise ValueError(
                f"{self.subsets.size(1)} sets of {len(self.subsets)} nodes make {rows:.3g} labelled nodes at once, "
                "more than 2**27; use a smaller rate, max_distance or batch, fewer labels, or smaller graphs"
            )
        self._node = ragged(self._first, self._width)
        self.graph, self.node = graph.to(self._device), self._node.to(self._device)
        self.row_start = starts(self._width).to(self._device)

    @cached_property
    def adjacency(self) -> list[SparseMatrix]:
        """Edges between rows (subset, node), one matrix per kind."""
        rows = torch.arange(self._node.numel())
        return self._between(self._node, rows, rows, rows.numel())

    def steps(self, num_layers: int, merge: bool = True) -> tuple[list[Step], SparseMatrix]:
        r"""What each layer reads that starts from labels alone, and the mean over orders that ends in :attr:`node`.

        Rows are triples (subset, order, node). With ``merge``, those of equal colour by colour refinement are one row,
        layer by layer: their states are equal. The first layer reads the :math:`l + 1` rows of the labels, the last of
        which stands for none.

        Args:
            num_layers: The number of layers.
            merge: Whether rows are merged (default: ``True``).
        """
        orders = torch.tensor(list(permutations(range(self.subsets.size(0)))))
        width, first = (part.repeat_interleave(len(orders)) for part in (self._width, self._first))
        node, start = ragged(first, width), starts(width)
        rows = torch.arange(node.numel())
        label = torch.full_like(node, self.subsets.size(0))
        label[(start[:-1] - first).view(-1, len(orders), 1) + self.subsets.t()[:, None]] = orders
        names = self._colours(label, num_layers, len(orders)) if merge else [label] + [rows] * num_layers
        steps: list[Step] = []
        size = self.subsets.size(0) + 1
        for layer, (below, here) in enumerate(pairwise(names)):
            if layer > 1 and names[layer - 1] is below is here:
                steps.append(steps[-1])
                continue
            chosen = torch.from_numpy(_one_of_each(here.numpy()))
            matrices = self._between(node[chosen], chosen, below, size)
            steps.append(Step(below[chosen].to(self._device), matrices))
            size = chosen.numel()
        into = ragged(starts(self._width)[:-1].repeat_interleave(len(orders)), width)
        share = torch.full(into.shape, 1 / len(orders), dtype=torch.float64)
        mean = SparseMatrix.from_edges(torch.stack([names[-1], into]), share, (size, self._node.numel()))
        return steps, mean.to(self._device)

    def _colours(self, label: Tensor, num_layers: int, num_orders: int) -> list[Tensor]:
        """The colour of each row before and after each layer."""
        from graphkit.algorithms.kernels import colouring as kernels

        whole, width = self._whole, self._node_start.diff()
        kinds = whole.to_csr(self._type)
        copies = torch.bincount(self.graph.cpu(), minlength=width.numel()) * num_orders
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

    def _between(self, node: Tensor, row: Tensor, names: Tensor, size: int) -> list[SparseMatrix]:
        """Per kind, the edges into some rows, given with their nodes, from the ``size`` rows that have these names."""
        matrices = []
        for pattern in self._patterns:
            degree = pattern.in_degree[node]
            entries = ragged(pattern.rowptr[node], degree)
            source = names[pattern.col[entries] + (row - node).repeat_interleave(degree)]
            matrices.append(SparseMatrix(SparsityPattern(starts(degree), source, None, size)).to(self._device))
        return matrices


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
