"""DRew on gated graph convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.signatures import takes_arguments_of
from graphkit.nn.drew.base import Delay, DRewConv
from graphkit.nn.node_axis import one_graph
from graphkit.ops import SparsityPattern, gated_mean, row_sum
from graphkit.ops.edge_sum import has_kernels
from graphkit.ops.hop_gates import hop_gates
from graphkit.ops.hop_sets import hop_sets

EPS = 1e-6


class DRewGatedGCNConv(DRewConv):
    r"""DRew-GatedGCN: each hop contributes a mean whose weights are gates.

    From `"DRew: Dynamically Rewired Message Passing with Delay" <https://arxiv.org/abs/2305.08018>`_ (Gutteridge et
    al., ICML 2023), on the layer of Bresson and Laurent (2017), without edge features.

    .. math::
        z_i = A x_i^{(t)} + \sum_{k=1}^{K} \alpha_k
        \frac{\sum_{j \in N_k(i)} g_{ij} \odot B x_j^{(t - \tau(k))}}{\sum_{j \in N_k(i)} g_{ij} + 10^{-6}}, \qquad
        g_{ij} = \mathrm{sigmoid} \big( D x_i^{(t)} + E x_j^{(t - \tau(k))} \big)

    where :math:`A, B, D, E` are linear maps with bias and :math:`N_k(i)` holds the nodes at distance :math:`k`. Delay
    and :math:`\alpha` as in :class:`DRewConv`. Nothing is stored per pair of nodes; see
    :func:`~graphkit.ops.gated_mean`.

    Args:
        shared_weights: Whether all hops share :math:`B` and :math:`E`, as in the published runs (default: ``True``).

    Example:
        >>> import torch
        >>> conv = DRewGatedGCNConv(4, 8, num_hops=2, nu=float("inf"))
        >>> conv(torch.ones(3, 4), torch.tensor([[0, 1, 0], [1, 2, 2]]), torch.tensor([1, 1, 2])).shape
        torch.Size([3, 8])
    """

    checks = Checks([{}, {"shared_weights": False}])

    @takes_arguments_of(DRewConv, without=("make_conv",))
    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        num_hops: Count = 1,
        nu: Delay = 1,
        shared_weights: bool = True,
        **of_drew: Any,
    ) -> None:
        super().__init__(lambda: _ValueAndGate(in_channels, out_channels), num_hops, nu, shared_weights, **of_drew)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.A = nn.Linear(in_channels, out_channels)
        self.D = nn.Linear(in_channels, out_channels)

    @one_graph
    def forward(self, x: Tensor | Sequence[Tensor], edge_index: Tensor, hop_distance: Tensor | None = None) -> Tensor:
        """The sum over hops; see the class for shapes."""
        states, graph, distance = self.read(x, edge_index, hop_distance)
        out, logit = self.A(states[-1]), self.D(states[-1])
        maps: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}  # hops without delay share source and map

        def mapped(k: int, source: Tensor) -> tuple[Tensor, Tensor]:
            position = 0 if self.shared_weights else k - 1
            if (position, id(source)) not in maps:
                maps[position, id(source)] = self.convs[position](source)
            return maps[position, id(source)]

        if not self.sends_messages and self.hop_logits is None and has_kernels(graph, logit, *states):
            values, logits = zip(*(mapped(k, states[-1 - self._delay(k)]) for k in range(1, self.num_hops + 1)))
            sets = hop_sets(graph, distance, self.num_hops, loops=False)
            return out + hop_gates(sets, logit, logits, values, self._alpha, EPS)
        for k, source, edges, weight in self.each_hop(states, graph, distance):
            value, source_logit = mapped(k, source)
            out = self.add(out, self._mean(edges, logit, source_logit, value), weight)
        return out

    def _mean(self, edges: SparsityPattern, logit: Tensor, source_logit: Tensor, value: Tensor) -> Tensor:
        if not self.sends_messages:
            return gated_mean(edges, logit, source_logit, value, EPS)
        gates = (logit.index_select(0, edges.row) + source_logit.index_select(0, edges.col)).sigmoid()
        inputs = {"logit": logit, "source_logit": source_logit, "value": value, "total": row_sum(edges, gates) + EPS}
        return self.send(edges.edge_index(), edges.shape[::-1], edge_id=edges.edge_id, **inputs)

    def message(  # type: ignore[override]
        self, logit_i: Tensor, source_logit_j: Tensor, value_j: Tensor, total_i: Tensor
    ) -> Tensor:
        """The source's value by its share of all gates that lead to the target."""
        return (logit_i + source_logit_j).sigmoid() / total_i * value_j


class _ValueAndGate(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.B = nn.Linear(in_channels, out_channels)
        self.E = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.B(x), self.E(x)
