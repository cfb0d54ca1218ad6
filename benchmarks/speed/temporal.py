"""Streams of events."""

from __future__ import annotations

import time

import torch

from benchmarks.speed.common import Benchmark, benchmark
from graphkit.algorithms import t_batches


def _in_python(edge_index: torch.Tensor) -> torch.Tensor:
    """The schedule with dictionaries, as JODIE's authors compute it."""
    last_user: dict[int, int] = {}
    last_item: dict[int, int] = {}
    batch = []
    for user, item in zip(*edge_index.tolist()):
        own = 1 + max(last_user.get(user, -1), last_item.get(item, -1))
        last_user[user] = last_item[item] = own
        batch.append(own)
    return torch.tensor(batch)


def _ten_million() -> dict[str, float]:
    events = torch.randint(100_000, (2, 10_000_000), generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    t_batches(events, bipartite=True)
    return {"ten_million_events_seconds": time.perf_counter() - start}


@benchmark("t_batches", goal=10.0)
def schedule() -> Benchmark:
    """The t-batches of a million events of 10,000 users and 1000 items; ten million events are timed beside."""
    generator = torch.Generator().manual_seed(0)
    ends = [torch.randint(size, (1_000_000,), generator=generator) for size in (10_000, 1000)]
    events = torch.stack(ends)
    return Benchmark(
        ours=lambda: t_batches(events, bipartite=True),
        opponent=lambda: _in_python(events),
        against="a loop over events with dictionaries, as JODIE's code",
        details=_ten_million,
    )
