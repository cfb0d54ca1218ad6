"""Messages that nodes have got and not yet read."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, NonNegativeInt
from graphkit.nn.temporal.state import GrowingState
from graphkit.ops.indices import ragged, starts


class MessageStore(Checked, GrowingState):
    """For each node the messages of the last events that were put here with it, in tensors.

    Those of a node stand one after the other in a log, to which each call adds at the end; what is read no more is
    thrown out when the log is full, so it grows with what is held, not with time.

    Args:
        num_nodes: The number of nodes.
        channels: The size of messages.
        last: Whether only the last message of each node is kept (default: ``True``).

    Attributes:
        first: The row of each node's first message ``[num_nodes]``.
        count: How many messages each node has ``[num_nodes]``.
        other: With whom, by row.
        time: When.
        msg: What ``[num_rows, channels]``.
        sent: Whether the node was the source.

    Example:
        >>> store = MessageStore(4, channels=0, last=False)
        >>> store.put(torch.tensor([0, 2]), torch.tensor([1, 1]), torch.tensor([5, 6]), torch.empty(2, 0))
        >>> node, other, time, msg, sent = store.get(torch.tensor([3, 1]))
        >>> node.tolist(), other.tolist(), sent.tolist()
        ([1, 1], [0, 2], [False, False])
    """

    checks = Checks(skip="it reads no graph")
    first: Tensor
    count: Tensor
    other: Tensor
    time: Tensor
    msg: Tensor
    sent: Tensor
    used: Tensor

    def __init__(self, num_nodes: Count, channels: NonNegativeInt, last: bool = True) -> None:
        super().__init__()
        self.last = last
        self.register_buffer("first", torch.zeros(num_nodes, dtype=torch.long))
        self.register_buffer("count", torch.zeros(num_nodes, dtype=torch.long))
        self.register_buffer("other", torch.zeros(0, dtype=torch.long))
        self.register_buffer("time", torch.zeros(0, dtype=torch.long))
        self.register_buffer("msg", torch.zeros(0, channels))
        self.register_buffer("sent", torch.zeros(0, dtype=torch.bool))
        self.register_buffer("used", torch.zeros((), dtype=torch.long))

    def reset_state(self) -> None:
        """Forget all messages."""
        self.count.zero_()
        self.used.zero_()

    def put(self, src: Tensor, dst: Tensor, t: Tensor, msg: Tensor) -> None:
        """Keep the messages of events ``[n]`` for both of their ends, in place of what these had.

        Args:
            src: The sources, in the order of time; of a self-loop the node counts as destination last.
            dst: The destinations.
            t: The times.
            msg: The messages ``[n, channels]``.
        """
        if self.time.dtype != t.dtype:
            self.time = self.time.to(t.dtype)
        node, other = (torch.stack(ends, 1).flatten() for ends in ((src, dst), (dst, src)))
        ordered, at = node.sort(stable=True)
        ids, sizes = ordered.unique_consecutive(return_counts=True)
        if self.last:
            at, sizes = at.index_select(0, sizes.cumsum(0) - 1), torch.ones_like(sizes)
        self.drop(ids)
        begin = self._room(at.numel())
        rows = slice(begin, begin + at.numel())
        self.first.index_copy_(0, ids, begin + starts(sizes)[:-1])
        self.count.index_copy_(0, ids, sizes)
        event = at >> 1  # index_select copies rows, where an index goes entry by entry
        self.other[rows], self.sent[rows] = other.index_select(0, at), at & 1 == 0
        self.time[rows], self.msg[rows] = (part.index_select(0, event) for part in (t, msg.to(self.msg.dtype)))

    def get(self, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The messages of nodes ``[m]``: whose each is, as a place in ``nodes``, other end, time, message, sent."""
        count, first = self.count.index_select(0, nodes), self.first.index_select(0, nodes)
        if self.last:
            place = count.nonzero().view(-1)
            rows = first.index_select(0, place)
        else:
            place = torch.arange(nodes.numel(), device=nodes.device).repeat_interleave(count)
            rows = ragged(first, count)
        other, time, msg, sent = (part.index_select(0, rows) for part in (self.other, self.time, self.msg, self.sent))
        return place, other, time, msg, sent

    def drop(self, nodes: Tensor) -> None:
        """Forget the messages of some nodes."""
        self.count.index_fill_(0, nodes, 0)

    def waiting(self) -> Tensor:
        """The nodes that have messages."""
        return self.count.nonzero().view(-1)

    def _room(self, count: int) -> int:
        """Where so many rows may be written."""
        begin = int(self.used)
        if begin + count > self.other.numel():
            nodes = self.waiting()
            rows = ragged(self.first[nodes], self.count[nodes])
            self.first[nodes], begin = starts(self.count[nodes])[:-1], rows.numel()
            size = max(self.other.numel(), 2 * (begin + count))
            for name in ("other", "time", "msg", "sent"):
                old = getattr(self, name)
                new = old.new_zeros(size, *old.shape[1:])
                new[:begin] = old[rows]
                setattr(self, name, new)
        self.used.fill_(begin + count)
        return begin

    def extra_repr(self) -> str:
        return f"{self.count.numel()}, {self.msg.size(1)}, last={self.last}"
