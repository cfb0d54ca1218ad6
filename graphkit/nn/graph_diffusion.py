"""GRAND's diffusion equation: which matrix diffuses, and how fast."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Interval, NonNegative
from graphkit.core.overriding import check_as_written
from graphkit.core.reads import Reads
from graphkit.nn.diffusion_ode import DiffusionODE
from graphkit.nn.diffusivity import Attention, AttentionDiffusion, Axis, Normalization
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import one_graph
from graphkit.ops import SparseMatrix, SparsityPattern

Diffusivity = Literal["linear", "nonlinear", "hard", "mixed", "constant"]
Share = Annotated[float, Interval(0, 1, "right")]


class GraphDiffusion(Layer):
    r"""The right-hand side of GRAND's diffusion equation: :math:`f(X) = s \, (A X - X) + \beta X_0` at :math:`X = X_0`.

    From `"GRAND: Graph Neural Diffusion" <https://arxiv.org/abs/2106.10934>`_ (Chamberlain et al., ICML 2021).

    :math:`A` is the attention of :class:`AttentionDiffusion` on the graph with self-loops: at the first state, then
    fixed (``"linear"``), or at every state (``"nonlinear"``). ``"hard"`` is linear and drops the weakest edges while
    training, ``"mixed"`` blends the attention with the normalised adjacency matrix by a learnt share, and
    ``"constant"`` uses this matrix alone. :math:`s` is the sigmoid of a learnt number. :meth:`equation` is the function
    of the state that an :class:`~graphkit.nn.ode.ODESolver` takes.

    Args:
        in_channels: Size of each input and output row.
        diffusivity: ``"linear"``, ``"nonlinear"``, ``"hard"``, ``"mixed"`` or ``"constant"`` (default: ``"linear"``).
        attention: Kind of score, see :class:`AttentionDiffusion` (default: ``"scaled_dot"``).
        attention_channels: Size of queries and keys (default: 64).
        heads: The number of heads (default: 4).
        axis: Normalise attention by ``"row"`` or ``"column"`` (default: ``"row"``).
        normalize: ``"softmax"`` or ``"squareplus"`` (default: ``"softmax"``).
        reweight: Multiply scores with the normalised adjacency matrix (default: ``False``).
        adjacency: How this matrix is normalised, ``"column"`` or ``"sym"`` (default: ``"column"``).
        self_loops: Weight of added self-loops; 0 adds none (default: 1.0).
        source: Whether there is a source with a learnt :math:`\beta` (default: ``False``).
        bounded_rate: The sigmoid of :math:`s`; without it the number itself (default: ``True``).
        keep_edges: The share of edges that ``"hard"`` keeps (default: 0.5).
        official_batch_max: See :class:`AttentionDiffusion` (default: ``False``).
        official_hard_gradient: No gradient to the attention in ``"hard"`` (default: ``False``).
        official_integer_loops: Round ``self_loops`` down for ``adjacency="sym"`` (default: ``False``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``; ``edge_index`` ``[2, num_edges]``; ``edge_weight``
          ``[num_edges]``, which ``"mixed"``, ``"constant"`` and ``reweight`` read (optional); ``batch``
          ``[num_nodes]`` (optional)
        - **output:** ``[num_nodes, in_channels]``

    Example:
        >>> diffusion = GraphDiffusion(3, attention_channels=4, heads=2)
        >>> diffusion(torch.ones(3, 3), torch.tensor([[0, 1], [1, 2]])).abs().amax() < 1e-6  # constants stay
        tensor(True)
    """

    takes_sparse = False
    checks = Checks(
        [
            Checks(
                [{}, {"diffusivity": "hard"}, {"diffusivity": "nonlinear", "attention": "cosine"}],
                sizes={"attention_channels": 4, "heads": 2},
            ),
            {"reweight": True, "source": True, "attention_channels": 4, "heads": 2},
            {"diffusivity": "mixed", "attention_channels": 4, "heads": 2},
            {"diffusivity": "constant", "adjacency": "sym", "self_loops": 0.5},
        ]
    )

    def __init__(
        self,
        in_channels: Count,
        diffusivity: Diffusivity = "linear",
        attention: Attention = "scaled_dot",
        attention_channels: Count = 64,
        heads: Count = 4,
        axis: Axis = "row",
        normalize: Normalization = "softmax",
        reweight: bool = False,
        adjacency: Literal["column", "sym"] = "column",
        self_loops: NonNegative = 1.0,
        source: bool = False,
        bounded_rate: bool = True,
        keep_edges: Share = 0.5,
        official_batch_max: bool = False,
        official_hard_gradient: bool = False,
        official_integer_loops: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.diffusivity, self.adjacency = diffusivity, adjacency
        self.axis, self.reweight, self.self_loops = axis, reweight, self_loops
        self.bounded_rate, self.keep_edges = bounded_rate, keep_edges
        self.reads = Reads(edge_weight=reweight or diffusivity in ("mixed", "constant"))
        self.official_hard_gradient, self.official_integer_loops = official_hard_gradient, official_integer_loops
        self.rate = nn.Parameter(torch.empty(()))
        self.strength = nn.Parameter(torch.empty(())) if source else None
        self.share = nn.Parameter(torch.empty(1)) if diffusivity == "mixed" else None
        self.diffusion = None
        if diffusivity != "constant":
            self.diffusion = AttentionDiffusion(
                in_channels,
                attention_channels,
                heads,
                attention,
                axis,
                normalize,
                official_batch_max=official_batch_max,
            )
        self._reset_scalars()

    def reset_parameters(self) -> None:
        """Start from zeros, and draw the attention's weights."""
        self._reset_scalars()
        if self.diffusion is not None:
            self.diffusion.reset_parameters()

    def _reset_scalars(self) -> None:
        for parameter in (self.rate, self.strength, self.share):
            if parameter is not None:
                nn.init.zeros_(parameter)

    @one_graph
    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None, batch: Tensor | None = None
    ) -> Tensor:
        """The derivative at the first state ``x``; see the class for shapes."""
        return self.equation(x, edge_index, edge_weight, batch)(x.new_zeros(()), x)

    def equation(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None, batch: Tensor | None = None
    ) -> DiffusionODE:
        """The equation that starts at ``x``; arguments are those of :meth:`forward`."""
        check_as_written(self, "diffusion")
        pattern, adjacency = self._graph(x, edge_index, edge_weight)
        weight = None
        if self.reweight and adjacency is not None:
            weight = pattern.to_edges(cast(Tensor, adjacency.values))
        rate = self.rate.sigmoid() if self.bounded_rate else self.rate
        source = None if self.strength is None else x.detach()
        parameters = []
        if self.diffusivity == "nonlinear" and self.diffusion:  # else the operator's values have them
            parameters = self.with_mask(list(self.diffusion.parameters()))
        operator = self._operator(x, pattern, adjacency, weight, batch)
        sums_to_one = self.diffusion is not None and self.share is None and not self._explain
        bounds = 1.0 if sums_to_one else None, 1.0 if self.bounded_rate else None
        return DiffusionODE(operator, rate, source, self.strength, parameters, *bounds)

    def _operator(
        self, x: Tensor, pattern: SparsityPattern, adjacency: Any, weight: Tensor | None, batch: Tensor | None
    ) -> SparseMatrix | Callable[[Tensor], SparseMatrix]:
        if self.diffusion is None:
            return self.masked(adjacency)
        diffusion = self.diffusion
        if self.diffusivity == "nonlinear":
            return lambda z: self.masked(diffusion.diffusivity(z, pattern, weight, batch))
        attention: Any = diffusion.diffusivity(x, pattern, weight, batch)
        if self.share is not None:
            share = self.share.sigmoid()
            return self.masked(SparseMatrix(pattern, (1 - share) * attention.values + share * adjacency.values))
        if self.diffusivity == "hard" and self.training:
            attention = _strongest(attention, self.keep_edges, self.axis, self.official_hard_gradient)
        return self.masked(attention)

    def _graph(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None
    ) -> tuple[SparsityPattern, SparseMatrix | None]:
        """The pattern with self-loops, and the normalised adjacency matrix on it where it is needed."""
        loops, edges = self.self_loops, self.edges(edge_index, x.size(0))
        if not self.reads.edge_weight:
            if edge_weight is not None:
                raise ValueError(
                    f"GRAND: diffusivity={self.diffusivity!r} reads no edge_weight; leave it out, or use reweight=True"
                )
            pattern = ops.unweighted_pattern(edges, x.size(0), f"GRAND with diffusivity={self.diffusivity!r}")
            return (pattern.with_self_loops()[0] if loops > 0 else pattern), None
        pattern, edge_weight = ops.weighted_pattern(edges, edge_weight, x.size(0))
        if self.official_integer_loops and self.adjacency == "sym" and int(loops) == 0:
            loops = 0.0
        matrix = ops.gcn_norm(  # degrees count the edges that leave a node: those of the transposed graph's rows
            pattern.T,
            None if edge_weight is None else edge_weight.to(x.dtype),
            add_self_loops=loops > 0,
            fill=loops,
            norm="sym" if self.adjacency == "sym" else "row",
            dtype=x.dtype,
        ).T
        return matrix.pattern, matrix


def _strongest(matrix: Any, share: float, axis: str, detach: bool) -> SparseMatrix:
    """The entries above a quantile, scaled so that the rows or columns that have any sum to 1."""
    values = matrix.values.detach() if detach else matrix.values
    dropped = math.ceil((1 - share) * values.numel())
    if dropped == 0:
        return matrix
    strong = values * (values > values.detach().kthvalue(dropped).values)
    group = matrix.pattern.row if axis == "row" else matrix.pattern.col
    total = strong.new_zeros(matrix.shape[0]).index_add(0, group, strong)
    return SparseMatrix(matrix.pattern, strong / (total + 1e-16).index_select(0, group))
