"""Paths as what an encoder reads step by step, and an LSTM that runs every common beginning once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphkit.core.devices import CPU, Asked, read
from graphkit.ops import SparsityPattern, backend
from graphkit.ops.facts import positions
from graphkit.ops.groups import ask_index
from graphkit.ops.indices import look_up

_DISTANCES = 128  # paths have up to 127 edges

sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


class Step(NamedTuple):
    """One step of the LSTM for all its cells, each a path read so far.

    Attributes:
        parent: Which cell of the step before goes on here ``[num_cells]``; ``None`` in the first step.
        node: The node that is read ``[num_cells]``.
        distance: Its distance to the end of the path ``[num_cells]``, if paths are told apart by it.
        edge: The edge that leads from the parent's node to this one ``[num_cells]``; ``None`` in the first step.
    """

    parent: Tensor | None
    node: Tensor
    distance: Tensor | None
    edge: Tensor | None


class AskedPaths(NamedTuple):
    """What a device is asked of paths, so that the host waits once for the answers of all layers.

    Attributes:
        ends: The node where each path ends ``[num_paths]``.
        hops: For each edge of the paths its position in the pattern, and whether there is one, ``[num_paths]`` each.
        order: The paths in the order of what is read ``[num_paths]``.
        begins: For each step but the last, which of them are read there for the first time; empty if none are merged.
        answers: How many these are, then whether an edge is missing; ``None`` for paths of no edge.
    """

    ends: Tensor
    hops: list[tuple[Tensor, Tensor]]
    order: Tensor
    begins: list[Tensor]
    answers: Asked | None


def ask_paths(index: Tensor, distance: Tensor | None, graph: SparsityPattern, merge: bool = True) -> AskedPaths:
    """What :func:`read_paths` asks a device; the arguments are the same."""
    rows, far = _rows(index, distance)
    hops = [_found(*ends, graph) for ends in pairwise(rows)]
    order, begins = _beginnings(_columns(rows[:-1], far[:-1])) if merge else (rows[-1], [])
    if rows[-1].numel() > 0:
        ask_index(rows[-1])
    numbers = [*(begin.sum() for begin in begins), *((~found).any() for _, found in hops)]
    return AskedPaths(rows[-1], hops, order, begins, Asked(numbers) if numbers else None)


def read_paths(
    index: Tensor, distance: Tensor | None, graph: SparsityPattern, merge: bool = True, asked: AskedPaths | None = None
) -> list[Step]:
    r"""The steps in which an LSTM reads paths from where they begin to where they end.

    What an LSTM knows depends only on what it has read, so paths that begin alike share cells up to where they part:
    the steps are the levels of a trie. The last step always has one cell per path, in the order of the paths.

    Args:
        index: Nodes of each path, first the one where it ends, as :class:`~graphkit.algorithms.PathSet` has them.
        distance: The distance that is read with each node; ``None`` if none is.
        graph: The graph, whose edges the paths run along.
        merge: Whether paths share cells (default: ``True``).
        asked: What a device was asked before (default: it is asked now).

    Shapes:
        - **index:** ``[k + 1, num_paths]``
        - **distance:** ``[num_paths, k + 1]``

    Raises:
        ValueError: If a path uses an edge that the graph does not have.
    """
    rows, far = _rows(index, distance)
    if asked is None and index.device != CPU:
        asked = ask_paths(index, distance, graph, merge)
    whole = torch.arange(index.size(1), device=index.device)
    paths: list[Any] = [slice(None)] * len(rows)  # of each step, one for each cell
    cell = [whole] * len(rows)  # of each step and path
    if merge:
        paths[:-1], cell[:-1] = _shared(rows[:-1], far[:-1], graph.num_rows) if asked is None else _by_order(asked)
    steps: list[Step] = []
    known = []
    for i, path in enumerate(paths):
        hops = far[i]
        node, hops, parent, edge = rows[i][path], None if hops is None else hops[path], None, None
        if i > 0:
            parent = cell[i - 1][path]
            if asked is None:
                position, found = _found(steps[-1].node[parent], node, graph)
                known.append(found)
            else:
                position = asked.hops[i - 1][0][path]
            edge = position if graph.perm is None else graph.perm[position]
        steps.append(Step(parent, node, hops, edge))
    if asked is not None:
        known = [found for _, found in asked.hops]
        lacks = asked.answers.values[len(asked.begins) :] if asked.answers else []
    else:
        lacks = read(*((~found).any() for found in known)) if known else []
    for i, (found, lack) in enumerate(zip(known, lacks, strict=True), 1):
        if lack:
            path = slice(None) if asked is not None else paths[i]
            _refuse(rows[i - 1][path], rows[i][path], found)
    return steps


def _rows(index: Tensor, distance: Tensor | None) -> tuple[list[Tensor], list[Any]]:
    """What is read in each step: nodes, and their distances or ``None``."""
    rows = list(index.long().flip(0))
    return rows, [None] * len(rows) if distance is None else list(distance.long().t().flip(0))


def _columns(rows: Sequence[Tensor], far: Sequence[Tensor | None]) -> list[Tensor]:
    """Nodes and distances as one number."""
    return [node if hops is None else node * _DISTANCES + hops for node, hops in zip(rows, far)]


def _shared(rows: Sequence[Tensor], far: Sequence[Tensor | None], num_nodes: int) -> tuple[list[Tensor], list[Tensor]]:
    """For each step a path of each cell, and the cell of each path; cells are in the order of what they read."""
    columns, base = _columns(rows, far), num_nodes if far[0] is None else num_nodes * _DISTANCES
    paths: list[Tensor] = []
    cells: list[Tensor] = []
    whole = torch.arange(columns[0].numel())
    for column in columns:
        key, cell = (cells[-1] * base + column if cells else column).unique(return_inverse=True)
        paths.append(torch.empty_like(key).scatter_(0, cell, whole))  # some path of each cell; all read the same
        cells.append(cell)
    return paths, cells


def _beginnings(columns: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Paths in order, and for each step which of them begin unlike the one before."""
    order = torch.arange(columns[0].numel(), device=columns[0].device)
    for column in reversed(columns):
        order = order[column[order].sort(stable=True).indices]
    begin, begins = torch.ones_like(order, dtype=torch.bool), []
    begin[1:] = False
    for column in columns:
        ordered = column[order]
        begin = begin.clone()
        begin[1:] |= ordered[1:] != ordered[:-1]
        begins.append(begin)
    return order, begins


