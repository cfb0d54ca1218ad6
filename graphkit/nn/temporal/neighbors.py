"""The last neighbours of each node, in ring buffers."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count
from graphkit.nn.temporal.state import GrowingState
from graphkit.ops.indices import count, occurrence


class RecentNeighbors(Checked, GrowingState):
    """The last events of each node: with whom, which and when, written and read by batches without a loop.

    As PyG's ``LastNeighborLoader``, but with times, and events of a batch keep their order whichever end a node was.

    Args:
        num_nodes: The number of nodes.
        size: How many events of each node are kept.

    Attributes:
        neighbor: The other ends ``[num_nodes, size]``, -1 for none; the oldest is overwritten first.
        event: The numbers of the events.
        time: Their times, in the dtype of the events' times.
        count: How many events each node has had ``[num_nodes]``.

    Example:
        >>> recent = RecentNeighbors(3, size=2)
        >>> recent.write(torch.tensor([0, 2, 0]), torch.tensor([1, 0, 1]), torch.arange(3), torch.tensor([5, 6, 8]))
        >>> neighbor, event, time = recent.read(torch.tensor([0, 2]))
        >>> neighbor.tolist(), time.tolist()
        ([[1, 2], [0, -1]], [[8, 6], [6, -1]])
    """

    checks = Checks(skip="it reads no graph")
    neighbor: Tensor
    event: Tensor
    time: Tensor
    count: Tensor

    def __init__(self, num_nodes: Count, size: Count) -> None:
        super().__init__()
        self.size = size
        for name in ("neighbor", "event", "time"):
            self.register_buffer(name, torch.full((num_nodes, size), -1))
        self.register_buffer("count", torch.zeros(num_nodes, dtype=torch.long))

    def reset_state(self) -> None:
        """Forget all events."""
        for buffer in (self.neighbor, self.event, self.time):
            buffer.fill_(-1)
        self.count.zero_()

    def write(self, src: Tensor, dst: Tensor, event: Tensor, time: Tensor) -> None:
        """Add events ``[n]`` to both of their ends.

        Args:
            src: The sources, in the order of time.
            dst: The destinations.
            event: The numbers of the events.
            time: Their times.
        """
        if self.time.dtype != time.dtype:
            self.time = self.time.to(time.dtype)
        node, other = (torch.stack(ends, 1).flatten() for ends in ((src, dst), (dst, src)))
        before, total = occurrence(node), count(node, self.count.numel())
        last = (before >= total[node] - self.size).nonzero().view(-1)
        where = node[last], (self.count[node] + before)[last] % self.size
        self.neighbor[where], self.event[where], self.time[where] = other[last], event[last // 2], time[last // 2]
        self.count += total

    def read(self, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Neighbours, events and times ``[m, size]`` of some nodes, the last one first, -1 for none."""
        column = (self.count[nodes].unsqueeze(1) - 1 - torch.arange(self.size, device=nodes.device)) % self.size
        row = nodes.unsqueeze(1)
        return self.neighbor[row, column], self.event[row, column], self.time[row, column]

    def extra_repr(self) -> str:
        return f"{self.neighbor.size(0)}, size={self.size}"
