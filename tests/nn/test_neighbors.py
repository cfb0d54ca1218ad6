"""Stores of neighbours against loops over events: ring buffers, hash tables, and how many nodes two tables share."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn.models.tgn import LastNeighborLoader

from graphkit.nn.temporal import NeighborCaches, RecentNeighbors

NODES = 6


def stream(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    src, dst = torch.randint(NODES, (2, size), generator=generator)
    return src, dst, torch.arange(size), torch.randint(3, (size,), generator=generator).cumsum(0) + 2**60


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 30), st.integers(0, 99))
def test_ring_buffers_hold_the_last_events(size, batch, length, seed):
    src, dst, event, time = stream(length, seed)
    recent, history = RecentNeighbors(NODES, size), [[] for _ in range(NODES)]
    for part in torch.arange(length).split(batch) if length else ():
        recent.write(src[part], dst[part], event[part], time[part])
    for i in range(length):
        history[src[i]].append((int(dst[i]), i, int(time[i])))
        history[dst[i]].append((int(src[i]), i, int(time[i])))
    found = torch.stack(recent.read(torch.arange(NODES)), 2).tolist()
    for node in range(NODES):
        last = [list(entry) for entry in history[node][::-1][:size]]
        assert found[node] == last + [[-1, -1, -1]] * (size - len(last))
    recent.reset_state()
    assert (recent.read(torch.arange(NODES))[0] == -1).all()


def test_ring_buffers_hold_what_pygs_loader_holds():  # of small batches: of large ones it loses events
    src, dst, event, time = stream(40)
    recent, theirs = RecentNeighbors(NODES, 4), LastNeighborLoader(NODES, 4)
    for part in torch.arange(40).split(2):
        recent.write(src[part], dst[part], event[part], time[part])
        theirs.insert(src[part], dst[part])
    ours = recent.event.sort(1).values
    assert torch.equal(ours, theirs.e_id.sort(1).values)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)), min_size=1, max_size=20))
def test_the_last_who_comes_into_a_slot_stays(pairs):
    node, other = torch.tensor(pairs).t()
    event = torch.arange(node.numel())
    caches, tables = NeighborCaches(NODES, [2, 3], 1, replace_prob=1), [{} for _ in range(NODES)]
    caches.write(1, node, other, event, event + 2**60, event.float().view(-1, 1))
    for i, (v, u) in enumerate(pairs):
        tables[v][int(((u + 1) * 1 + (u + 1) ** 2 * 2) % 2)] = (u, i, i + 2**60)
    for v in range(NODES):
        for slot in range(2):
            expected = tables[v].get(slot, (-1, -1, -1))
            assert tuple(int(table[v, 1 + slot]) for table in (caches.neighbor, caches.event, caches.time)) == expected
    assert (caches.neighbor[:, 3:] == -1).all()


def test_other_nodes_are_replaced_with_a_probability():
    def caches(prob, writes=0):
        caches = NeighborCaches(2000, [1], 1, replace_prob=prob)
        caches.num_writes += writes
        node, zero = torch.arange(2000), torch.zeros(2000, 1)
        caches.write(1, node, torch.zeros_like(node), node, node, zero)
        caches.write(1, node, torch.ones_like(node), node, node, zero)
        caches.write(1, node[:5], torch.ones(5, dtype=torch.long), node[:5] + 9, node[:5], zero[:5])
        return caches

    assert float((caches(0.7).neighbor[:, 1] == 1).float().mean()) == pytest.approx(0.7, abs=0.05)
    assert torch.equal(caches(0.7).neighbor, caches(0.7).neighbor), "drawn from the seed"
    assert not torch.equal(caches(0.7).neighbor, caches(0.7, writes=1).neighbor), "anew for later writes"
    never = caches(0)
    assert (never.neighbor[:, 1] == 0).all()
    same = caches(1)
    assert same.event[:6, 1].tolist() == [9, 10, 11, 12, 13, 5], "the same node always comes"


def test_common_neighbours_are_counted_by_the_tables_that_have_them():
    caches, nodes = NeighborCaches(30, [7, 5], 1), torch.arange(30)
    for k in (1, 2):
        for seed in range(4):
            other = torch.randint(30, (30,), generator=torch.Generator().manual_seed(9 * k + seed))
            caches.write(k, nodes, other, nodes, nodes, torch.zeros(30, 1))
    first, second = torch.randint(30, (2, 50), generator=torch.Generator().manual_seed(0))
    counts = caches.common(nodes, first, second)
    for i, pair in enumerate(zip(first.tolist(), second.tolist())):
        codes = Counter()
        for unit, v in zip((1, 8), pair):
            for k in range(3):
                codes.update({u: unit << k for u in caches.neighbor[v, caches.hop(k)].tolist() if u >= 0})
        assert counts[i].nonzero().view(-1).tolist() == sorted(set(codes.values()))
        assert all(counts[i, code] == n for code, n in Counter(codes.values()).items())


def test_state_is_saved_with_the_dtype_of_times():
    caches, node = NeighborCaches(3, [2], 1), torch.tensor([1])
    caches.write(1, node, node, node, torch.tensor([0.1], dtype=torch.float64), torch.ones(1, 1))
    other = NeighborCaches(3, [2], 1)
    other.load_state_dict(caches.state_dict())
    assert torch.equal(other.time, caches.time)
    assert other.time.dtype == torch.float64
    with pytest.raises(ValueError, match=r"NeighborCaches: num_neighbors=\[1, 2, 3\], must be of one or two hops"):
        NeighborCaches(3, [1, 2, 3], 1)
