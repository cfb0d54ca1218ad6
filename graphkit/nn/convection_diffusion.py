"""The right-hand side of graph convection-diffusion: states are averaged, and carried where neighbours differ."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from graphkit import ops
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.overriding import check_as_written
from graphkit.nn.diffusivity import AttentionDiffusion
from graphkit.nn.layer import Layer
from graphkit.nn.linear import torch_linear
from graphkit.nn.node_axis import one_graph
from graphkit.ops import SparseMatrix, SparsityPattern

Diffused = Literal["attention", "beltrami"]
STARTS_WITHOUT = {"parameters_get_gradients": "the share of convection starts at 0, as the authors' does"}
_FLATTEST = 0.1  # squares of gradients below count as this


class ConvectionDiffusion(Layer):
    r"""The right-hand side of the convection-diffusion equation on a graph, at its first state :math:`X_0 = X`.

    From `"Graph Neural Convection-Diffusion with Heterophily" <https://arxiv.org/abs/2305.16780>`_ (Zhao, Kang, Song,
    She, Wang, Tay, IJCAI 2023). With the attention :math:`P` of :class:`AttentionDiffusion` (additive, averaged over
    heads, on the graph with self-loops), the convection :math:`c` and :math:`s = \mathrm{sigmoid}(\alpha)`,

    .. math::
        c_t = x_t \odot \sum_{u \to t} \mathrm{ReLU}(M x_u - M x_t), \qquad
        f(X) = s \, \big( \mathrm{ReLU}(L \, [x \,\|\, \lambda U_h c \,\|\!\|\, U_l P x]) - x \big) + \beta X_0

    where :math:`\|` concatenates and :math:`\|\!\|` adds. ``"beltrami"`` diffuses by the gradient
    :math:`g = P x - x` instead:

    .. math::
        d_t = \sum_{u \to t} w_{ut} (x_u - x_t), \qquad w_{ut} = P_{tu} \, \mathrm{softmax}_u(z_t z_u), \qquad
        z_t = \Big( \sum_k \max(g_{tk}^2, 0.1) \Big)^{-1/2}

    in :math:`f(X) = s \, (L \, [x \,\|\, U_h \mathrm{BN}(c) \,\|\!\|\, U_l \mathrm{BN}(d)] - x) + \beta X_0`.

    Where sources differ: the paper carries the neighbours' states :math:`x_u`, the official code, as here, the node's
    own. On a GPU the official code leaves the attention's weights as they were drawn; here they learn. On directed
    graphs, which it makes undirected, its convection enters the other end of edges.

    Args:
        in_channels: Size of each input and output row.
        diffusion: ``"attention"`` or ``"beltrami"`` (default: ``"attention"``).
        attention_channels: Size of the attention's maps, all heads together (default: 16).
        heads: The number of heads (default: 8).
        add_self_loops: Whether nodes without a self-loop get one (default: ``True``).
        source: Whether there is the source :math:`\beta X_0`, which carries no gradient (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``; ``edge_index`` ``[2, num_edges]``
        - **output:** ``[num_nodes, in_channels]``

    Cost: :math:`O(N F^2 + |E| F)`; nothing of size edges times channels exists.

    Example:
        >>> layer = ConvectionDiffusion(3, attention_channels=4, heads=2)
        >>> layer(torch.ones(3, 3), torch.tensor([[0, 1], [1, 2]])).shape
        torch.Size([3, 3])
    """

    takes_sparse = False
    checks = Checks(
        [
            Checks(
                [{}, {"source": False, "add_self_loops": False}],
                sizes={"attention_channels": 4, "heads": 2},
                expected_failures=STARTS_WITHOUT,
            ),
            {"diffusion": "beltrami", "attention_channels": 4, "heads": 2},
        ]
    )

    def __init__(
        self,
        in_channels: Count,
        diffusion: Diffused = "attention",
        attention_channels: Count = 16,
        heads: Count = 8,
        add_self_loops: bool = True,
        source: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels, self.add_self_loops = in_channels, add_self_loops
        self.attention = AttentionDiffusion(in_channels, attention_channels, heads, "additive")
        self.lin_velocity, self.lin_high, self.lin_low = (
            torch_linear(in_channels, in_channels, bias=False) for _ in range(3)
        )
        self.lin_out = torch_linear(2 * in_channels, in_channels)
        beltrami = diffusion == "beltrami"
        self.norms = nn.ModuleList(nn.BatchNorm1d(in_channels) for _ in range(2 * beltrami))
        self.rate = nn.Parameter(torch.empty(()))
        self.share = None if beltrami else nn.Parameter(torch.empty(()))
        self.strength = nn.Parameter(torch.empty(())) if source else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, as torch's linear maps are drawn; the equation's numbers start from zeros."""
        parts = (self.attention, self.lin_velocity, self.lin_high, self.lin_low, self.lin_out, *self.norms)
        for part in parts:
            part.reset_parameters()
        for number in (self.rate, self.share, self.strength):
            if number is not None:
                nn.init.zeros_(number)

    @one_graph
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """The derivative at the first state ``x``; see the class for shapes."""
        return self.equation(x, edge_index)(x.new_zeros(()), x)

    def equation(self, x: Tensor, edge_index: Tensor) -> ConvectionODE:
        """The equation that starts at ``x``; arguments are those of :meth:`forward`."""
        self.refuse_messages("sends two messages along each edge")
        check_as_written(self, "attention")
        pattern = ops.unweighted_pattern(self.edges(edge_index, x.size(0)), x.size(0), type(self).__name__)
        return ConvectionODE(self, pattern.with_self_loops()[0] if self.add_self_loops else pattern, x.detach())

    def derivative(self, x: Tensor, source: Tensor, pattern: SparsityPattern) -> Tensor:
        """The derivative at ``x``, where ``source`` is the first state."""
        matrix = self.masked(self.attention.diffusivity(x, pattern))
        carried, average = x * self._velocity(self.lin_velocity(x), pattern), matrix.matmul(x)
        if self.share is not None:
            joined = self.share * self.lin_high(carried) + self.lin_low(average)
            out = self.lin_out(torch.cat([x, joined], dim=1)).relu()
        else:
            spread = self._by_gradient(x, average - x, matrix)
            joined = self.lin_high(self.norms[0](carried)) + self.lin_low(self.norms[1](spread))
            out = self.lin_out(torch.cat([x, joined], dim=1))
        out = self.rate.sigmoid() * (out - x)
        return out if self.strength is None else out + self.strength * source

    def _velocity(self, y: Tensor, pattern: SparsityPattern) -> Tensor:
        """By how much the neighbours' ``y`` is above a node's own, added up."""
        if not self._explain:
            return ops.relu_sum(pattern, y, -y)
        above = (y.index_select(0, pattern.col) - y.index_select(0, pattern.row)).relu()
        return ops.row_sum(pattern, pattern.to_csr(self._mask(pattern.edge_id, pattern.num_edges)).unsqueeze(1) * above)

    def _by_gradient(self, x: Tensor, gradient: Tensor, matrix: SparseMatrix) -> Tensor:
        """Diffusion whose edges count more between nodes where states change little."""
        pattern: Any = matrix.pattern
        z = gradient.square().clamp(min=_FLATTEST).sum(1).rsqrt()
        products = z.index_select(0, pattern.row) * z.index_select(0, pattern.col)
        weight = cast(Tensor, matrix.values) * ops.row_softmax(pattern, products)
        return SparseMatrix(pattern, weight).matmul(x) - ops.row_sum(pattern, weight).unsqueeze(1) * x


class ConvectionODE:
    """The equation of :class:`ConvectionDiffusion` on one graph, as an :class:`~graphkit.nn.ode.ODESolver` takes it.

    Args:
        layer: The layer.
        pattern: The graph, with its self-loops.
        source: The first state, without gradient.
    """

    def __init__(self, layer: ConvectionDiffusion, pattern: SparsityPattern, source: Tensor) -> None:
        self.layer, self.pattern, self.source = layer, pattern, source

    def __call__(self, t: Tensor, z: Tensor) -> Tensor:
        """The derivative; it does not depend on time."""
        return self.layer.derivative(z, self.source, self.pattern)

    def tensors(self) -> list[Tensor]:
        """What the derivative depends on, besides the state."""
        return [self.source, *self.layer.parameters()]
