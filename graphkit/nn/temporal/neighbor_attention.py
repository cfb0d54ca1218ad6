"""Attention of a node to the events that it had last."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn.inits import reset

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, NonNegativeInt, Probability
from graphkit.nn.transformer_conv import TransformerConv


class NeighborAttention(Checked, nn.Module):
    r"""The embedding of temporal graph networks: a node at a time attends to its last events.

    As in PyG's example of `TGN <https://arxiv.org/abs/2006.10637>`_, a :class:`~graphkit.nn.TransformerConv` from the
    states of neighbours to that of the node, with :math:`[\phi(t - t_e) \,\|\, e]` as features of the events; here
    :math:`t` is the time that is asked about, as in the paper (in the example, that of the neighbour's last update).

    Args:
        channels: The size of states and outputs, a multiple of ``heads``.
        msg_channels: The size of messages :math:`e`.
        time_encoder: The encoding :math:`\phi`, with ``out_channels``.
        heads: The number of heads (default: 2).
        dropout: The probability of dropping a weight (default: 0.1).

    Shapes:
        - **own**, **output:** ``[n, channels]``
        - **states:** ``[num_states, channels]``
        - **edges:** ``[2, num_events]``, from rows of ``states`` to rows of ``own``, with ``elapsed`` ``[num_events]``
          and ``msg`` ``[num_events, msg_channels]``

    Raises:
        ValueError: If ``channels`` cannot be divided by ``heads``.
    """

    checks = Checks(skip="it reads no graph")

    def __init__(
        self,
        channels: Count,
        msg_channels: NonNegativeInt,
        time_encoder: Any,
        heads: Count = 2,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"NeighborAttention: channels={channels}, must be a multiple of heads={heads}")
        self.time_enc = time_encoder
        width = time_encoder.out_channels + msg_channels
        self.conv = TransformerConv((channels, channels), channels // heads, heads, dropout=dropout, edge_dim=width)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        reset(self.time_enc)
        self.conv.reset_parameters()

    def forward(self, own: Tensor, states: Tensor, edges: Tensor, elapsed: Tensor, msg: Tensor) -> Tensor:
        features = torch.cat([self.time_enc(elapsed.to(own.dtype)), msg.to(own.dtype)], 1)
        return self.conv((states, own), edges, features)
