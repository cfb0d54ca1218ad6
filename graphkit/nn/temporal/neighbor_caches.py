"""Hash tables of neighbours, one per node and hop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, Seed, UnitInterval
from graphkit.nn.temporal.state import GrowingState
from graphkit.ops.indices import last_of_each

_CODES = 8  # codes of one node's hops: a bit for each of 0, 1 and 2


class NeighborCaches(Checked, GrowingState):
    r"""What nodes have met: hash tables of neighbours by hop, each with the event, its time and a small state.

    From `"Neighborhood-aware Scalable Temporal Network Representation Learning"
    <https://github.com/Graph-COM/Neighborhood-Aware-Temporal-Network>`_ (Luo, Li, LoG 2022). Hop 0 has one slot, for
    the node itself. Node :math:`i` stands in the slot

    .. math::
        \bigl(a s + a^2 (s + 1)\bigr) \bmod M_k, \qquad a = i + 1, \; s = \mathrm{seed} \bmod 100

    of hop :math:`k`, so one look tells whether a node is there. Who comes into the slot of another node replaces it
    with a probability, drawn from the seed and how often slots have been written.

    Args:
        num_nodes: The number of nodes.
        num_neighbors: The number of slots :math:`M_1` of the first hop, and :math:`M_2` of the second if it is wanted.
        channels: The size of states.
        replace_prob: The probability that another node's slot is overwritten (default: 0.9).
        seed: The seed of slots and of replacing (default: 1).

    Shapes:
        - **neighbor**, **event**, **time**: ``[num_nodes, 1 + sum(num_neighbors)]``, hop by hop, -1 for a free slot
        - **rows:** ``[num_nodes, 1 + sum(num_neighbors), channels]``

    Raises:
        ValueError: If there are other than one or two hops.

    Attributes:
        neighbor: The node in each slot.
        event: The number of the event that brought it.
        time: Its time, in the dtype of the events' times.
        rows: Its state.
        num_writes: How often :meth:`write` was called.

    Example:
        >>> caches, node = NeighborCaches(3, [2], 1), torch.tensor([0])
        >>> caches.write(1, node, node + 2, node, torch.tensor([7]), torch.ones(1, 1))
        >>> caches.neighbor[0].tolist(), caches.time[0].tolist()
        ([0, -1, 2], [-1, -1, 7])
    """

    checks = Checks(skip="it reads no graph")
    neighbor: Tensor
    event: Tensor
    time: Tensor
    rows: Tensor
    num_writes: Tensor
    slots: Tensor

    def __init__(
        self,
        num_nodes: Count,
        num_neighbors: Sequence[Count],
        channels: Count,
        replace_prob: UnitInterval = 0.9,
        seed: Seed = 1,
    ) -> None:
        super().__init__()
        if len(num_neighbors) not in (1, 2):
            raise ValueError(f"NeighborCaches: num_neighbors={list(num_neighbors)}, must be of one or two hops")
        self.replace_prob, self.seed = replace_prob, seed
        sizes = torch.tensor([1, *num_neighbors])
        self.first = [0, *sizes.cumsum(0).tolist()]
        a, s = torch.arange(1, num_nodes + 1), seed % 100
        slots = (a * s + a**2 * (s + 1)) % sizes.view(-1, 1)
        self.register_buffer("slots", slots + (sizes.cumsum(0) - sizes).view(-1, 1), persistent=False)
        for name in ("neighbor", "event", "time"):
            self.register_buffer(name, torch.empty(num_nodes, self.first[-1], dtype=torch.long))
        self.register_buffer("rows", torch.zeros(num_nodes, self.first[-1], channels))
        self.register_buffer("num_writes", torch.zeros((), dtype=torch.long))
        self.reset_state()

    def reset_parameters(self) -> None:
        """Empty all slots."""
        self.reset_state()

    def reset_state(self) -> None:
        """Empty all slots; in hop 0 stands the node itself, without an event."""
        for buffer in (self.neighbor, self.event, self.time):
            buffer.fill_(-1)
        self.neighbor[:, 0] = torch.arange(self.neighbor.size(0))
        self.rows.zero_()
        self.num_writes.zero_()

    def hop(self, k: int) -> slice:
        """The columns of a hop."""
        return slice(self.first[k], self.first[k + 1])

    def write(self, k: int, node: Tensor, neighbor: Tensor, event: Tensor, time: Tensor, rows: Tensor) -> None:
        """Let neighbours ``[n]`` come into hop ``k`` of nodes ``[n]``; of those for one slot the last one stays.

        Args:
            k: The hop.
            node: Whose tables are written.
            neighbor: Who comes.
            event: The numbers of the events that bring them.
            time: Their times.
            rows: Their states ``[n, channels]``.
        """
        self.num_writes += 1
        column = self.slots[k, neighbor]
        if self.replace_prob < 1:
            there = self.neighbor[node, column]
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.num_writes))
            drawn = torch.rand(there.size(0), generator=generator).to(there.device)
            comes = ((there < 0) | (there == neighbor) | (drawn < self.replace_prob)).nonzero().view(-1)
        else:
            comes = torch.arange(node.numel(), device=node.device)
        comes = comes[last_of_each(node[comes] * self.first[-1] + column[comes])]
        if self.time.dtype != time.dtype:
            self.time = self.time.to(time.dtype)
        where = node[comes], column[comes]
        self.neighbor[where], self.event[where], self.time[where] = neighbor[comes], event[comes], time[comes]
        self.rows[where] = rows[comes].to(self.rows.dtype)

    def common(self, nodes: Tensor, first: Tensor, second: Tensor) -> Tensor:
        r"""How many nodes each pair has in which of its tables.

        A node in hop :math:`k` of the first of a pair counts :math:`2^k`, in hop :math:`k` of the second :math:`8 \cdot
        2^k`; the sum is its code.

        Args:
            nodes: The nodes ``[m]`` of all pairs, each once.
            first: Where the first of each pair stands in ``nodes`` ``[n]``.
            second: Where the second stands.

        Returns:
            The number of nodes with each code ``[n, 64]``, of the dtype of states.
        """
        ids = self.neighbor[nodes]
        columns = self.slots[:, ids]  # of a free slot those of the last node
        own = _found(ids, columns, ids)
        hop = torch.repeat_interleave(torch.arange(len(self.first) - 1), torch.tensor(self.first).diff()).to(ids.device)
        new = (ids >= 0) & (own % (1 << hop) == 0)  # in no earlier hop
        counts = self.rows.new_zeros(first.numel(), _CODES**2)
        for mine, other, unit in ((first, second, 1), (second, first, _CODES)):
            elsewhere = _found(ids[mine], columns[:, mine], ids[other])
            code = own[mine] * unit + elsewhere * (_CODES // unit)
            counted = new[mine] if unit == 1 else new[mine] & (elsewhere == 0)
            counts.scatter_add_(1, code, counted.to(counts.dtype))
        return counts


def _found(ids: Tensor, columns: Tensor, tables: Tensor) -> Tensor:
    """In which hops of its table each node is found, a bit for each; nodes and tables ``[n, L]``."""
    bits = torch.zeros_like(ids)
    for k, column in enumerate(columns):
        bits += (tables.gather(1, column) == ids).long() << k
    return bits
