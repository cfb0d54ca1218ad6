"""DRew on graph isomorphism networks, with and without edge types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Count, Finite
from graphkit.core.signatures import takes_arguments_of
from graphkit.nn.drew.at_once import Parts
from graphkit.nn.drew.base import Delay, DRewConv
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import one_graph
from graphkit.ops import SparseMatrix, SparsityPattern, split_pattern, unweighted_pattern

SHIFTED_AWAY = {"parameters_get_gradients": "what linear maps add, batch normalisation takes away to the last digit"}


class DRewGINConv(DRewConv):
    r"""DRew-GIN: one perceptron per hop, on the sum over the nodes at that distance.

    From `"DRew: Dynamically Rewired Message Passing with Delay" <https://arxiv.org/abs/2305.08018>`_ (Gutteridge et
    al., ICML 2023).

    .. math::
        z_i = (1 + \epsilon) \, \mathrm{MLP}_0 \big( x_i^{(t)} \big) +
        \sum_{k=1}^{K} \alpha_k \, \mathrm{MLP}_k \Big( \sum_{j \in N_k(i)} x_j^{(t - \tau(k))} \Big)

    where each perceptron is linear map, batch normalisation, activation, and :math:`N_k(i)` holds the nodes at distance
    :math:`k`. A node without any still receives :math:`\mathrm{MLP}_k(0)`. Delay and :math:`\alpha` as in
    :class:`DRewConv`.

    Where sources differ: this is the official code; the paper has the perceptron inside the sum. The official code
    skips a hop that no pair of the whole batch has; see :class:`DRewGCNConv`.

    Args:
        batch_norm: Whether perceptrons have a batch normalisation (default: ``True``).
        shared_weights: Whether all hops share one perceptron (default: ``False``).

    Example:
        >>> import torch
        >>> conv = DRewGINConv(4, 8, num_hops=2, nu=float("inf"))
        >>> conv(torch.ones(3, 4), torch.tensor([[0, 1, 0], [1, 2, 2]]), torch.tensor([1, 1, 2])).shape
        torch.Size([3, 8])
    """

    checks = Checks([{"batch_norm": False}, Checks(expected_failures=SHIFTED_AWAY)])

    @takes_arguments_of(DRewConv, without=("make_conv",))
    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        num_hops: Count = 1,
        nu: Delay = 1,
        act: Activation = "relu",
        eps: Finite = 0.0,
        batch_norm: bool = True,
        *,
        official_skip_empty_hops: bool = False,
        **of_drew: Any,
    ) -> None:
        def perceptron() -> nn.Sequential:
            norm = [nn.BatchNorm1d(out_channels)] if batch_norm else []
            return nn.Sequential(nn.Linear(in_channels, out_channels), *norm, activation_resolver(act))

        super().__init__(lambda: _SumThenMLP(perceptron()), num_hops, nu, **of_drew)
        self.in_channels, self.out_channels, self.eps = in_channels, out_channels, eps
        self.official_skip_empty_hops = official_skip_empty_hops
        self.mlp = perceptron()

    def update_self(self, x: Tensor) -> Tensor:
        return (1 + self.eps) * self.mlp(x)

    def parts_of_self(self) -> Parts | None:
        return _parts(self.mlp, 1 + self.eps)


def _parts(mlp: nn.Module, alpha: float = 1.0) -> Parts | None:
    """A perceptron's parts, where it is one of ours."""
    if type(mlp) is not nn.Sequential or type(mlp[0]) is not nn.Linear or len(mlp) > 3:
        return None
    norm = mlp[1] if len(mlp) == 3 else None
    return Parts(mlp[0], mlp[0].bias, norm, mlp[-1], alpha)


class _SumThenMLP(Layer):
    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.mlp = mlp

    def forward(self, x: Tensor, edges: SparsityPattern) -> Tensor:
        return self.mlp(self.along(SparseMatrix(edges)).matmul(x))

    def parts(self) -> Parts | None:
        """The perceptron's parts, unless messages are asked for."""
        return None if self.sends_messages else _parts(self.mlp)


