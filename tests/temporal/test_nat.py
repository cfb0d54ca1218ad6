"""NAT in the one trainer: no look ahead, exact resuming, ids and times without rounding, what each weight is for."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.models import NAT
from tests.temporal.streams import stream, task, trainer

SIZES = {"num_neighbors": [4, 3], "self_channels": 6, "hidden_channels": 5, "code_channels": 3}


def scores(model, data, stop=None):
    """The scores of all pairs of successive batches, each before its events are written down."""
    out, number = [], torch.arange(data.num_edges if stop is None else stop)
    for ids in number.split(20):
        (src, dst), t = data.edge_index[:, ids], data.edge_time[ids]
        pairs = torch.stack([src.repeat(2), torch.cat([dst, dst.roll(1)])])
        msg = torch.empty(ids.numel(), 0) if data.edge_attr is None else data.edge_attr[ids]
        batch = gk.tasks.event.Data(src=src, dst=dst, t=t, msg=msg, edge_label_index=pairs, x=data.x)
        out.append(model(batch).detach())
    return torch.cat(out)


def after_reset(model, data):
    model.reset_state()
    return scores(model, data)


def test_it_learns_from_what_recurs():
    number = torch.arange(600)
    data = gk.tasks.event.Data(edge_index=torch.stack([number % 10, (number + 1) % 10]), edge_time=number, num_nodes=10)
    events = gk.EventTask("ring", data)
    torch.manual_seed(0)
    result = trainer(8, lr=0.01).fit(NAT.from_task(events, **SIZES), events)
    assert result.test > 0.95


def test_runs_repeat_and_resume(tmp_path):
    events = task(channels=2)

    def run(folder, epochs, resume=False):
        model = NAT.from_task(events, **SIZES, replace_prob=0.6)
        result = trainer(epochs, run_dir=tmp_path / folder).fit(model, events, resume=resume)
        return result, model

    whole, model = run("whole", 4)
    assert run("again", 4)[0].history == whole.history
    run("parts", 2)
    resumed, other = run("parts", 4, resume=True)
    assert (resumed.history, resumed.test) == (whole.history, whole.test)
    for (name, one), two in zip(model.named_buffers(), other.buffers()):
        assert torch.equal(one, two), name
    loaded = gk.load_run(tmp_path / "whole", task=events).model
    assert torch.equal(loaded.log.messages, model.log.messages)
    assert torch.equal(loaded.caches.time, model.caches.time)


@pytest.mark.parametrize("channels", [0, 2])
def test_what_is_to_come_changes_nothing_before(channels):
    data = stream(channels=channels)
    changed = data.clone()
    changed.edge_index[:, 215:] = changed.edge_index[:, 215:].flip(0)
    changed.edge_time[215:] += 7
    if channels:
        changed.edge_attr[215:] += 1
    torch.manual_seed(0)
    model = NAT(12, msg_channels=channels, **SIZES).eval()
    before = scores(model, data, stop=200)
    first, second = (after_reset(model, each) for each in (data, changed))
    assert torch.equal(first[: before.numel()], before)
    assert torch.equal(first[:400], second[:400])
    assert not torch.equal(first[440:], second[440:]), "events are remembered"


def test_times_and_ids_are_not_rounded():
    data, late = stream(dtype=torch.float64), stream(dtype=torch.float64)
    late.edge_time += 2.0**26
    later = stream()
    later.edge_time += 2**60
    torch.manual_seed(0)
    model = NAT(12, **SIZES).double().eval()
    with torch.no_grad():
        model.frequency.fill_(2 * torch.pi / 64)  # whole periods from one stream to the next
        assert torch.allclose(scores(model, data), after_reset(model, late), atol=1e-6)
    after_reset(model, later)
    assert model.caches.time.max() == int(later.edge_time.max())


@pytest.mark.parametrize("hops", [[5], [5, 3]])
def test_features_messages_and_hops_count(hops):
    torch.manual_seed(0)
    data = stream(channels=2)
    data.x = torch.randn(12, 3)
    model = NAT(12, in_channels=3, msg_channels=2, **SIZES | {"num_neighbors": hops})
    events = gk.EventTask("mail", data)
    first, second, last = list(events.batches("train", 50))[:3]
    model(first)
    model(second)
    loss = model(last).square().sum()
    loss.backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not unused
    assert model.log.messages[:150].equal(data.edge_attr[:150])
    assert model.log.num_events == 150


def test_what_does_not_suit():
    with pytest.raises(ValueError, match=r"num_neighbors=\[\], must be of one or two hops"):
        NAT(3, num_neighbors=[])
    with pytest.raises(ValueError, match="NAT reads events in time, but task 'karate' is a node task"):
        NAT.from_task(gk.load("karate"))
    with pytest.raises(ValueError, match="NAT: events of 12 nodes, but num_nodes=9; make the model for the task"):
        trainer().fit(NAT(9), task())
