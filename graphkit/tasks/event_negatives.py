"""Destinations that events do not have: what a model must tell the true ones from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from graphkit.core.graph_input import as_tensor
from graphkit.ops.indices import look_up
from graphkit.tasks.split import STAGES, Split

Kind = Literal["random", "historical", "inductive"]
_TRIES = 32  # draws of a destination that is free at this time, before any other is drawn


class Pool:
    """Pairs of nodes, from which destinations are drawn by source.

    Args:
        src: Sources ``[n]``.
        dst: Destinations ``[n]``; repeated pairs count once.
        num_nodes: The number of nodes.
    """

    def __init__(self, src: Tensor, dst: Tensor, num_nodes: int) -> None:
        self.num_nodes = num_nodes
        self.keys = self._of(src, dst).unique()

    def draw(self, src: Tensor, own: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Destinations ``[n, count]``, uniformly from those of each source but its ``own`` ``[n]``; -1 without any."""
        last = self.keys.numel() - 1
        if last < 0:
            return own.new_full((own.numel(), count), -1)
        first, end = (torch.searchsorted(self.keys, self._of(at, 0)) for at in (src, src + 1))
        place, is_known = look_up(self.keys, self._of(src, own))
        known = is_known.long()
        size = (end - first - known).unsqueeze(1)
        drawn = torch.rand(own.numel(), count, generator=generator, dtype=torch.float64)
        index = first.unsqueeze(1) + (drawn * size).long()
        index += known.unsqueeze(1) * (index >= place.unsqueeze(1))
        return torch.where(size > 0, self.keys[index.clamp(max=last)] % self.num_nodes, -1)

    def holds(self, src: Tensor, dst: Tensor) -> Tensor:
        """Which pairs are in the pool."""
        return torch.isin(self._of(src, dst), self.keys)

    def without(self, other: Pool) -> Pool:
        """The pairs that another pool has not."""
        left = self.keys[~torch.isin(self.keys, other.keys)]
        return Pool(left // self.num_nodes, left % self.num_nodes, self.num_nodes)

    def _of(self, src: Tensor, dst: Tensor | int) -> Tensor:
        return src * self.num_nodes + dst


def anybody(dst: Tensor, num_nodes: int) -> Pool:
    """All these destinations, for source 0."""
    return Pool(torch.zeros_like(dst), dst, num_nodes)


class Destinations:
    """What the events of a stream are told from.

    Args:
        src: The sources ``[num_events]``.
        dst: The destinations.
        t: The times.
        split: The parts.
        num_nodes: The number of nodes.
        place: What messages begin with.

    Raises:
        ValueError: If all training events have one destination.
    """

    def __init__(self, src: Tensor, dst: Tensor, t: Tensor, split: Split, num_nodes: int, place: str) -> None:
        self.src, self.dst, self.t, self.split, self.num_nodes = src, dst, t, split, num_nodes
        self.known, ids = {}, []  # those so far, at the end of each part
        for stage in STAGES:
            ids.append(getattr(split, stage))
            self.known[stage] = anybody(dst[torch.cat(ids)], num_nodes)
        if self.known["train"].keys.numel() < 2:
            raise ValueError(f"{place}: all training events have one destination; there is nothing to learn")

    def for_training(self, ids: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Other destinations ``[n, count]`` of training events by number."""
        return self.known["train"].draw(torch.zeros_like(ids), self.dst[ids], count, generator)

    def fixed(self, kind: Kind, count: int, seed: int) -> dict[str, Tensor]:
        """Those of validation and test ``[n, count]``, drawn once."""
        trained = self._pool(self.split.train)
        pool = trained if kind == "historical" else None
        drawn = {}
        for number, stage in enumerate(("val", "test")):
            ids = getattr(self.split, stage)
            if kind == "inductive":  # what is drawn in validation does not depend on the test
                pool = self._pool(torch.cat([self.split.val, ids])).without(trained)
            generator = torch.Generator().manual_seed(2 * seed + number)
            stream = (self.src[ids], self.dst[ids], self.t[ids])
            drawn[stage] = fixed_negatives(pool, self.known[stage], *stream, count, generator)
        return drawn

    def _pool(self, ids: Tensor) -> Pool:
        return Pool(self.src[ids], self.dst[ids], self.num_nodes)


def fixed_negatives(
    pool: Pool | None, others: Pool, src: Tensor, dst: Tensor, t: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Destinations ``[n, count]`` for events, none of which their source has an event with at the same time.

    Args:
        pool: From which pairs; where a source has none that is free, ``others`` serve (``None``: always).
        others: Destinations for every source, see :func:`anybody`.
        src: The sources ``[n]``.
        dst: The destinations ``[n]``.
        t: The times ``[n]``.
        count: How many for each event.
        generator: The source of randomness.

    Raises:
        ValueError: If an event has no other destination.
    """
    rank = t.unique(return_inverse=True)[1]
    moment = (src * (rank.max() + 1) + rank).unique(return_inverse=True)[1]
    taken = Pool(moment, dst, others.num_nodes)
    drawn = dst.new_full((dst.numel(), count), -1)
    for candidates, sources in ((pool, src), (others, torch.zeros_like(src))):
        for _ in range(0 if candidates is None else _TRIES):
            rows = (drawn < 0).any(1).nonzero().view(-1)
            if not rows.numel():
                return drawn
            fresh = candidates.draw(sources[rows], dst[rows], count, generator)  # type: ignore[union-attr]
            fresh[taken.holds(moment[rows].unsqueeze(1).expand_as(fresh), fresh)] = -1
            drawn[rows] = torch.where(drawn[rows] < 0, fresh, drawn[rows])
    rows = (drawn < 0).any(1).nonzero().view(-1)
    if rows.numel():
        raise ValueError(f"event {int(rows[0])} of this part has no destination but its own; give negatives")
    return drawn


def given_negatives(given: Mapping[str, Any], split: Split, num_nodes: int, place: str) -> dict[str, Tensor]:
    """A user's destinations ``[n, k]`` for the events of validation and test.

    Args:
        given: Them, under ``"val"`` and ``"test"``.
        split: The parts.
        num_nodes: The number of nodes.
        place: What messages begin with.

    Raises:
        IndexError: If one is no node.
        ValueError: If they are missing for a part, or of another shape.
    """
    negatives = {}
    for stage in ("val", "test"):
        what, count = f"{place}: negatives of {stage!r}", getattr(split, stage).numel()
        if stage not in given:
            raise ValueError(f"{what} are missing; give destinations [{count}, k]")
        ids = as_tensor(given[stage], what)
        if ids.dim() != 2 or ids.size(0) != count or not ids.size(1) or ids.is_floating_point():
            raise ValueError(f"{what} are {ids.dtype} of shape {list(ids.shape)}, expected integers [{count}, k]")
        odd = ids[(ids < 0) | (ids >= num_nodes)]
        if odd.numel():
            raise IndexError(f"{what} name node {int(odd[0])}, but there are {num_nodes} nodes")
        negatives[stage] = ids.long()
    return negatives
