"""GraphMixer: the last events of both ends, and no memory but these."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Interval, NonNegativeInt, Probability
from graphkit.core.reads import Reads
from graphkit.models.temporal.base import EventModel, each_node_once
from graphkit.nn.perceptron import Perceptron
from graphkit.nn.temporal import EventMixer, MessageLog, RecentNeighbors


class GraphMixer(EventModel):
    r"""Scores of pairs from when and what their last events were, mixed by a perceptron.

    From `"Do We Really Need Complicated Model Architectures for Temporal Networks?"
    <https://openreview.net/forum?id=ayPPc0SyLv1>`_ (Cong et al., ICLR 2023): the link encoder,
    :class:`~graphkit.nn.temporal.EventMixer`, reads the last :math:`K` events of a node, each as
    :math:`[\cos(\omega (t - t_e)) \,\|\, e]` with frequencies that are not learnt, and mixes them by an MLP-Mixer to
    :math:`z_v(t)`; the score is :math:`\mathrm{MLP}[z_u \,\|\, z_v]`. The paper's node encoder averages features of
    neighbours, of which these streams have none, and is left out.

    Args:
        num_nodes: The number of nodes.
        msg_channels: The size of messages :math:`e` (default: 0, none).
        hidden_channels: The size of mixed events and of :math:`z` (default: 100).
        time_channels: The number of frequencies (default: 100).
        num_neighbors: The number :math:`K` of events, at least 2 (default: 30).
        dropout: The probability of dropping an entry inside the mixer (default: 0.1).
        out_channels: The number of outputs of a pair (default: 1).
    """

    def __init__(
        self,
        num_nodes: Count,
        msg_channels: NonNegativeInt = 0,
        hidden_channels: Count = 100,
        time_channels: Count = 100,
        num_neighbors: Annotated[int, Interval(2)] = 30,
        dropout: Probability = 0.1,
        out_channels: Count = 1,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        widths = (msg_channels, hidden_channels, hidden_channels, time_channels)
        self.encoder = EventMixer(num_neighbors, *widths, dropout=dropout)
        self.score = Perceptron(2 * hidden_channels, hidden_channels, out_channels)
        self.recent, self.log = RecentNeighbors(num_nodes, num_neighbors), MessageLog(msg_channels)
        self.reads = Reads(x=False, edge_index=False, edge_attr=msg_channels > 0, edge_label_index=True)

    def encode(self, batch: Data) -> Tensor:
        nodes, time, place = each_node_once(batch.edge_label_index, batch.edge_label_time)
        z = self.embed(nodes, time)
        return torch.cat([z[place[0]], z[place[1]]], 1)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.score(h)

    def embed(self, nodes: Tensor, time: Tensor) -> Tensor:
        """The embeddings of nodes ``[n]`` at times ``[n]``."""
        neighbor, event, when = self.recent.read(nodes)
        msg = self.log.read(event)
        elapsed = (time.unsqueeze(1) - when).to(msg.dtype)  # 32 bits hold differences, not times
        return self.encoder(elapsed, neighbor >= 0, msg)

    def update_state(self, src: Tensor, dst: Tensor, t: Tensor, msg: Tensor) -> None:
        self.recent.write(src, dst, self.log.write(msg), t)
