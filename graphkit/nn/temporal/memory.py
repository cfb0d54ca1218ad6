"""What nodes remember of their events, updated by a recurrent cell."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn.inits import reset
from torch_geometric.nn.models.tgn import IdentityMessage, TimeEncoder

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, NonNegativeInt
from graphkit.core.overriding import as_written
from graphkit.nn.temporal.message_store import MessageStore
from graphkit.nn.temporal.pres import PRES
from graphkit.nn.temporal.state import GrowingState
from graphkit.ops.segment import scatter

CELLS = {"gru": nn.GRUCell, "rnn": nn.RNNCell}


class TGNMemory(Checked, GrowingState):
    r"""A state per node that its events change, as in temporal graph networks.

    From `"Temporal Graph Networks for Deep Learning on Dynamic Graphs" <https://arxiv.org/abs/2006.10637>`_ (Rossi et
    al., 2020). An event of nodes :math:`u` and :math:`v` at time :math:`t` with content :math:`e` gives :math:`u` the
    message :math:`m_u = f_s(s_u, s_v, e, \phi(t - t_u))`, where :math:`t_u` is the time of its last update, and
    :math:`v` the message :math:`m_v = f_d(s_v, s_u, e, \phi(t - t_v))`. When :math:`u` occurs again, in a later batch,

    .. math::
        s_u \leftarrow \mathrm{cell}(\bar m_u, s_u), \qquad t_u \leftarrow \max t,

    with the last or the mean :math:`\bar m_u` of the messages of its last batch. So while it trains, weights get
    gradients from what comes after; in evaluation mode memories are updated at once.

    It is called as PyG's ``TGNMemory`` and computes the same, with messages in tensors instead of dictionaries. Where
    PyG's does what the paper does not, this one follows the paper: each message counts once (PyG's counts again if its
    node comes back in the other role); nodes without messages keep their memory and the time of its update (PyG's cell
    moves them, and sets the time to 0); of equal times the last event counts, for both roles; times may be ``float64``.

    Args:
        num_nodes: The number of nodes.
        raw_msg_dim: The size of events' content.
        memory_dim: The size of memories.
        time_dim: The size of the encoding :math:`\phi`.
        message_module: The function :math:`f_s`, of which :math:`f_d` is a copy: a module with ``out_channels``, called
            with both memories, content and encoded time (default: ``None``, PyG's ``IdentityMessage``, which
            concatenates them).
        aggregator: Which messages count, the ``"last"`` or the ``"mean"`` (default: ``"last"``).
        cell: The recurrent cell: ``"gru"`` or ``"rnn"`` (default: ``"gru"``).
        time_encoder: The encoding, a module with ``reset_parameters`` (default: ``None``, PyG's ``TimeEncoder``).
        read: What messages read of the other end in place of its memory: a function of nodes ``[m]`` and times ``[m]``
            that returns ``[m, memory_dim]`` (default: ``None``, its memory).
        correction: What corrects updates of many events at once, a :class:`~graphkit.nn.temporal.PRES` (default:
            ``None``, they stay as they are).

    Shapes:
        - **n_id:** ``[m]``
        - **output:** memories ``[m, memory_dim]`` and times of updates ``[m]``

    Attributes:
        memory: The memories ``[num_nodes, memory_dim]``.
        last_update: The times of their updates, in the dtype of the events' times.

    Example:
        >>> memory = TGNMemory(4, raw_msg_dim=1, memory_dim=2, time_dim=3).eval()
        >>> memory.update_state(torch.tensor([0]), torch.tensor([1]), torch.tensor([7]), torch.ones(1, 1))
        >>> memory(torch.tensor([0, 1, 2]))[1].tolist()
        [7, 7, 0]
    """

    checks = Checks(skip="it reads no graph")
    memory: Tensor
    last_update: Tensor

    def __init__(
        self,
        num_nodes: Count,
        raw_msg_dim: NonNegativeInt,
        memory_dim: Count,
        time_dim: Count,
        message_module: nn.Module | None = None,
        aggregator: Literal["last", "mean"] = "last",
        cell: Literal["gru", "rnn"] = "gru",
        time_encoder: nn.Module | None = None,
        read: Callable[[Tensor, Tensor], Tensor] | None = None,
        correction: PRES | None = None,
    ) -> None:
        super().__init__()
        message: Any = IdentityMessage(raw_msg_dim, memory_dim, time_dim) if message_module is None else message_module
        self.msg_s_module, self.msg_d_module = message, copy.deepcopy(message)
        self.time_enc = TimeEncoder(time_dim) if time_encoder is None else time_encoder
        self.cell = CELLS[cell](message.out_channels, memory_dim)
        self.aggregator, self.read = aggregator, read
        self.correction = correction
        self.store = MessageStore(num_nodes, raw_msg_dim, aggregator == "last")
        self.register_buffer("memory", torch.zeros(num_nodes, memory_dim))
        self.register_buffer("last_update", torch.zeros(num_nodes, dtype=torch.long))

    def reset_parameters(self) -> None:
        """Draw new weights and forget everything."""
        for part in (self.msg_s_module, self.msg_d_module, self.time_enc, self.cell, self.correction):
            reset(part)
        self.reset_state()

    def reset_state(self) -> None:
        """Set all memories to zero and forget all messages."""
        for part in (self.store, self.correction):
            if part is not None:
                part.reset_state()
        self.memory.zero_()
        self.last_update.zero_()

    def forward(self, n_id: Tensor) -> tuple[Tensor, Tensor]:
        """Memories of some nodes and the times of their updates, with the messages that wait for them."""
        memory, last_update = self.memory.index_select(0, n_id), self.last_update.index_select(0, n_id)
        have = (self.store.count.index_select(0, n_id) > 0).nonzero().view(-1)
        if not have.numel():
            return memory, last_update
        new, latest = self._updated(n_id[have])
        return memory.index_copy(0, have, new), last_update.to(latest.dtype).index_copy(0, have, latest)

    @torch.no_grad()
    def update_state(self, src: Tensor, dst: Tensor, t: Tensor, raw_msg: Tensor) -> None:
        """Take events: the memories of their ends read what waits for them, and the events wait in its place.

        Args:
            src: The sources ``[n]``, in the order of time.
            dst: The destinations ``[n]``.
            t: The times ``[n]``.
            raw_msg: The contents ``[n, raw_msg_dim]``.
        """
        nodes = torch.cat([src, dst]).unique()
        self._write(nodes)
        self.store.put(src, dst, t, raw_msg)
        if not self.training:
            self._write(nodes)

    def train(self, mode: bool = True) -> Any:
        """Set the mode; for evaluation, all memories read what waits for them."""
        super().train(mode)
        if not mode:
            with torch.no_grad():
                self._write(self.store.waiting())
        return self

    def _write(self, nodes: Tensor) -> None:
        nodes = nodes[self.store.count.index_select(0, nodes) > 0]
        if not nodes.numel():
            return
        new, latest = self._updated(nodes)
        if self.last_update.dtype != latest.dtype:
            self.last_update = self.last_update.to(latest.dtype)
        if self.correction is not None:
            self.correction.observe(nodes, self.memory[nodes], new, latest - self.last_update[nodes])
        self.memory.index_copy_(0, nodes, new)
        self.last_update.index_copy_(0, nodes, latest)
        self.store.drop(nodes)

    def _updated(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """The new memories of nodes for which messages wait, and the times of these."""
        place, other, time, content, sent = self.store.get(nodes)
        own, last_update = self.memory.index_select(0, nodes), self.last_update.index_select(0, nodes)
        states = self.memory.index_select(0, other) if self.read is None else self.read(other, time)
        if self.aggregator == "last":  # one message each, in the order of nodes
            message, latest = self._messages(own, states, content, time - last_update, sent), time
        else:
            elapsed = time - last_update[place]
            messages = self._messages(own.index_select(0, place), states, content, elapsed, sent)
            message = scatter(messages, place, nodes.numel(), "mean")
            latest = time.new_zeros(nodes.numel()).scatter_reduce_(0, place, time, "amax", include_self=False)
        new = self.cell(message, own)
        if self.correction is not None:
            new = self.correction(nodes, own, new, latest - last_update)
        return new.to(own.dtype), latest

    def _messages(self, own: Tensor, other: Tensor, content: Tensor, elapsed: Tensor, sent: Tensor) -> Tensor:
        """What the two functions make of states, contents and times since the last update."""
        given = own, other, content, self.time_enc(elapsed.to(own.dtype))
        modules = self.msg_s_module, self.msg_d_module
        if all(isinstance(module, IdentityMessage) and as_written(module) for module in modules):  # the same twice
            return self.msg_s_module(*given)
        out = given[0].new_zeros(sent.numel(), self.msg_s_module.out_channels)
        for module, rows in zip(modules, (sent, ~sent)):
            out = out.index_put((rows,), module(*(part[rows] for part in given)).to(out.dtype))
        return out

    def extra_repr(self) -> str:
        return f"{self.memory.size(0)}, memory_dim={self.memory.size(1)}, aggregator={self.aggregator!r}"
