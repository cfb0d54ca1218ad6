"""Schedules of events: the smallest ones that keep the order of each node, in windows too, and what is refused."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.algorithms import t_batches


@st.composite
def streams(draw):
    n = draw(st.integers(1, 6))
    node = st.integers(0, n - 1)
    return torch.tensor(draw(st.lists(st.tuples(node, node), max_size=25)), dtype=torch.long).view(-1, 2).t()


def ends(edge_index, bipartite):
    """The ends of each event, as things that an event needs for itself."""
    return [{("source", u), ("target", v)} if bipartite else {u, v} for u, v in edge_index.t().tolist()]


@settings(max_examples=200, deadline=None)
@given(streams(), st.booleans())
def test_batches_are_fewest_and_keep_the_order_of_each_node(edge_index, bipartite):
    batch, nodes = t_batches(edge_index, bipartite).tolist(), ends(edge_index, bipartite)
    conflicts = nx.DiGraph()
    conflicts.add_nodes_from(range(len(nodes)))
    conflicts.add_edges_from((i, j) for j in range(len(nodes)) for i in range(j) if nodes[i] & nodes[j])
    assert all(batch[i] < batch[j] for i, j in conflicts.edges), "a node's events stand in different batches, in order"
    longest = len(nx.dag_longest_path(conflicts)) if nodes else 0  # no schedule has fewer batches than a chain events
    assert max(batch, default=-1) + 1 == longest
    assert set(batch) == set(range(longest))


@settings(max_examples=100, deadline=None)
@given(streams(), st.integers(1, 4), st.data())
def test_windows_are_schedules_one_behind_the_other(edge_index, num_windows, data):
    size = edge_index.size(1)
    time = torch.tensor(sorted(data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))))
    batch = t_batches(edge_index, time=time, num_windows=num_windows)
    span = int(time[-1] - time[0]) if size else 0
    borders = [int(time[0]) + span * i / num_windows for i in range(1, num_windows)] if size else []
    window = torch.tensor([sum(border <= t + 1e-9 for border in borders) for t in time.tolist()], dtype=torch.long)
    first = 0
    for w in window.unique().tolist():
        part = t_batches(edge_index[:, window == w])
        assert torch.equal(batch[window == w], part + first)
        first += int(part.max()) + 1


def test_one_id_space_or_two():
    events = torch.tensor([[0, 1, 2], [1, 2, 0]])
    assert t_batches(events).tolist() == [0, 1, 2]
    assert t_batches(events, bipartite=True).tolist() == [0, 0, 0]
    assert t_batches(events[:, :0]).tolist() == []
    assert t_batches(torch.zeros(2, 3, dtype=torch.int32)).tolist() == [0, 1, 2]


def test_what_is_refused():
    events, time = torch.tensor([[0, 1], [1, 2]]), torch.tensor([3, 1])
    with pytest.raises(ValueError, match="t_batches: num_windows=2 are windows of time; give time"):
        t_batches(events, num_windows=2)
    with pytest.raises(ValueError, match="event 1 is earlier than the one before; sort them by time"):
        t_batches(events, time=time)
    with pytest.raises(ValueError, match=r"time has shape \[1\], but there are 2 events"):
        t_batches(events, time=time[:1])
    with pytest.raises(IndexError, match="names source node -1"):
        t_batches(events - 1)
    with pytest.raises(ValueError, match="t_batches: num_windows=0, must be at least 1"):
        t_batches(events, num_windows=0)
