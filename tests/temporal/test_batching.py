"""t-batches of an event task: what they hold, where they are used, and that memories change as if events came alone."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.tasks import TBatch
from tests.temporal.streams import task, trainer


def nodes(batch):
    return torch.stack([batch.src, batch.dst], 1).tolist()


def test_training_has_t_batches_and_evaluation_has_not():
    events = task(batching=TBatch())
    batches = list(events.batches("train"))
    assert torch.cat([batch.event_id for batch in batches]).sort().values.equal(events.split.train)
    for batch in batches:
        ends = [node for pair in nodes(batch) for node in set(pair)]
        assert len(ends) == len(set(ends)), "no node occurs twice"
    last = {}
    for number, batch in enumerate(batches):
        for pair, time in zip(nodes(batch), batch.event_id.tolist()):
            for node in pair:
                assert last.get(node, (-1, -1)) <= (number, time), "each node's events keep their order"
                last[node] = number, time
    assert f", {len(batches)} training batches by TBatch()" in repr(events)
    for stage in ("val", "test"):
        ids = torch.cat([batch.event_id for batch in events.batches(stage)])
        assert ids.equal(ids.sort().values)
    judged = torch.cat([batch.edge_label_index for batch in events.batches("val")], 1)
    assert judged.equal(torch.cat([batch.edge_label_index for batch in task().batches("val")], 1))


@pytest.mark.parametrize("windows", [1, 5])
def test_large_ones_are_divided_and_windows_follow_each_other(windows):
    events = task(batching=TBatch(num_windows=windows))
    batches = list(events.batches("train", batch_size=2))
    assert max(batch.src.numel() for batch in batches) == 2
    borders = [
        float(events.t[0]) + (float(events.t[events.split.train[-1]]) - float(events.t[0])) * i / windows
        for i in range(1, windows)
    ]
    window = [sorted({sum(border <= t for border in borders) for t in batch.t.tolist()}) for batch in batches]
    assert all(len(each) == 1 for each in window)
    assert window == sorted(window)


def test_memories_change_as_if_events_came_one_by_one():
    events = task(batching=TBatch())
    states = []
    for batches in (events.batches("train"), task().batches("train", 1)):
        recent = gk.nn.temporal.RecentNeighbors(12, 5)
        for batch in batches:
            recent.write(batch.src, batch.dst, batch.event_id, batch.t)
        states.append(torch.cat(recent.read(torch.arange(12))))
    assert torch.equal(*states)


def test_runs_with_t_batches_repeat_and_resume(tmp_path):
    events = task(batching=TBatch(bipartite=False))

    def run(folder, epochs, resume=False):
        model = gk.models.NAT.from_task(events, num_neighbors=[4], self_channels=4, hidden_channels=4)
        return trainer(epochs, run_dir=tmp_path / folder, batch_size=None).fit(model, events, resume=resume)

    whole = run("whole", 3)
    run("parts", 2)
    assert run("parts", 3, resume=True).history == whole.history
    assert run("again", 3).history == whole.history
