"""What events repeat, and what a memory misses that is written once per batch, against loops over events."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.diagnostics import plot_staleness, recurrence, staleness

events = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20)


@given(events, events)
def test_pairs_that_come_again_and_pairs_that_surprise(past, later):
    found = recurrence(torch.tensor(past).t(), torch.tensor(later).t())
    known, nodes = set(past), {node for pair in past for node in pair}
    assert found.recurring == pytest.approx(len(known & set(later)) / len(known))
    assert found.surprise == pytest.approx(len(set(later) - known) / len(set(later)))
    assert found.surprising_events == pytest.approx(sum(pair not in known for pair in later) / len(later))
    assert found.new_nodes == pytest.approx(sum(not set(pair) <= nodes for pair in later) / len(later))


@settings(deadline=None)
@given(events, st.lists(st.integers(1, 25), min_size=1, max_size=3), st.booleans())
def test_what_is_missed_within_batches(stream, batch_sizes, bipartite):
    found = staleness(torch.tensor(stream).t(), batch_sizes, bipartite)
    ends = [{("source", u), ("target", v)} if bipartite else {u, v} for u, v in stream]
    for k, size in enumerate(batch_sizes):
        missed = [sum(end in ends[j] for j in range(i - i % size, i)) for i in range(len(ends)) for end in ends[i]]
        assert found.missed[k] == pytest.approx(sum(missed) / len(missed))
        assert found.stale[k] == pytest.approx(sum(count > 0 for count in missed) / len(missed))
    depth = [0] * len(ends)
    for i, own in enumerate(ends):
        depth[i] = 1 + max((depth[j] for j in range(i) if own & ends[j]), default=0)
    assert found.depth == max(depth)
    assert found.mean_t_batch == pytest.approx(len(ends) / max(depth))


def test_what_is_missed_is_drawn(tmp_path):
    chain = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    figure = plot_staleness({"chain": staleness(chain, [1, 2, 4])}, tmp_path / "missed.png")
    line, cross = figure.axes[0].lines
    assert line.get_xydata().tolist() == [[1, 0], [2, 0.25], [4, 0.375]]
    assert cross.get_xydata().tolist() == [[1, 0]]
    assert (tmp_path / "missed.png").stat().st_size > 0


def test_what_is_refused():
    none = torch.empty(2, 0, dtype=torch.long)
    with pytest.raises(ValueError, match="staleness: there are no events"):
        staleness(none, [1])
    with pytest.raises(ValueError, match="recurrence: later has no events"):
        recurrence(torch.tensor([[0], [1]]), none)
    with pytest.raises(TypeError, match=r"recurrence: past: edge_index has dtype torch.float32"):
        recurrence(torch.zeros(2, 1), none)
    with pytest.raises(ValueError, match=r"batch_sizes\[0\]=0, must be at least 1"):
        staleness(torch.tensor([[0], [1]]), [0])
