"""Models with a memory per node: TGN, and JODIE and DyRep as settings of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count, NonNegativeInt, Positive, Probability
from graphkit.core.reads import Reads
from graphkit.models.temporal.base import EventModel, each_node_once
from graphkit.nn.perceptron import Perceptron
from graphkit.nn.temporal import PRES, MessageLog, NeighborAttention, RecentNeighbors, TGNMemory, TimeEncoding


class TGN(EventModel):
    r"""A memory per node that events update, and an embedding of it at the time that is asked about.

    From `"Temporal Graph Networks for Deep Learning on Dynamic Graphs" <https://arxiv.org/abs/2006.10637>`_ (Rossi et
    al., 2020): memories :math:`s_v` are those of :class:`~graphkit.nn.temporal.TGNMemory`; the embedding of a node is

    ================  =============================================================================================
    ``embedding``     :math:`z_v(t)`
    ================  =============================================================================================
    ``"attention"``   attention to its last events, :class:`~graphkit.nn.temporal.NeighborAttention`
    ``"projection"``  :math:`(1 + w \, (t - t_v) / \tau) \odot s_v`, with the time :math:`t_v` of its last update
    ``"identity"``    :math:`s_v`
    ================  =============================================================================================

    and the score of a pair is :math:`\mathrm{MLP}[z_u \,\|\, z_v]`. A batch is answered before its events are written;
    in training they reach memories when their nodes come again, which is how weights get gradients.

    Args:
        num_nodes: The number of nodes.
        msg_channels: The size of messages (default: 0, none).
        hidden_channels: The size of memories and embeddings (default: 100).
        time_channels: The size of encoded times (default: 100).
        num_neighbors: How many of its last events a node attends to (default: 10).
        heads: The number of heads of attention (default: 2).
        dropout: The probability of dropping a weight of attention (default: 0.1).
        aggregator: Which messages of a batch count, the ``"last"`` or the ``"mean"`` (default: ``"last"``).
        cell: What updates memories: ``"gru"`` or ``"rnn"`` (default: ``"gru"``).
        embedding: See above (default: ``"attention"``).
        message: What a message reads of the other end: its ``"memory"``, or its ``"embedding"``, attention of its
            memory to the events that it had before (default: ``"memory"``).
        time_scale: The unit :math:`\tau` of projected times; :meth:`from_task` takes the mean time between two events
            of a node in training (default: 1).
        pres: The arguments of :class:`~graphkit.nn.temporal.PRES`, for large batches, beside its sizes; ``{}`` for its
            defaults (default: ``None``, memories are not corrected).
        out_channels: The number of outputs of a pair (default: 1).

    Raises:
        ValueError: If ``hidden_channels`` cannot be divided by ``heads`` where there is attention, or ``pres`` has a
            size.
        TypeError: If PRES has no such argument.
    """

    def __init__(
        self,
        num_nodes: Count,
        msg_channels: NonNegativeInt = 0,
        hidden_channels: Count = 100,
        time_channels: Count = 100,
        num_neighbors: Count = 10,
        heads: Count = 2,
        dropout: Probability = 0.1,
        aggregator: Literal["last", "mean"] = "last",
        cell: Literal["gru", "rnn"] = "gru",
        embedding: Literal["attention", "projection", "identity"] = "attention",
        message: Literal["memory", "embedding"] = "memory",
        time_scale: Positive = 1.0,
        pres: Mapping[str, Any] | None = None,
        out_channels: Count = 1,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        encoder = TimeEncoding(time_channels)
        if embedding == "attention" or message == "embedding":
            self.attention = NeighborAttention(hidden_channels, msg_channels, encoder, heads, dropout)
            self.recent, self.log = RecentNeighbors(num_nodes, num_neighbors), MessageLog(msg_channels)
        read = self._neighbourhood if message == "embedding" else None
        given = dict(pres or {})
        for size in ("num_nodes", "channels"):
            if size in given:
                raise ValueError(f"{type(self).__name__}: pres={given}, but {size} is the model's; leave it out")
        correction = None if pres is None else PRES(num_nodes, hidden_channels, **given)
        # after the attention that it may read by: it takes all messages in when the mode becomes that of evaluation
        self.memory = TGNMemory(
            num_nodes, msg_channels, hidden_channels, time_channels, None, aggregator, cell, encoder, read, correction
        )
        if embedding == "projection":
            self.projection = nn.Linear(1, hidden_channels, bias=False)
        self.score = Perceptron(2 * hidden_channels, hidden_channels, out_channels)
        self.reads = Reads(x=False, edge_index=False, edge_attr=msg_channels > 0, edge_label_index=True)
        self.reset_parameters()

    def encode(self, batch: Data) -> Tensor:
        nodes, time, place = each_node_once(batch.edge_label_index, batch.edge_label_time)
        z = self.embed(nodes, time)
        return torch.cat([z[place[0]], z[place[1]]], 1)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.score(h)

    def embed(self, nodes: Tensor, time: Tensor) -> Tensor:
        """The embeddings of nodes ``[n]`` at times ``[n]``."""
        if self.embedding == "attention":
            return self._attend(nodes, time, lambda ids: self.memory(ids)[0])
        memory, last_update = self.memory(nodes)
        if self.embedding == "identity":
            return memory
        elapsed = ((time - last_update).to(memory.dtype) / self.time_scale).unsqueeze(1)
        return memory * (1 + self.projection(elapsed))

    def _neighbourhood(self, nodes: Tensor, time: Tensor) -> Tensor:
        """What messages read of the other end: only what has been written, for memories are not yet known."""
        return self._attend(nodes, time, lambda ids: self.memory.memory[ids])

    def _attend(self, nodes: Tensor, time: Tensor, states: Any) -> Tensor:
        neighbor, event, when = self.recent.read(nodes)
        neighbor, order = neighbor.sort(dim=1, stable=True)  # as in patterns, so that features of events stay in place
        event, when = event.gather(1, order), when.gather(1, order)
        row, slot = ((neighbor >= 0) & (when < time.unsqueeze(1))).nonzero(as_tuple=True)
        ids, place = torch.cat([nodes, neighbor[row, slot]]).unique(return_inverse=True)
        known, own = states(ids), place[: nodes.numel()]
        edges, elapsed = torch.stack([place[nodes.numel() :], row]), time[row] - when[row, slot]
        return self.attention(known[own], known, edges, elapsed, self.log.read(event[row, slot]))

    def update_state(self, src: Tensor, dst: Tensor, t: Tensor, msg: Tensor) -> None:
        self.memory.update_state(src, dst, t, msg)
        if hasattr(self, "recent"):
            self.recent.write(src, dst, self.log.write(msg), t)


class JODIE(TGN):
    r"""A recurrent memory per node, projected to the time that is asked about.

    Kumar, Zhang, Leskovec, `"Predicting Dynamic Embedding Trajectory in Temporal Interaction Networks"
    <https://github.com/claws-lab/jodie>`_ (KDD 2019), as a setting of :class:`TGN`: memories by an
    ``nn.RNNCell``, embeddings :math:`(1 + w \, (t - t_v) / \tau) \odot s_v`. Of the original it has the recurrence and
    the projection; the loss is that of the task, where the original predicts the next item's embedding.

    Args:
        msg_channels: The size of messages (default: 0, none).
        hidden_channels: The size of memories (default: 100).
        time_scale: The unit :math:`\tau`; :meth:`from_task` takes the mean time between two events of a node in
            training (default: 1).
    """

    def __init__(
        self,
        num_nodes: Count,
        msg_channels: NonNegativeInt = 0,
        hidden_channels: Count = 100,
        time_channels: Count = 100,
        time_scale: Positive = 1.0,
        pres: Mapping[str, Any] | None = None,
        out_channels: Count = 1,
    ) -> None:
        widths = (num_nodes, msg_channels, hidden_channels, time_channels)
        fixed: Any = {"cell": "rnn", "embedding": "projection"}
        super().__init__(*widths, **fixed, time_scale=time_scale, pres=pres, out_channels=out_channels)


class DyRep(TGN):
    r"""A recurrent memory per node that reads the neighbourhood of the other end.

    DyRep (Trivedi et al.) as a setting of :class:`TGN`, as the paper of `TGN <https://arxiv.org/abs/2006.10637>`_
    describes it: memories by an ``nn.RNNCell``, whose messages read attention to the other end's last events in place
    of its memory, and are the embeddings.

    Args:
        msg_channels: The size of messages (default: 0, none).
        hidden_channels: The size of memories (default: 100).

    Raises:
        ValueError: If ``hidden_channels`` cannot be divided by ``heads``.
    """

    def __init__(
        self,
        num_nodes: Count,
        msg_channels: NonNegativeInt = 0,
        hidden_channels: Count = 100,
        time_channels: Count = 100,
        num_neighbors: Count = 10,
        heads: Count = 2,
        dropout: Probability = 0.1,
        pres: Mapping[str, Any] | None = None,
        out_channels: Count = 1,
    ) -> None:
        widths = (num_nodes, msg_channels, hidden_channels, time_channels, num_neighbors, heads, dropout)
        fixed: Any = {"cell": "rnn", "embedding": "identity", "message": "embedding"}
        super().__init__(*widths, **fixed, pres=pres, out_channels=out_channels)
