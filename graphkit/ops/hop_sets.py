"""The pairs of nodes at each distance, in both compressed orders, for kernels that read one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.core.caching import Caching
from graphkit.ops.pattern import SparsityPattern

_SHARED = 64  # layers that read up to so many distances share what is made of them


@dataclass(frozen=True)
class HopSets(Caching):
    """The pairs at the distances ``1..num_hops``; distance 0 stands for a set that is empty.

    Attributes:
        ptr: Where the sources of each target begin and, in the next entry, end, ``[1 + num_hops, num_nodes + 1]``.
        col: The sources of all distances, one distance after the other, target by target.
        colptr: Where the targets of each source begin, as ``ptr``.
        row: The targets, source by source.
        loops: Whether self-loops are left out of the sets, because each node is to have one.
    """

    ptr: Tensor
    col: Tensor
    colptr: Tensor
    row: Tensor
    loops: bool

    def number(self, distance: int) -> int:
        """Where the set of a distance is; that of no pairs for one that no pair has."""
        return distance if distance < self.ptr.size(0) else 0

    def pattern(self, number: int) -> SparsityPattern:
        """The pattern of a set, by the number of :meth:`number`."""
        begins = self.ptr[number]
        col = self.col[begins[0] : begins[-1]].long()
        return SparsityPattern(begins - begins[0], col, None, begins.numel() - 1)

    def scales(self, dtype: torch.dtype) -> Tensor:
        r""":math:`1 / \\sqrt{d}` of each target, its self-loop counted; all ones without loops."""
        return self.cached(("scales", dtype), lambda: self._scales(dtype))

    def _scales(self, dtype: torch.dtype) -> Tensor:
        degree = self.ptr.diff(dim=1)
        return (degree + 1).to(dtype).rsqrt_() if self.loops else torch.ones_like(degree, dtype=dtype)


def hop_sets(graph: SparsityPattern, distance: Tensor, num_hops: int, loops: bool) -> HopSets:
    """The pairs of a graph by distance, made in one pass over them and kept with the graph.

    Args:
        graph: All pairs, on the CPU.
        distance: The distance of each, ``[num_edges]``.
        num_hops: The distances wanted are those up to this one.
        loops: Whether each node is to have one self-loop in each set, in place of those that are there.
    """
    limit = max(num_hops, _SHARED)
    return graph.cached(("hop sets", limit, loops), lambda kind: _by_distance(graph, kind, limit, loops), distance)


def _by_distance(graph: SparsityPattern, distance: Tensor, limit: int, loops: bool) -> HopSets:
    from graphkit.ops import hop_kernels

    kind = distance.to(torch.int64).clamp(0, limit + 1)
    kind = kind.masked_fill_(kind > limit, 0)
    kind = graph.to_csr(kind)
    if loops:
        kind = kind.masked_fill(graph.row == graph.col, 0)
    sizes = torch.bincount(kind, minlength=1)
    shape = sizes.numel(), graph.num_rows + 1
    ptr, colptr = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    col, row = (torch.empty(int(sizes[1:].sum()), dtype=torch.int32) for _ in range(2))
    hop_kernels.sort_by_distance(graph.rowptr, graph.col, kind, ptr, col, colptr, row)
    return HopSets(ptr, col, colptr, row, loops)