class DRewRGINConv(DRewConv):
    r"""DRew-GIN for graphs with edge types, as used for QM9.

    From `"DRew: Dynamically Rewired Message Passing with Delay" <https://arxiv.org/abs/2305.08018>`_ (Gutteridge et
    al., ICML 2023), on the relational GIN of Brockschmidt (GNN-FiLM, ICML 2020).

    .. math::
        z_i = (1 + \epsilon) \, \mathrm{MLP}_0 \big( x_i^{(t)} \big) +
        \alpha_1 \sum_{r} \sum_{j \in N_r(i)} \mathrm{MLP}_{1,r} \big( x_j^{(t)} \big) +
        \sum_{k=2}^{K} \alpha_k \sum_{j \in N_k(i)} \mathrm{MLP}_k \big( x_j^{(t - \tau(k))} \big)

    where perceptrons are linear map, batch normalisation, activation, linear map; :math:`N_r(i)` holds the neighbours
    along edges of type :math:`r`, :math:`N_k(i)` the nodes at distance :math:`k`; and :math:`\alpha` is the softmax of
    learnt numbers, drawn from a normal distribution. Delay as in :class:`DRewConv`.

    Where sources differ: the official model uses a single edge type, which is the default here. In the official
    program :math:`\nu = \infty` is not recognised and delays every hop by one layer more; here it is no delay.

    Args:
        act: The activation within perceptrons, by PyG's names (default: ``"relu"``).
        num_edge_types: The number of edge types (default: 1).

    Shapes:
        - **relation_index:** the edges ``[2, E]`` with types; only read if there are several types
        - **edge_type:** their types ``[E]`` in ``0..num_edge_types - 1``

    Raises:
        ValueError: As :class:`DRewConv`, or if there are several types and none are given.

    Example:
        >>> import torch
        >>> conv = DRewRGINConv(4, 8, num_hops=2, nu=float("inf"))
        >>> conv(torch.ones(3, 4), torch.tensor([[0, 1, 0], [1, 2, 2]]), torch.tensor([1, 1, 2])).shape
        torch.Size([3, 8])
    """

    checks = Checks()

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        num_hops: Count = 1,
        nu: Delay = 1,
        act: Activation = "relu",
        eps: Finite = 0.0,
        num_edge_types: Count = 1,
        **kwargs: Any,
    ) -> None:
        def perceptron() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(in_channels, out_channels),
                nn.BatchNorm1d(out_channels),
                activation_resolver(act),
                nn.Linear(out_channels, out_channels),
            )

        super().__init__(
            lambda: _MLPThenSum(perceptron()),
            num_hops,
            nu,
            convex_combination=True,
            learned_hop_weights=True,
            **kwargs,
        )
        self.in_channels, self.out_channels, self.eps = in_channels, out_channels, eps
        self.num_edge_types = num_edge_types
        self.mlp = perceptron()
        # the first type's perceptron is that of the first hop
        self.further_types = nn.ModuleList(_MLPThenSum(perceptron()) for _ in range(num_edge_types - 1))

    def reset_parameters(self) -> None:
        """Draw new weights, those of hops from a normal distribution."""
        super().reset_parameters()
        if self.hop_logits is not None:
            nn.init.normal_(self.hop_logits)

    @one_graph
    def forward(
        self,
        x: Tensor | Sequence[Tensor],
        edge_index: Tensor,
        hop_distance: Tensor | None = None,
        relation_index: Tensor | None = None,
        edge_type: Tensor | None = None,
    ) -> Tensor:
        """The sum over hops; see the class for shapes."""
        self.refuse_messages("sends them by its convs")
        state = x if isinstance(x, Tensor) else x[-1]
        out = self.update_self(state)
        for k, source, edges, weight in self.each_hop(*self.read(x, edge_index, hop_distance)):
            if k == 1 and self.num_edge_types > 1:
                message = self._typed(source, relation_index, edge_type)
            else:
                message = self.convs[k - 1](source, edges)
            out = self.add(out, message, weight)
        return out

    def _typed(self, x: Tensor, relation_index: Tensor | None, edge_type: Tensor | None) -> Tensor:
        if relation_index is None or edge_type is None:
            raise ValueError(
                f"DRewRGINConv with num_edge_types={self.num_edge_types} needs relation_index and edge_type"
            )
        if self._explain:
            raise ValueError(f"{type(self).__name__}: edge masks are for pairs of nodes, but typed edges are read, too")
        edges = unweighted_pattern(self.edges(relation_index, x.size(0)), x.size(0), type(self).__name__)
        by_type = split_pattern(edges, edge_type, range(self.num_edge_types))
        sums = [conv(x, part) for conv, (part, _) in zip([self.convs[0], *self.further_types], by_type, strict=True)]
        return sum(sums[1:], start=sums[0])

    def update_self(self, x: Tensor) -> Tensor:
        return (1 + self.eps) * self.mlp(x)


class _MLPThenSum(_SumThenMLP):
    def forward(self, x: Tensor, edges: SparsityPattern) -> Tensor:
        return self.along(SparseMatrix(edges)).matmul(self.mlp(x))
