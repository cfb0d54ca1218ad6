"""The messages of all events so far, by number."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, NonNegativeInt
from graphkit.nn.temporal.state import GrowingState


class MessageLog(Checked, GrowingState):
    """Numbers events and keeps their messages, so that whoever remembers a number can read the message.

    Args:
        channels: The size of messages; of 0, events are counted and nothing is kept.

    Example:
        >>> log = MessageLog(1)
        >>> log.write(torch.tensor([[5.0], [6.0]])).tolist(), log.write(torch.tensor([[7.0]])).tolist()
        ([0, 1], [2])
        >>> log.read(torch.tensor([2, 0])).tolist()
        [[7.0], [5.0]]
    """

    checks = Checks(skip="it reads no graph")
    messages: Tensor
    num_events: Tensor

    def __init__(self, channels: NonNegativeInt) -> None:
        super().__init__()
        self.register_buffer("messages", torch.zeros(1, channels))
        self.register_buffer("num_events", torch.zeros((), dtype=torch.long))

    def reset_state(self) -> None:
        """Begin at number 0."""
        self.num_events.zero_()

    def write(self, msg: Tensor) -> Tensor:
        """Keep messages ``[n, channels]``; returns the numbers of their events."""
        first, rows = int(self.num_events), self.messages.size(0)
        end = first + msg.size(0)
        if msg.size(1):
            if end > rows:
                new = self.messages.new_zeros(max(end, 2 * rows), msg.size(1))
                new[:first] = self.messages[:first]
                self.messages = new
            self.messages[first:end] = msg
        self.num_events += msg.size(0)
        return torch.arange(first, end, device=msg.device)

    def read(self, event: Tensor) -> Tensor:
        """The messages of events by number ``[*]``, as ``[*, channels]``; of -1, no event, some row."""
        return self.messages[event] if self.messages.size(1) else self.messages.new_zeros(*event.shape, 0)
