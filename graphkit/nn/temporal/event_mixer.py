"""The last events of a node, mixed by a perceptron."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, cat, nn
from torch_geometric.nn.models.graph_mixer import LinkEncoder

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, NonNegativeInt, Probability
from graphkit.ops.dropout import dropout


class EventMixer(Checked, LinkEncoder):
    r"""PyG's ``LinkEncoder`` of GraphMixer, which reads tables of events in place of edges.

    From `"Do We Really Need Complicated Model Architectures for Temporal Networks?"
    <https://openreview.net/forum?id=ayPPc0SyLv1>`_ (Cong et al., ICLR 2023). With the rows :math:`W [\cos(\omega (t -
    t_e)) \,\|\, e] + b` of a node's last events in a matrix :math:`H`, zeros where there are fewer,

    .. math::
        H_1 = H + \mathrm{MLP}(\mathrm{norm}(H)^\top)^\top, \qquad H_2 = H_1 + \mathrm{MLP}(\mathrm{norm}(H_1)),

    the first perceptron over events and the second one over channels, and :math:`z` is a map of the mean row of
    :math:`\mathrm{norm}(H_2)`.

    Args:
        size: How many events of each node there may be, at least 2.
        msg_channels: The size of messages :math:`e`.
        hidden_channels: The size of rows.
        out_channels: The size of :math:`z`.
        time_channels: The number of frequencies :math:`\omega`, which are not learnt.
        dropout: The probability of dropping an entry of the perceptrons (default: 0).

    Shapes:
        - **elapsed**, **known:** ``[n, size]``, times since the events, and which of them there are
        - **msg:** ``[n, size, msg_channels]``
        - **output:** ``[n, out_channels]``
    """

    checks = Checks(skip="it reads no graph")

    def __init__(
        self,
        size: Count,
        msg_channels: NonNegativeInt,
        hidden_channels: Count,
        out_channels: Count,
        time_channels: Count,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(size, msg_channels, hidden_channels, out_channels, time_channels, dropout=dropout)

    def forward(self, elapsed: Tensor, known: Tensor, msg: Tensor) -> Tensor:
        mixer = self.mlp_mixer
        time = self.temporal_encoder(elapsed.flatten()).unflatten(0, elapsed.shape)
        h = self.temporal_head(cat([time, msg.to(time.dtype)], 2)) * known.unsqueeze(2)
        h = self._perceptron(mixer.token_norm(h).mT, mixer.token_lin1, mixer.token_lin2).mT + h
        h = self._perceptron(mixer.channel_norm(h), mixer.channel_lin1, mixer.channel_lin2) + h
        return mixer.head_lin(mixer.head_norm(h).mean(1))

    def _perceptron(self, h: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
        h = dropout(F.gelu(first(h)), self.dropout, self.training)
        return dropout(second(h), self.dropout, self.training)
