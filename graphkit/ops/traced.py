"""The pattern of a graph while torch traces or transforms a function, in plain operations that every tracer knows.

Ordinarily a graph's pattern is looked up by identity and contents and multiplied by a sparse kernel, of which neither
``torch.compile`` and ``torch.export`` nor the transforms of ``torch.func`` know anything. To them the pattern is a list
of edges; they fuse what is done with it themselves, for graphs of any size. Only ``torch.compile`` on the CPU is given
a product as an operator of its own (:mod:`graphkit.ops.edge_list`), which keeps no row per edge.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch_geometric import EdgeIndex


def tracing() -> bool:
    """Whether torch traces or transforms the calling code."""
    return (
        torch.compiler.is_compiling()
        or torch._C._functorch.maybe_current_level() is not None
        or torch.jit.is_tracing()  # whose sizes are tensors
    )


def is_traced(graph: Any) -> bool:
    """Whether torch traces or transforms the calling code, and the graph is a tensor of edges."""
    return (
        tracing() and isinstance(graph, Tensor) and graph.layout == torch.strided and not isinstance(graph, EdgeIndex)
    )


def _is_compiling(x: Tensor) -> bool:
    """Whether ``torch.compile`` alone traces code of the CPU, whose own sums over edges are slow there.

    Programs that are exported are of torch's operators only, and transforms of ``torch.func`` know those only.
    """
    alone = torch.compiler.is_dynamo_compiling() and not torch.compiler.is_exporting()
    return alone and torch._C._functorch.maybe_current_level() is None and x.device.type == "cpu"


class EdgeList:
    r"""A pattern as a list of entries, in the order of the edges; what a :class:`SparsityPattern` is to ordinary code.

    How many edges a part of the graph has depends on their contents, which a tracer does not know. A part is
    therefore the list of all edges with a mask; the others have the value 0, or no share of a softmax.

    Args:
        source: The column of each entry.
        target: The row of each entry.
        num_cols: The number of columns.
        num_rows: The number of rows.
        live: Which entries there are (default: all).
    """

    traced = True
    edge_id = None  # masks of edges are no matter of tracers

    def __init__(
        self, source: Tensor, target: Tensor, num_cols: int, num_rows: int, live: Tensor | None = None
    ) -> None:
        self.col, self.row, self.live = source, target, live
        self.num_cols, self.num_rows, self.num_edges = num_cols, num_rows, source.size(0)
        self.shape, self.device = (num_rows, num_cols), source.device

    @property
    def T(self) -> EdgeList:
        """The list of the reversed edges."""
        return EdgeList(self.row, self.col, self.num_rows, self.num_cols, self.live)

    @property
    def in_degree(self) -> Tensor:
        """The number of entries of each row."""
        return self.row_sum(self.to_csr(torch.ones_like(self.row)))

    def inverse_degree(self, dtype: torch.dtype) -> Tensor:
        """One over the number of entries in each row, 1 where there is none."""
        return self.in_degree.clamp(min=1).to(dtype).reciprocal()

    def refuse(self, what: str) -> NoReturn:
        """Refuse to tell what follows from the contents of edges."""
        raise AttributeError(
            f"{what} of a graph would follow from the contents of its edges, which torch.compile, torch.export and "
            "torch.func do not show; call outside of them, for torch.compile in a function with torch.compiler.disable"
        )

    __getattr__ = refuse

    def edge_index(self) -> Tensor:
        """Sources and targets ``[2, *]`` of the edges that are there."""
        ends = torch.stack([self.col, self.row])
        return ends if self.live is None else ends[:, self.live]

    def to_csr(self, per_edge: Tensor) -> Tensor:
        """Values per entry, 0 where there is none; the order is that of the edges."""
        return per_edge if self.live is None else per_edge * self.live.view(-1, *[1] * (per_edge.dim() - 1))

    def to_edges(self, per_entry: Tensor) -> Tensor:
        """The values themselves."""
        return per_entry

    to_csc = to_edges

    def cached(self, key: Hashable, make: Callable[..., Any], *inputs: Tensor | None) -> Any:
        """``make(*inputs)``; nothing is kept."""
        return make(*inputs)

    def where(self, kept: Tensor) -> EdgeList:
        """The entries for which ``kept`` is true."""
        live = kept if self.live is None else self.live & kept
        return EdgeList(self.col, self.row, self.num_cols, self.num_rows, live)

    def with_self_loops(
        self, weight: Tensor | None = None, fill: float = 1.0, bipartite: bool = False
    ) -> tuple[EdgeList, Tensor | None]:
        """One self-loop per node at the end, of the last one's weight where there are some, which are there no more."""
        count = min(self.num_rows, self.num_cols) if bipartite else self.num_rows
        nodes, edges = torch.arange(count, device=self.device), torch.arange(self.num_edges, device=self.device)
        is_loop = self.col == self.row
        is_loop = is_loop if self.live is None else is_loop & self.live
        others = ~is_loop if self.live is None else ~is_loop & self.live
        out = EdgeList(
            torch.cat([self.col, nodes]),
            torch.cat([self.row, nodes]),
            self.num_cols,
            self.num_rows,
            torch.cat([others, torch.ones_like(nodes, dtype=torch.bool)]),
        )
        if weight is None:
            return out, None
        last = edges.new_full((count + 1,), -1)
        last = last.scatter_reduce(0, torch.where(is_loop, self.row, count), edges, "amax")[:-1]
        padded = torch.cat([weight, weight.new_full((1,), fill)])
        return out, torch.cat([weight, padded.index_select(0, torch.where(last < 0, self.num_edges, last))])

    def product(self, values: Tensor | None, x: Tensor) -> Tensor:
        """The sum over each row of the sources' rows of ``x``, by value."""
        if _is_compiling(x) and (values is None or values.dtype == x.dtype):
            from graphkit.ops.edge_list import edge_product

            if values is None and self.live is not None:
                values = self.live.to(x.dtype)
            return edge_product(self.row, self.col, values, x, self.num_rows)
        messages = x.index_select(0, self.col)
        return self.row_sum(self.to_csr(messages) if values is None else values.unsqueeze(1) * messages)

    def extreme(self, values: Tensor | None, x: Tensor, reduce: str) -> Tensor:
        """The max or min over each row of the sources' rows of ``x``, by value; 0 for empty rows."""
        messages = x.index_select(0, self.col)
        messages = messages if values is None else values.unsqueeze(1) * messages
        worst = -torch.inf if reduce == "max" else torch.inf
        if self.live is not None:
            messages = messages.masked_fill(~self.live.unsqueeze(1), worst)
        index = self.row.unsqueeze(1).expand_as(messages)
        out = messages.new_full((self.num_rows, x.size(1)), worst).scatter_reduce(0, index, messages, f"a{reduce}")
        return out.masked_fill((self.in_degree == 0).unsqueeze(1), 0.0)

    def row_sum(self, values: Tensor) -> Tensor:
        """The sum of each row's values ``[num_edges, *]``."""
        return values.new_zeros(self.num_rows, *values.shape[1:]).index_add(0, self.row, values)

    def row_softmax(self, values: Tensor) -> Tensor:
        """The softmax over each row's values ``[num_edges, *]``."""
        if self.live is not None:
            values = values.masked_fill(~self.live.view(-1, *[1] * (values.dim() - 1)), -torch.inf)
        index = self.row.view(-1, *[1] * (values.dim() - 1)).expand_as(values)
        top = values.new_full((self.num_rows, *values.shape[1:]), -torch.inf)
        top = top.scatter_reduce(0, index, values.detach(), "amax").index_select(0, self.row)
        shares = (values - top.masked_fill(top == -torch.inf, 0.0)).exp()
        total = self.row_sum(shares)
        return shares / total.masked_fill(total == 0, 1.0).index_select(0, self.row)
