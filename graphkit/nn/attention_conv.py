"""What layers of attention have in common: pairs of features, self-loops with features, weights that are handed out."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from graphkit import ops
from graphkit.core.constraints import Finite
from graphkit.core.validate import checked_edge_attr
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import check_width, explain_dtype, of_layout, refuse_static, widths_of
from graphkit.ops import Scores, SparsityPattern
from graphkit.ops.dropout import dropout

Fill = Finite | Tensor | Literal["sum", "add", "mean", "mul", "min", "max"]


class Edges(NamedTuple):
    """Edges as a layer uses them.

    Attributes:
        pattern: The pattern, in the direction of the messages.
        attr: The features of edges; ``None`` if there are none.
        size: The numbers of sources and targets.
    """

    pattern: SparsityPattern
    attr: Tensor | None
    size: tuple[int, int]


class AttentionConv(Layer):
    r"""A layer that sums messages with weights which it computes for every edge and head.

    Arguments, parameters and results are those of PyG's layer, with which state dicts can be exchanged. Sums run in
    compiled kernels, see :func:`~graphkit.ops.attention`; messages are sent one by one only where something asks for
    them, or another ``aggr`` than the sum.

    Where PyG differs: edge features that a layer was not built for are refused; edge masks act on self-loops of the
    graph, too; weights are returned with ``edge_index`` in every form of a graph, its edges in their order and
    self-loops that were missing at the end.

    Usual arguments:
        in_channels: Size of each input row, or a pair for sources and targets; -1 takes it from the first input.
        out_channels: Size of each head's output row.
        heads: The number of heads.
        concat: Whether the outputs of heads are concatenated, or else averaged.
        negative_slope: The slope of the leaky ReLU at negative numbers.
        dropout: The probability of dropping a weight while training.
        add_self_loops: Whether every node has one self-loop, which takes the place of those it has (default:
            ``False``).
        edge_dim: The number of edge features; ``None`` for no edge features.
        fill_value: Edge features of self-loops: a number, a tensor, or by which of PyG's reductions (``"mean"``, ...)
            of the edges that enter the node (default: ``"mean"``).
        bias: Whether there is an additive bias.
        residual: Whether a linear map of the target's features is added.

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`), or a pair of
          the features of sources and of targets; ``edge_index`` ``[2, num_edges]``; ``edge_attr``
          ``[num_edges, edge_dim]`` (optional)
        - **output:** ``[num_nodes, heads * out_channels]``, or ``[num_nodes, out_channels]`` where heads are averaged;
          with ``return_attention_weights`` followed by ``(edge_index, weights)``, of shape ``[num_edges, heads]``
    """

    heads: int
    out_channels: int
    dropout: float
    concat: bool
    bipartite = True
    bias: nn.Parameter | None
    res: Linear | None
    lin_edge: Any

    def __init__(
        self,
        in_channels: Any,
        out_channels: int,
        heads: int,
        concat: bool,
        dropout: float,
        edge_dim: int | None,
        add_self_loops: bool = False,
        fill_value: Any = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(node_dim=0, **kwargs)
        self.in_channels, self.out_channels, self.heads, self.concat = in_channels, out_channels, heads, concat
        self.dropout, self.edge_dim = dropout, edge_dim
        self.add_self_loops, self.fill_value = add_self_loops, fill_value

    @property
    def total_channels(self) -> int:
        """Size of each output row."""
        return self.out_channels * (self.heads if self.concat else 1)

    def pair(self, x: Any) -> tuple[Any, Any]:
        """The features of sources and of targets, of which the latter may be ``None``.

        Raises:
            ValueError: If they are features of static graphs, which PyG refuses, too.
        """
        pair = tuple(x) if isinstance(x, tuple | list) else (x, x)
        if len(pair) != 2:
            raise ValueError(f"{type(self).__name__}: expected a pair of features (x_source, x_target)")
        first, second = (None if part is None else of_layout(self, part) for part in pair)
        for part in (first, second):
            if part is not None and len(part.shape) != 2:
                refuse_static(self, part)
        second = first if pair[0] is pair[1] else second
        source, target = (first, second) if self.flow == "source_to_target" else (second, first)
        if source is None:
            raise ValueError(f"{type(self).__name__}: the features that messages start from are None")
        return source, target

    def mapped(self, lin: Any, x: Any) -> Tensor:
        """A linear map of nodes' features, ``[num_nodes, heads, out_channels]``."""
        check_width(self, x)
        try:
            return self.by_head(lin(x))
        except (RuntimeError, TypeError):
            explain_dtype(self, x)
            raise

    def by_head(self, z: Tensor) -> Tensor:
        """The channels of all heads, head by head."""
        return z.view(z.size(0), self.heads, self.out_channels)

    def prepared(self, edge_index: Any, edge_attr: Tensor | None, size: tuple[int, int]) -> Edges:
        """The edges, with self-loops where they are to be added, and their features."""
        if edge_attr is not None and self.edge_dim is None:
            raise ValueError(
                f"{type(self).__name__}: edge_attr is given, but edge_dim=None; say how many edge features there are"
            )
        pattern = ops.unweighted_pattern(self.edges(edge_index, size), size, type(self).__name__)
        if edge_attr is not None:
            edge_attr = checked_edge_attr(edge_attr, pattern.num_edges, self.edge_dim, type(self).__name__)
        if not self.add_self_loops:
            return Edges(pattern, edge_attr, size)
        looped, ids = pattern.with_self_loops(
            torch.arange(pattern.num_edges, device=pattern.device), -1, bipartite=True
        )
        if edge_attr is not None:
            edge_attr = self._with_loops(pattern, looped, ids, edge_attr)
        return Edges(looped, edge_attr, size)

    def _with_loops(self, old: Any, new: Any, ids: Any, edge_attr: Tensor) -> Tensor:
        """The features of edges, those of self-loops as ``fill_value`` says."""
        source, target = old.col, old.row
        count, values = min(old.shape), old.to_csr(edge_attr)
        if isinstance(self.fill_value, str):
            group = torch.where(source == target, old.num_rows, target)  # loops do not count
            fill = scatter(values, group, 0, old.num_rows + 1, self.fill_value)[:count]
        else:
            fill = torch.as_tensor(self.fill_value, dtype=edge_attr.dtype, device=edge_attr.device)
            fill = fill.expand(count, edge_attr.size(1))
        source, target = new.to_edges(new.col), new.to_edges(new.row)
        own = torch.cat([edge_attr, edge_attr.new_zeros(1, edge_attr.size(1))]).index_select(
            0, ids % (old.num_edges + 1)
        )
        is_loop = (source == target).unsqueeze(1)
        return torch.where(is_loop, fill.index_select(0, target.clamp(max=count - 1)), own) if count else own

    def attend(
        self, edges: Edges, scores: Scores, value: Tensor, edge_value: Tensor | None = None, weights: bool = False
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The sums ``[num_targets, heads, out_channels]``, and if asked for the weights before and after dropout."""
        pattern, rate = edges.pattern, self.dropout if self.training else 0.0
        if not weights and not self.sends_messages:
            return ops.attention(pattern, scores, value, edge_value, dropout=rate), None, None
        alpha = ops.attention_weights(pattern, scores)
        used = dropout(alpha, rate)
        if self.sends_messages:
            out = self.send(
                pattern.edge_index(),
                edges.size,
                edge_id=pattern.edge_id,
                x=value,
                alpha=used,
                edge_value=edge_value,
            )
        else:
            out = ops.attention(pattern, Scores.given(used), value, edge_value, normalize=None)
        return (out, alpha, used) if weights else (out, None, None)

    def message(self, x_j: Tensor, alpha: Tensor, edge_value: Tensor | None) -> Tensor:  # type: ignore[override]
        """What a source tells a target, by the weight of the edge."""
        return alpha.unsqueeze(-1) * (x_j if edge_value is None else x_j + edge_value)

    def merged(self, out: Tensor, *terms: Tensor | None) -> Tensor:
        """The heads' outputs, side by side or averaged, plus terms of this shape."""
        out = out if self.concat else out.mean(1)
        for term in terms:
            if term is not None:  # in place, one pass over a large matrix less; on a view, autograd would copy
                out = out.add_(term.view(term.shape[:-1] + out.shape[1:]))
        return out.flatten(1)

    def finished(self, out: Tensor, own: Any, edges: Edges, weights: Tensor | None) -> Any:
        """The result, from the sums and the features of targets."""
        residual = None if self.res is None or own is None else self.res(own)
        return self.returned(self.merged(out, residual, self.bias), edges, weights)

    def returned(self, out: Tensor, edges: Edges, weights: Tensor | None) -> Any:
        """The result, with the edges and weights if they are asked for."""
        if weights is None:
            return out
        ends = edges.pattern.edge_index()
        return out, (ends if self.flow == "source_to_target" else ends.flip(0), weights)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, heads={self.heads})"


def bipartite_linears(in_channels: Any, width: int, **kwargs: Any) -> tuple[Linear, Linear]:
    """One linear map for the features of sources and one for those of targets."""
    first, second = widths_of(in_channels)
    return Linear(first, width, **kwargs), Linear(second, width, **kwargs)
