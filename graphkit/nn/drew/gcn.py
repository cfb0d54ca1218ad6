"""DRew on graph convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch_geometric.nn.resolver import activation_resolver

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, Probability
from graphkit.core.signatures import takes_arguments_of
from graphkit.nn.drew.at_once import Parts
from graphkit.nn.drew.base import Delay, DRewConv
from graphkit.nn.gcn_conv import GCNConv
from graphkit.nn.node_axis import one_graph
from graphkit.ops import SparsityPattern, l2_normalize
from graphkit.ops.dropout import dropout as drop


class DRewGCNConv(DRewConv):
    r"""DRew-GCN: a complete graph-convolutional layer on the graph of each hop.

    From `"DRew: Dynamically Rewired Message Passing with Delay" <https://arxiv.org/abs/2305.08018>`_ (Gutteridge et
    al., ICML 2023).

    .. math::
        z = \sum_{k=1}^{K} \alpha_k \, \ell_2 \Big( \sigma \big( \mathrm{BN}_k ( P_k \, x^{(t - \tau(k))} W_k^\top )
        \big) \Big), \qquad P_k = D_k^{-1/2} (A_k + I) D_k^{-1/2}

    with the adjacency matrix :math:`A_k` of the pairs at distance :math:`k`, degrees :math:`D_k` of :math:`A_k + I`,
    and :math:`\ell_2` dividing each row by its length. A node without any node at distance :math:`k` still reads its
    own delayed state. Delay and :math:`\alpha` as in :class:`DRewConv`.

    Where sources differ: this is the official code. The paper's equation has no self-loops, no normalisation and no
    activation within the sum, and takes the degrees :math:`D` of the graph itself; ``paper_form`` gives
    :math:`z = \sum_k \alpha_k D^{-1/2} A_k D^{-1/2} x^{(t - \tau(k))} W_k^\top`. The official code skips a hop that no
    pair of the whole batch has, so that a graph's output depends on its batch; ``official_skip_empty_hops`` does too.

    Args:
        act: The activation :math:`\sigma`, by PyG's names (default: ``"relu"``).
        dropout: The probability of dropping an entry before the activation (default: 0).
        batch_norm: Whether there is a batch normalisation per hop; without it there is a bias (default: ``True``).
        l2_norm: Whether rows are divided by their length (default: ``True``).
        shared_weights: Whether all hops share weights and normalisation (default: ``False``).
        paper_form: The paper's equation (default: ``False``).

    Example:
        >>> import torch
        >>> conv = DRewGCNConv(4, 8, num_hops=2, nu=float("inf"))
        >>> conv(torch.ones(3, 4), torch.tensor([[0, 1, 0], [1, 2, 2]]), torch.tensor([1, 1, 2])).shape
        torch.Size([3, 8])
    """

    checks = Checks([{}, {"batch_norm": False, "l2_norm": False}, {"paper_form": True}])

    @takes_arguments_of(DRewConv, without=("make_conv",))
    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        num_hops: Count = 1,
        nu: Delay = 1,
        act: Activation = "relu",
        dropout: Probability = 0.0,
        batch_norm: bool = True,
        l2_norm: bool = True,
        *,
        paper_form: bool = False,
        official_skip_empty_hops: bool = False,
        **of_drew: Any,
    ) -> None:
        def make_conv() -> nn.Module:
            if paper_form:
                return GCNConv(in_channels, out_channels, normalize=False, bias=False)
            return _GCNLayer(in_channels, out_channels, act, dropout, batch_norm, l2_norm)

        super().__init__(make_conv, num_hops, nu, **of_drew)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.dropout = dropout
        self.paper_form = paper_form
        self.official_skip_empty_hops = official_skip_empty_hops and not paper_form  # where they contribute nothing

    @one_graph
    def forward(self, x: Tensor | Sequence[Tensor], edge_index: Tensor, hop_distance: Tensor | None = None) -> Tensor:
        """The sum over hops; see the class for shapes."""
        if not self.paper_form:
            return super().forward(x, edge_index, hop_distance)
        states = [x] if isinstance(x, Tensor) else x
        first_hop = next(iter(self.each_hop(*self.read(x, edge_index, hop_distance))))[2]
        degree = first_hop.in_degree.unsqueeze(1)
        scale = degree.clamp(min=1).to(states[-1].dtype).rsqrt()
        scaled = [state * scale for state in states]
        return scale * super().forward(scaled[0] if isinstance(x, Tensor) else scaled, edge_index, hop_distance)

    def update_self(self, x: Tensor) -> Tensor | None:
        return x.new_zeros(x.size(0), self.out_channels) if self.official_skip_empty_hops else None


class _GCNLayer(nn.Module):
    takes_patterns = True

    def __init__(
        self, in_channels: int, out_channels: int, act: str, dropout: float, batch_norm: bool, l2_norm: bool
    ) -> None:
        super().__init__()
        self.conv = GCNConv(in_channels, out_channels, bias=not batch_norm)
        self.norm = nn.BatchNorm1d(out_channels) if batch_norm else None
        self.act = activation_resolver(act)
        self.dropout, self.l2_norm = dropout, l2_norm

    def forward(self, x: Tensor, edge_index: SparsityPattern) -> Tensor:
        out = self.conv(x, edge_index)
        if self.norm is not None:
            out = self.norm(out)
        out = self.act(drop(out, self.dropout, self.training))
        return l2_normalize(out) if self.l2_norm else out

    def parts(self) -> Parts | None:
        """The layer's parts, unless messages are asked for or entries dropped."""
        conv = self.conv
        if type(conv) is not GCNConv or conv.sends_messages or (self.dropout and self.training):
            return None
        return Parts(conv.lin, conv.bias, self.norm, self.act, unit=self.l2_norm, loops=True)
