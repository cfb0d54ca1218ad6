"""What the host has to know of edges before it can make their pattern: read from a device in one go."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphkit.core.devices import read


class Facts(NamedTuple):
    """What :func:`read_facts` says of edges.

    Attributes:
        lowest: The smallest id.
        highest: The largest source and the largest target.
        by_target: Whether edges are sorted by target, then by source.
        by_source: Whether they are sorted by source.
        num_loops: The number of self-loops.
        num_looped: The number of nodes that have one.
    """

    lowest: int
    highest: tuple[int, int]
    by_target: bool
    by_source: bool
    num_loops: int
    num_looped: int


def read_facts(edge_index: Tensor, num_sources: int, num_targets: int) -> Facts:
    """The facts of one edge or more, for which the host waits once; ids may be out of range."""
    (source, target), highest = edge_index, edge_index.amax(1)
    key, loop = target * num_sources + source, source == target
    lacks = nodes_without_loop(source.clamp(0, num_sources), loop, num_sources)
    facts = edge_index.amin(), *highest, _ascends(key), _ascends(source), loop.sum(), num_sources - lacks.sum()
    low, high_source, high_target, by_target, by_source, num_loops, num_looped = read(*facts)
    return Facts(low, (high_source, high_target), bool(by_target), bool(by_source), num_loops, num_looped)


def nodes_without_loop(end: Tensor, loop: Tensor, num_nodes: int) -> Tensor:
    """Which nodes have no self-loop, by an end of each edge and whether both are the same."""
    lacks = torch.ones(num_nodes + 1, dtype=torch.bool, device=end.device)
    looped = end[loop] if end.device.type == "cpu" else end.where(loop, num_nodes)  # the second needs no number
    return lacks.index_fill_(0, looped, False)[:-1]


def positions(mask: Tensor, number: int) -> Tensor:
    """Where a mask is true, of which the number is known, so that no device is asked for it."""
    if mask.device.type == "cpu":
        return mask.nonzero().squeeze(1)
    return (~mask).byte().sort(stable=True).indices[:number]


def _ascends(ids: Tensor) -> Tensor:
    return (ids[1:] >= ids[:-1]).all()
