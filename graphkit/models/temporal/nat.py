"""NAT: joint neighbourhoods of pairs from tables of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count, NonNegativeInt, Probability, Seed, UnitInterval
from graphkit.core.overriding import check_as_written
from graphkit.core.reads import Reads
from graphkit.models.temporal.base import EventModel
from graphkit.nn import dropout
from graphkit.nn.temporal import MessageLog, NeighborCaches
from graphkit.ops.indices import last_of_each


class NAT(EventModel):
    r"""Scores of pairs from the neighbourhoods that they share, which are read off tables of neighbours.

    From `"Neighborhood-aware Scalable Temporal Network Representation Learning"
    <https://github.com/Graph-COM/Neighborhood-Aware-Temporal-Network>`_ (Luo, Li, LoG 2022). Each node has a state
    :math:`r_u` and tables of the nodes that it has met, one or two hops away, each with a small state of its own
    (:class:`~graphkit.nn.temporal.NeighborCaches`). When they are read, states take in the event that brought them,
    with another node :math:`a`, a message :math:`m` and a time :math:`\tau`:

    .. math::
        r'_u = \mathrm{GRU}\bigl(W_s [r_a \,\|\, m \,\|\, \cos(f \tau + \varphi)], r_u\bigr), \qquad
        h'_{ua} = \mathrm{GRU}\bigl(W_n [r_a \,\|\, m \,\|\, \cos(f \tau + \varphi)], h_{ua}\bigr)

    The joint neighbourhood of a pair is all nodes in the tables of either, among them the two themselves. Each has its
    features and its states summed over the tables that have it, and a code which these are, with a vector :math:`c`:

    .. math::
        z_{uv} = b + \frac{1}{H} \sum_{h = 1}^{H} W_h \sum_{a} \Bigl[ n_a x_a \,\Big\|\, \sum h'_{\cdot a}
        \,\Big\|\, c_{\mathrm{code}(a)} \Bigr], \qquad
        s(u, v) = \mathrm{MLP}\bigl[z_{uv} \,\|\, r'_u \,\|\, r'_v\bigr]

    with :math:`n_a` tables that have :math:`a`. This is the official code, in which the paper's attention to the nodes
    :math:`a` is commented out. After a batch has been scored, the ends of its events keep :math:`r'`, without gradient,
    and come into each other's tables: what the other had met into the second hop, the other into the first. Where
    several events of a batch write one slot, those of sources are written before those of destinations (in the second
    hop behind them), each in the order of time, and the last one stays, as in the official code.

    Ids and times are kept as integers (times ``float64`` if they are given so) and angles computed in double
    precision; the official code has float32, which cannot tell apart neighbouring Unix times or ids above 16 million.

    Args:
        num_nodes: The number of nodes.
        in_channels: The number of node features :math:`x` (default: 0, none).
        msg_channels: The size of messages (default: 0, none).
        hidden_channels: The size of :math:`z` (default: 64).
        num_neighbors: The number of slots of the first hop, and of the second if it is wanted (default: ``(32, 16)``).
        neighbor_channels: The size of :math:`h` (default: 4).
        self_channels: The size of :math:`r` (default: 72).
        code_channels: The size of :math:`c` (default: 16).
        time_channels: The number of frequencies :math:`f`, which are learnt from :math:`1, \dots, 10^{-9}` on
            (default: 1).
        heads: The number of heads :math:`H`; without attention these are weights of which the mean counts (default: 2).
        replace_prob: The probability that a slot with another node is overwritten (default: 0.9).
        dropout: The probability of dropping an entry of the joint neighbourhood and of the perceptron's hidden layer
            (default: 0.1).
        seed: The seed of the tables (default: 1).
        out_channels: The number of outputs of a pair (default: 1).

    Raises:
        ValueError: If ``num_neighbors`` are of other than one or two hops.

    Example:
        >>> number = torch.arange(40)
        >>> ring = Data(edge_index=torch.stack([number % 5, (number + 1) % 5]), edge_time=number, num_nodes=5)
        >>> from graphkit.tasks import EventTask
        >>> model = NAT.from_task(EventTask("ring", ring), num_neighbors=[4])
        >>> model.update_state(torch.tensor([0]), torch.tensor([1]), torch.tensor([7]), torch.empty(1, 0))
        >>> model.caches.neighbor[1].tolist()
        [1, -1, -1, -1, 0]
    """

    reads = Reads(x=True, edge_index=False, edge_attr=True, edge_label_index=True)

    rows: Tensor
    partner: Tensor

    def __init__(
        self,
        num_nodes: Count,
        in_channels: NonNegativeInt = 0,
        msg_channels: NonNegativeInt = 0,
        hidden_channels: Count = 64,
        num_neighbors: Sequence[Count] = (32, 16),
        neighbor_channels: Count = 4,
        self_channels: Count = 72,
        code_channels: Count = 16,
        time_channels: Count = 1,
        heads: Count = 2,
        replace_prob: UnitInterval = 0.9,
        dropout: Probability = 0.1,
        seed: Seed = 1,
        out_channels: Count = 1,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.frequency = nn.Parameter(torch.empty(time_channels))
        self.phase = nn.Parameter(torch.empty(time_channels))
        self.code = nn.Embedding(64, code_channels)
        event = self_channels + msg_channels + time_channels
        self.self_lin = nn.Linear(event, self_channels, bias=False)
        self.neighbor_lin = nn.Linear(event, neighbor_channels, bias=False)
        self.self_rnn = nn.GRUCell(self_channels, self_channels)
        self.neighbor_rnn = nn.GRUCell(neighbor_channels, neighbor_channels)
        self.heads_lin = nn.Linear(in_channels + neighbor_channels + code_channels, heads * hidden_channels, bias=False)
        self.bias = nn.Parameter(torch.empty(hidden_channels))
        width = hidden_channels + 2 * self_channels
        self.hidden_lin, self.score_lin = nn.Linear(width, width), nn.Linear(width, out_channels)
        self.caches = NeighborCaches(num_nodes, num_neighbors, neighbor_channels, replace_prob, seed)
        self.log = MessageLog(msg_channels)
        self.register_buffer("rows", torch.zeros(num_nodes, self_channels))
        self.register_buffer("partner", torch.full((num_nodes,), -1))
        self.reads = Reads(x=in_channels > 0, edge_index=False, edge_attr=msg_channels > 0, edge_label_index=True)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.frequency.copy_(10 ** -torch.linspace(0, 9, self.time_channels))
        nn.init.zeros_(self.phase)
        nn.init.zeros_(self.bias)
        super().reset_parameters()
        nn.init.xavier_uniform_(self.heads_lin.weight)
        for lin in (self.hidden_lin, self.score_lin):
            nn.init.xavier_normal_(lin.weight)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget all events."""
        self.caches.reset_state()
        self.log.reset_state()
        self.rows.zero_()
        self.partner.fill_(-1)

    @classmethod
    def check_task(cls, task: Any) -> None:  # features are welcome, and no need
        if task.kind != "event" or task.num_features:
            super().check_task(task)

    # What is read ------------------------------------------------------------------------------------------------

    def encode(self, batch: Data) -> Tensor:
        check_as_written(self, "neighbor_lin", "self_lin", "code", "heads_lin")
        nodes, place = batch.edge_label_index.unique(return_inverse=True)
        first, second = place
        own, rows = self.updated(nodes)
        parts = [rows.sum(1)]
        if self.in_channels:
            ids = self.caches.neighbor[nodes]
            parts.insert(0, (self.features(batch, dense=True)[ids] * (ids >= 0).unsqueeze(2)).sum(1))
        both = torch.cat(parts, 1)
        codes = self.caches.common(nodes, first, second) @ self.code.weight
        joint = torch.cat([both[first] + both[second], codes], 1)
        joint = dropout(joint, self.dropout, self.training)
        weight = self.heads_lin.weight.view(self.heads, -1, joint.size(1)).mean(0)
        return torch.cat([joint @ weight.T + self.bias, own[first], own[second]], 1)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.score_lin(dropout(self.hidden_lin(h).relu(), self.dropout, self.training))

    def updated(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """The states of nodes and of who is in their tables, after the events that were written last."""
        caches = self.caches
        row, column = (caches.event[nodes] >= 0).nonzero(as_tuple=True)
        slots = nodes[row], column
        seen = self._seen(self.neighbor_lin, caches.neighbor[slots], caches.event[slots], caches.time[slots])
        states = self.neighbor_rnn(seen, caches.rows[slots])
        rows = states.new_zeros(nodes.numel(), caches.rows.size(1), states.size(1)).index_put((row, column), states)
        met = self.partner[nodes] >= 0
        last = nodes[met]
        seen = self._seen(self.self_lin, self.partner[last], caches.event[last, 0], caches.time[last, 0])
        nothing = self.self_lin.weight[:, -self.time_channels :] @ self.phase.cos()  # zeros, at time 0
        seen = nothing.expand(nodes.numel(), -1).index_put((met,), seen)
        return self.self_rnn(seen, self.rows[nodes]), rows

    def _seen(self, lin: nn.Linear, other: Tensor, event: Tensor, time: Tensor) -> Tensor:
        """The map of events with other nodes: of their state, the message and the time; each distinct one once."""
        angle = time.unsqueeze(1).double() * self.frequency.double() + self.phase.double()
        of_state, of_message, of_time = lin.weight.split([self.self_channels, self.msg_channels, self.time_channels], 1)
        seen = angle.cos().to(self.rows.dtype) @ of_time.T + _mapped(self.rows, other, of_state)
        return seen + _mapped(self.log.messages, event, of_message) if self.msg_channels else seen

    # What is remembered ------------------------------------------------------------------------------------------

    def update_state(self, src: Tensor, dst: Tensor, t: Tensor, msg: Tensor) -> None:
        caches = self.caches
        node, partner, time = torch.cat([src, dst]), torch.cat([dst, src]), t.repeat(2)
        event = self.log.write(msg).repeat(2)
        nodes, place = node.unique(return_inverse=True)
        own, rows = self.updated(nodes)
        if len(self.num_neighbors) == 2:  # what the ends had met; those of destinations come first, as there
            hop = caches.hop(1)
            at, slot = (caches.neighbor[node, hop] >= 0).nonzero(as_tuple=True)
            there = node[at], slot + hop.start
            state = rows[place[at], there[1]]
            caches.write(2, partner[at], caches.neighbor[there], caches.event[there], caches.time[there], state)
        for k, other in ((1, partner), (0, node)):
            column = caches.slots[k, other]
            known = caches.neighbor[node, column] == other
            caches.write(k, node, other, event, time, rows[place, column] * known.unsqueeze(1))
        self.rows[nodes] = own.to(self.rows.dtype)
        last = last_of_each(node)
        self.partner[node[last]] = partner[last]


def _mapped(table: Tensor, ids: Tensor, weight: Tensor) -> Tensor:
    """Some rows of a table times a matrix, computed once per row."""
    distinct, place = ids.unique(return_inverse=True)
    return (table[distinct] @ weight.T)[place]
