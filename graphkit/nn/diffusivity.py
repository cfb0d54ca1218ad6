"""Attention as the diffusivity of a graph: who exchanges how much with whom."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import one_graph
from graphkit.ops import Scores, SparseMatrix, SparsityPattern
from graphkit.ops.attention import row_weights
from graphkit.ops.segment import group_rows, reduce_groups

Attention = Literal["scaled_dot", "cosine", "pearson", "exp_kernel", "additive"]
Axis = Literal["row", "column"]
Normalization = Literal["softmax", "squareplus"]
_SHORTEST = 1e-5  # norms below count as this in cosines
_SLOPE = 0.2  # of the leaky ReLU of additive scores


class AttentionDiffusion(Layer):
    r"""The right-hand side of graph diffusion with learnt diffusivity: :math:`f(X) = (A(X) - I) \, X`.

    From `"GRAND: Graph Neural Diffusion" <https://arxiv.org/abs/2106.10934>`_ (Chamberlain et al., ICML 2021).

    With queries :math:`q = W_q x + b_q`, keys :math:`k = W_k x + b_k` and :math:`d` channels per head, the score of the
    edge :math:`s \to t` is

    .. math::
        \frac{\langle q_t, k_s \rangle}{\sqrt d} \;\text{(scaled\_dot)}, \qquad
        \cos(q_t, k_s) \;\text{(cosine)}, \qquad
        \cos(q_t - \bar q_t, k_s - \bar k_s) \;\text{(pearson)}, \qquad
        v^2 e^{-\|q_t - k_s\|^2 / 2 \ell^2} \;\text{(exp\_kernel)}

    and :math:`A_{ts}` is the mean over heads of the normalised scores. Normalised by row, the edges that enter a node
    sum to 1: constants stay as they are, and no value leaves the range of the first ones. By column, the edges that
    leave a node sum to 1: the sum over all nodes is conserved.

    Nothing of size edges times channels exists, only scores per edge and head.

    Where sources differ: the paper divides by :math:`d`, the official code, as here, by its root. The official
    ``"squareplus"`` subtracts the maximum of all scores in a batch, which couples its graphs; here each graph has its
    own when ``batch`` is given. ``"additive"`` is the official GAT function, one vector pair for all heads; the heads'
    mean acts on :math:`x`.

    Args:
        in_channels: Size of each input and output row.
        attention_channels: Size of queries and keys, all heads together (default: 64).
        heads: The number of heads (default: 4).
        attention: ``"scaled_dot"``, ``"cosine"``, ``"pearson"``, ``"exp_kernel"`` or ``"additive"`` (default:
            ``"scaled_dot"``).
        axis: ``"row"`` to normalise over the edges that enter a node, ``"column"`` over those that leave it (default:
            ``"row"``).
        normalize: ``"softmax"``, or ``"squareplus"`` with :math:`(c + \sqrt{c^2 + 4}) / 2` for the exponential of
            :math:`c = \text{score} - \max \text{score}` (default: ``"softmax"``).
        mix: Map the aggregated values, too: :math:`A(X) X W W_{out} - X`; ``"additive"`` only (default: ``False``).
        official_batch_max: One maximum for the whole batch in ``"squareplus"`` (default: ``False``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]``, multiplied with the scores (optional); ``batch`` ``[num_nodes]`` (optional)
        - **output:** ``[num_nodes, in_channels]``

    Raises:
        ValueError: If a name is unknown or the heads do not divide ``attention_channels``.

    Example:
        >>> diffusion = AttentionDiffusion(3, attention_channels=4, heads=2)
        >>> edge_index = torch.tensor([[0, 1, 2], [1, 1, 0]])
        >>> diffusion(torch.ones(3, 3), edge_index).abs().amax(1).round(decimals=4).tolist()  # node 2 has no in-edge
        [0.0, 0.0, 1.0]
    """

    takes_sparse = False
    checks = Checks(
        [
            {"attention_channels": 4, "heads": 2},
            {"attention_channels": 4, "heads": 1, "attention": "cosine", "axis": "column"},
            {"attention_channels": 6, "heads": 2, "attention": "pearson"},
            {
                "attention_channels": 4,
                "heads": 2,
                "attention": "exp_kernel",
                "axis": "column",
                "normalize": "squareplus",
            },
            {"attention_channels": 4, "heads": 2, "attention": "additive", "mix": True},
        ]
    )

    def __init__(
        self,
        in_channels: Count,
        attention_channels: Count = 64,
        heads: Count = 4,
        attention: Attention = "scaled_dot",
        axis: Axis = "row",
        normalize: Normalization = "softmax",
        mix: bool = False,
        official_batch_max: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if attention_channels % heads != 0:
            raise ValueError(
                f"AttentionDiffusion: {heads} heads cannot share attention_channels={attention_channels} evenly; "
                "choose a multiple of heads"
            )
        if mix and attention != "additive":
            raise ValueError(f"AttentionDiffusion: mix=True needs attention='additive', not {attention!r}")
        self.in_channels, self.attention_channels, self.heads = in_channels, attention_channels, heads
        self.attention, self.axis, self.normalize = attention, axis, normalize
        self.mix, self.official_batch_max = mix, official_batch_max
        if attention == "additive":
            self.lin = nn.Linear(in_channels, attention_channels, bias=False)
            self.att = nn.Parameter(torch.empty(2, attention_channels // heads))
            self.lin_out = nn.Linear(attention_channels, in_channels, bias=False) if mix else None
        else:
            self.lin_query = nn.Linear(in_channels, attention_channels)
            self.lin_key = nn.Linear(in_channels, attention_channels)
        if attention == "exp_kernel":
            self.output_scale = nn.Parameter(torch.empty(1))
            self.length_scale = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: queries and keys start nearly constant, so that attention starts nearly uniform."""
        if self.attention == "additive":
            self.lin.reset_parameters()
            nn.init.xavier_normal_(self.att)
            if self.lin_out is not None:
                self.lin_out.reset_parameters()
            return
        for lin in (self.lin_query, self.lin_key):
            lin.reset_parameters()
            nn.init.constant_(lin.weight, 1e-5)
        if self.attention == "exp_kernel":
            nn.init.ones_(self.output_scale)
            nn.init.ones_(self.length_scale)

    @one_graph
    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None, batch: Tensor | None = None
    ) -> Tensor:
        """The derivative of ``x``; see the class for shapes."""
        matrix = self.along(self.diffusivity(x, self.edges(edge_index, x.size(0)), edge_weight, batch))
        if self.attention == "additive" and self.lin_out is not None:
            return self.lin_out(matrix.matmul(self.lin(x))) - x
        return matrix.matmul(x) - x

    def diffusivity(
        self, x: Tensor, graph: Tensor | SparsityPattern, edge_weight: Tensor | None = None, batch: Tensor | None = None
    ) -> SparseMatrix:
        """The matrix :math:`A(x)`, averaged over heads."""
        pattern, edge_weight = ops.weighted_pattern(graph, edge_weight, x.size(0))
        values = self._attention(x, pattern, edge_weight, batch).mean(1)
        return SparseMatrix(pattern, values if self.axis == "row" else pattern.T.to_csc(values))

    def attention_weights(
        self, x: Tensor, graph: Tensor | SparsityPattern, edge_weight: Tensor | None = None, batch: Tensor | None = None
    ) -> Tensor:
        """The normalised scores of all edges and heads, ``[num_edges, heads]``, in the order of the edges."""
        pattern, edge_weight = ops.weighted_pattern(graph, edge_weight, x.size(0))
        return self._grouped(pattern).to_edges(self._attention(x, pattern, edge_weight, batch))

    def scores(self, x: Tensor, graph: Tensor | SparsityPattern) -> Tensor:
        """The scores before they are normalised, ``[num_edges, heads]``, in the order of the edges."""
        pattern = self._grouped(ops.sparsity_pattern(graph, x.size(0)))
        return pattern.to_edges(row_weights(pattern, self._scores(x, pattern), None))

    def _grouped(self, pattern: SparsityPattern) -> SparsityPattern:
        """The pattern whose rows are what weights sum to 1 over."""
        return pattern if self.axis == "row" else pattern.T

    def _attention(
        self, x: Tensor, pattern: SparsityPattern, edge_weight: Tensor | None, batch: Tensor | None
    ) -> Tensor:
        """The normalised scores, in CSR order of the grouped pattern."""
        pattern = self._grouped(pattern)
        scores = self._scores(x, pattern)
        if edge_weight is not None or self.normalize == "squareplus":
            values = row_weights(pattern, scores, None)
            if edge_weight is not None:
                values = values * pattern.to_csr(edge_weight).to(values.dtype).unsqueeze(1)
            if self.normalize == "squareplus":
                values = values - self._largest(values, pattern, batch)
            scores = Scores.given(values)
        return row_weights(pattern, scores, self.normalize)

    def _largest(self, scores: Tensor, pattern: SparsityPattern, batch: Tensor | None) -> Tensor | float:
        if scores.numel() == 0:
            return 0.0
        if batch is None or self.official_batch_max:
            return scores.max()
        if pattern.traced:  # tracers know no number of graphs
            graph = batch.index_select(0, pattern.row)
            return ops.scatter(scores.amax(1, keepdim=True), graph, reduce="max").index_select(0, graph)
        graphs = pattern.cached("graphs", lambda batch: group_rows(batch[pattern.row], pattern.num_edges, None), batch)
        return reduce_groups(scores.amax(1, keepdim=True), graphs, "max").index_select(0, graphs.index)

    def _scores(self, x: Tensor, pattern: SparsityPattern) -> Scores:
        """The scores; edges' contributions are in CSR order of the grouped pattern."""
        target, source = self._sides(x)
        if self.axis == "column":
            target, source = source, target
        if self.attention == "additive":
            return Scores.additive(target, source, negative_slope=_SLOPE)
        if self.attention != "exp_kernel":
            return Scores.dot(target, source, scale=None if self.attention == "scaled_dot" else 1.0)
        products = row_weights(pattern, Scores.dot(target, source, scale=2.0), None)
        lengths = target.square().sum(2).index_select(0, pattern.row)
        lengths = lengths + source.square().sum(2).index_select(0, pattern.col)
        exponent = (products - lengths) / (2 * self.length_scale.square())
        return Scores.given(self.output_scale.square() * exponent.exp())

    def _sides(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What scores are made of at targets and at sources: a number or a row of channels per node and head."""
        if self.attention == "additive":
            values = self.lin(x).view(x.size(0), self.heads, -1)
            return values @ self.att[0], values @ self.att[1]
        query, key = (lin(x).view(x.size(0), self.heads, -1) for lin in (self.lin_query, self.lin_key))
        if self.attention == "pearson":
            query, key = query - query.mean(2, keepdim=True), key - key.mean(2, keepdim=True)
        if self.attention in ("cosine", "pearson"):
            query, key = _unit(query), _unit(key)
        return query, key


def _unit(x: Tensor) -> Tensor:
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(_SHORTEST)