def _by_order(asked: AskedPaths) -> tuple[list[Tensor], list[Tensor]]:
    """What :func:`_shared` returns, where the host would wait for each set of unique keys."""
    order, begins, numbers = asked.order, asked.begins, asked.answers.values if asked.answers else []
    paths = [order[positions(*each)] for each in zip(begins, numbers)]
    return paths, [torch.empty_like(order).index_copy_(0, order, begin.cumsum(0) - 1) for begin in begins]


def is_closed(index: Tensor, graph: SparsityPattern) -> Tensor:
    """Whether an edge leads from each path's end to where it begins, a cycle of three edges or more ``[num_paths]``.

    Args:
        index: Nodes of each path ``[k + 1, num_paths]``, first the one where it ends.
        graph: The graph.
    """
    if index.size(0) < 3:
        return torch.zeros(index.size(1), dtype=torch.bool, device=index.device)
    return _found(index[0].long(), index[-1].long(), graph)[1]


def _found(source: Tensor, target: Tensor, graph: SparsityPattern) -> tuple[Tensor, Tensor]:
    """The position of each edge in the pattern, and whether there is one."""
    return look_up(graph.row * graph.num_cols + graph.col, target * graph.num_cols + source)


def edges_between(source: Tensor, target: Tensor, graph: SparsityPattern) -> Tensor:
    """The ids of edges by their ends; of a repeated edge, the first."""
    position, known = _found(source, target, graph)
    if not bool(known.all()):
        _refuse(source, target, known)
    return position if graph.perm is None else graph.perm[position]


def _refuse(source: Tensor, target: Tensor, known: Tensor) -> None:
    bad = int((~known).nonzero()[0])
    raise ValueError(
        f"a path goes from node {int(source[bad])} to node {int(target[bad])}, but the graph has no such edge; "
        "compute the paths after the last change of the edges"
    )


def path_lstm(
    steps: Sequence[tuple[Tensor | None, Tensor, Tensor | None]],
    weight_hh: Tensor,
    table: Tensor,
    distance_table: Tensor | None = None,
) -> Tensor:
    r"""The last hidden state of an LSTM for each path, from inputs that are already multiplied by its weights.

    .. math::
        (i, f, g, o) = T_{\mathrm{row}} + D_{\mathrm{distance}} + W h_{\mathrm{parent}}, \quad
        c = \sigma(f) \, c_{\mathrm{parent}} + \sigma(i) \tanh(g), \quad h = \sigma(o) \tanh(c)

    for every cell of every step. The backward pass is written by hand: gradients of cells that share a parent are added
    before they are multiplied by :math:`W`. It cannot be differentiated again.

    Args:
        steps: For each step the parents of its cells, their rows of ``table`` and of ``distance_table``.
        weight_hh: The recurrent weights :math:`W`.
        table: Inputs :math:`T`, bias included.
        distance_table: Further inputs :math:`D` that are added (default: none).

    Shapes:
        - **weight_hh:** :math:`(4h, h)`
        - **table, distance_table:** :math:`(*, 4h)`
        - **output:** :math:`(P, h)` for :math:`P` cells in the last step
    """
    weight_hh = weight_hh.to(table.dtype)
    return _PathLSTM.apply(steps, weight_hh, table, distance_table)


