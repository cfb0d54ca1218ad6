"""Functions of what edges and their ends have, a block of edges at a time where there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from graphkit.ops import backend
from graphkit.ops.fused import Kernels
from graphkit.ops.rows import row_sum
from graphkit.ops.traced import tracing

Function = Callable[..., Tensor]
Given = Sequence[Tensor | None]


def at_edges(
    graph: Any, function: Function, source: Given = (), target: Given = (), edge: Given = (), shared: Given = ()
) -> Tensor:
    r"""A function of what each edge's ends have, what it has itself, and what all edges share.

    Where rows of all that is given, gathered for all edges, would take more than ``backend.DEVICE_BLOCK`` numbers, the
    function is computed for a block of edges at a time, and again on the way back, so that nothing but the result has a
    row per edge. Differentiable any number of times.

    Args:
        graph: A :class:`~graphkit.ops.SparsityPattern` or a list of edges.
        function: Of the rows that were gathered for some edges, in the order of the arguments below.
        source: What sources have, ``[num_cols, *]`` each (default: nothing).
        target: What targets have, ``[num_rows, *]`` each (default: nothing).
        edge: What edges have, ``[num_edges, *]`` each, in the order of the graph's entries, as is the result
            (default: nothing).
        shared: What all edges share (default: nothing).
    """
    return _over_edges(graph, function, False, source=source, target=target, edge=edge, shared=shared)


def sum_over_edges(
    graph: Any, function: Function, source: Given = (), target: Given = (), edge: Given = (), shared: Given = ()
) -> Tensor:
    """The sums of :func:`at_edges` over the edges that enter each target, ``[num_rows, *]``; arguments are the same."""
    return _over_edges(graph, function, True, source=source, target=target, edge=edge, shared=shared)


def _over_edges(graph: Any, function: Function, summed: bool, **given: Given) -> Tensor:
    places = [place for place, inputs in given.items() for _ in inputs]
    inputs = [x for each in given.values() for x in each]
    width = sum(x.shape[1:].numel() for x, place in zip(inputs, places) if x is not None and place != "shared")
    step = max(1, backend.DEVICE_BLOCK // max(1, width))
    work = _Blocks(graph, function, summed, places, step)
    if tracing() or graph.num_edges <= step:
        return work.definition(*inputs)
    return Kernels(work.forward, work.backward, work.definition)(*inputs)


class _Blocks:
    """The function of inputs that belong to the places named, for ``step`` edges at a time."""

    def __init__(self, graph: Any, function: Function, summed: bool, places: list[str], step: int) -> None:
        self.graph, self.function, self.summed, self.places, self.step = graph, function, summed, places, step

    def definition(self, *inputs: Tensor | None) -> Tensor:
        """All edges at once."""
        out = self.function(*self._rows(inputs, None))
        if not self.summed:
            return out
        return row_sum(self.graph, self.graph.to_csr(out) if self.graph.traced else out)

    def forward(self, *inputs: Tensor | None) -> tuple[Tensor, Sequence[Tensor]]:
        """The result."""
        out: Any = None
        for block, precision in self._blocks(inputs):
            with precision:
                part = self.function(*self._rows(inputs, block))
            if out is None:
                out = part.new_zeros(self.graph.num_rows if self.summed else self.graph.num_edges, *part.shape[1:])
            self._add(out, "target" if self.summed else "edge", block, part)
        return out, ()

    def backward(self, inputs: Given, kept: Sequence[Tensor], grad: Tensor) -> list[Tensor | None]:
        """The gradients of the inputs that want one."""
        form = torch.contiguous_format
        grads = [torch.zeros_like(x, memory_format=form) if x is not None and x.requires_grad else None for x in inputs]
        for block, precision in self._blocks(inputs):
            rows = [None if x is None else x.detach() for x in self._rows(inputs, block)]
            leaves = [row.requires_grad_() for row, total in zip(rows, grads) if row is not None and total is not None]
            with torch.enable_grad(), precision:
                out = self.function(*rows)
            found = iter(torch.autograd.grad(out, leaves, self._row(grad, "target" if self.summed else "edge", block)))
            for total, place in zip(grads, self.places):
                if total is not None:
                    self._add(total, place, block, next(found))
        return grads

    def _rows(self, inputs: Given, block: slice | None) -> list[Tensor | None]:
        return [None if x is None else self._row(x, place, block) for x, place in zip(inputs, self.places)]

    def _row(self, x: Tensor, place: str, block: slice | None) -> Tensor:
        """What the edges of a block, or all edges, see of what is at a place."""
        if place in ("source", "target"):
            return x.index_select(0, self._ids(place, block))
        return x if place == "shared" or block is None else x[block]

    def _add(self, total: Tensor, place: str, block: slice, part: Tensor) -> None:
        """Add what the edges of a block have to what is at a place."""
        if place in ("source", "target"):
            total.index_add_(0, self._ids(place, block), part)
        elif place == "edge":
            total[block] = part
        else:
            total += part

    def _ids(self, place: str, block: slice | None) -> Tensor:
        ids = self.graph.col if place == "source" else self.graph.row
        return ids if block is None else ids[block]

    def _blocks(self, inputs: Given) -> Iterator[tuple[slice, Any]]:
        """Block by block, each with a context without autocast, of which the way back would not know."""
        device = next(x for x in inputs if x is not None).device.type
        for start in range(0, self.graph.num_edges, self.step):
            yield slice(start, start + self.step), torch.autocast(device, enabled=False)