class _PathLSTM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, steps: Any, weight: Tensor, table: Tensor, distance_table: Tensor | None) -> Tensor:
        h: Tensor | None = None
        c: Tensor | None = None
        saved: list[Tensor] = []
        products = _workspace(table, steps[:-1])
        for parent, row, distance in steps:
            recurrent = None if h is None else torch.mm(h, weight.t(), out=products[: h.size(0)])
            gates = table.new_empty(row.numel(), table.size(1))
            new_h, new_c, tanh_c = (table.new_empty(row.numel(), weight.size(1)) for _ in range(3))
            for rows in _blocks(gates):
                block = torch.index_select(table, 0, row[rows], out=gates[rows])
                if distance_table is not None:
                    block += distance_table.index_select(0, distance[rows])
                if recurrent is not None:
                    block += recurrent.index_select(0, parent[rows])
                i, f, g, o = block.view(-1, 4, weight.size(1)).unbind(1)
                for gate in (i, f, o):
                    gate.sigmoid_()
                _tanh(g, out=g)
                cell = torch.mul(i, g, out=new_c[rows])
                if c is not None:
                    cell.addcmul_(f, c.index_select(0, parent[rows]))
                torch.mul(o, _tanh(cell, out=tanh_c[rows]), out=new_h[rows])
            h, c = new_h, new_c
            saved += [gates, c, tanh_c]
        ctx.steps = steps
        ctx.num_distances = None if distance_table is None else distance_table.size(0)
        ctx.num_rows = table.size(0)
        ctx.save_for_backward(weight, *saved)
        assert h is not None
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> Any:
        weight, *saved = ctx.saved_tensors
        width = weight.size(1)
        grad_weight = torch.zeros_like(weight)
        grad_table = weight.new_zeros(ctx.num_rows, weight.size(0))
        grad_distance = None if ctx.num_distances is None else weight.new_zeros(ctx.num_distances, weight.size(0))
        grad_c = None
        grads = _workspace(grad_table, ctx.steps)
        for level in range(len(ctx.steps) - 1, -1, -1):
            parent, row, distance = ctx.steps[level]
            gates, c, tanh_c = saved[3 * level : 3 * level + 3]
            parent_c = saved[3 * level - 2] if level > 0 else None
            grad = grads[: row.numel()]
            through_forget = torch.empty_like(c)
            for rows in _blocks(gates):
                i, f, g, o = gates[rows].view(-1, 4, width).unbind(1)
                di, df, dg, do = grad[rows].view(-1, 4, width).unbind(1)
                t, dh = tanh_c[rows], grad_h[rows]
                sigmoid_backward(dh * t, o, grad_input=do)
                dc = tanh_backward(dh * o, t)
                if grad_c is not None:
                    dc += grad_c[rows]
                sigmoid_backward(dc * g, i, grad_input=di)
                tanh_backward(dc * i, g, grad_input=dg)
                if parent_c is None:
                    df.zero_()
                else:
                    sigmoid_backward(dc * parent_c.index_select(0, parent[rows]), f, grad_input=df)
                    torch.mul(dc, f, out=through_forget[rows])
            grad_table.index_add_(0, row, grad)
            if grad_distance is not None and grad.is_cuda:
                grad_distance.index_add_(0, distance, grad)
            elif grad_distance is not None:  # many rows for each distance: a product is faster
                chosen = torch.nn.functional.one_hot(distance, ctx.num_distances).to(grad.dtype)
                grad_distance.addmm_(chosen.t(), grad)
            if level > 0:
                parents = saved[3 * level - 2].size(0)
                summed = backend.scatter(grad, parent, parents, "sum")
                grad_c = backend.scatter(through_forget, parent, parents, "sum")
                parent_h = saved[3 * level - 3].view(-1, 4, width)[:, 3] * saved[3 * level - 1]
                grad_weight.addmm_(summed.t(), parent_h)
                grad_h = summed @ weight
        return None, grad_weight, grad_table, grad_distance


def _tanh(x: Tensor, out: Tensor) -> Tensor:
    """On a CPU by the sigmoid, which torch computes ten times as fast; the error is below 2e-7 in single precision."""
    return torch.tanh(x, out=out) if x.is_cuda else torch.mul(x, 2, out=out).sigmoid_().mul_(2).sub_(1)


def _workspace(table: Tensor, steps: Sequence[tuple[Tensor | None, Tensor, Tensor | None]]) -> Tensor:
    """A row for each cell of the largest step, for all steps: fresh memory would take a third of a product's time."""
    return table.new_empty(max((row.numel() for _, row, _ in steps), default=0), table.size(1))


def _blocks(gates: Tensor) -> list[slice]:
    """Rows in blocks that stay in a processor's cache, or take little of a GPU's memory."""
    num_rows, width = gates.shape
    size = (backend.DEVICE_BLOCK if gates.is_cuda else backend.BLOCK) // width + 1
    return [slice(start, start + size) for start in range(0, num_rows, size)] if num_rows > 0 else []
