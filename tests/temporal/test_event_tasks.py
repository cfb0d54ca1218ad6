"""Event tasks: order, parts, negatives, what a batch shows, and that the future changes nothing before it."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data, TemporalData
from torch_geometric.transforms import OneHotDegree, ToUndirected

import graphkit as gk
from tests.temporal.streams import stream, task


def test_batches_are_consecutive_and_each_event_comes_before_its_negatives():
    events = task(num_negatives=2, channels=3)
    batches = list(events.batches("train", 50, generator=torch.Generator().manual_seed(1)))
    ids = torch.cat([batch.event_id for batch in batches])
    assert ids.tolist() == list(range(events.split.train.numel()))
    assert [batch.src.numel() for batch in batches[:-1]] == [50] * (len(batches) - 1)
    for batch in batches:
        src, dst = batch.edge_label_index.view(2, -1, 3)
        assert torch.equal(src, batch.src.unsqueeze(1).expand(-1, 3))
        assert torch.equal(dst[:, 0], batch.dst)
        assert bool((dst[:, 1:] != batch.dst.unsqueeze(1)).all())
        assert batch.edge_label.view(-1, 3)[0].tolist() == [1, 0, 0]
        assert torch.equal(batch.edge_label_time, batch.t.repeat_interleave(3))
        assert torch.equal(batch.msg, events.msg[batch.event_id])
    again = next(iter(events.batches("train", 50, generator=torch.Generator().manual_seed(2))))
    assert not torch.equal(again.edge_label_index, batches[0].edge_label_index), "negatives are drawn anew"


def test_the_test_begins_with_the_events_of_validation_of_which_nothing_is_judged():
    events = task()
    batches = list(events.batches("test", 20))
    seen = [batch for batch in batches if not batch.edge_label.numel()]
    assert torch.cat([batch.event_id for batch in seen]).equal(events.split.val)
    assert torch.cat([batch.event_id for batch in batches[len(seen) :]]).equal(events.split.test)


def test_parts_follow_each_other_and_ties_stay_together():
    events = task()
    assert events.t[events.split.train].max() < events.t[events.split.val].min()
    assert events.t[events.split.val].max() < events.t[events.split.test].min()
    trained = set(torch.cat([events.src[events.split.train], events.dst[events.split.train]]).tolist())
    later = set(torch.cat([events.src, events.dst]).tolist()) - trained
    assert set(events.inductive_nodes.tolist()) == later
    assert later
    assert f"{len(later)} of 12 nodes new after training" in repr(events)


def sets(events, stage, kind):
    """Which destinations may stand against each event of a stage, by sets."""
    parts = {name: getattr(events.split, name).tolist() for name in ("train", "val", "test")}
    names = ["train", "val", "test"][: ["train", "val", "test"].index(stage) + 1]
    so_far = {int(events.dst[i]) for name in names for i in parts[name]}
    pairs = lambda ids: {(int(events.src[i]), int(events.dst[i])) for i in ids}  # noqa: E731
    trained, later = pairs(parts["train"]), pairs([i for name in names[1:] for i in parts[name]])
    for i in parts[stage]:
        now = {int(events.dst[j]) for j in parts[stage] if (events.src[j], events.t[j]) == (events.src[i], events.t[i])}
        partners = {"historical": trained, "inductive": later - trained, "random": set()}[kind]
        own = {v for u, v in partners if u == events.src[i]} - now
        yield own or so_far - now


@pytest.mark.parametrize("kind", ["random", "historical", "inductive"])
def test_negatives_are_of_their_kind(kind):
    events = task(negatives=kind, eval_negatives=40)
    for stage in ("val", "test"):
        drawn = events.negatives[stage]
        allowed = list(sets(events, stage, kind))
        assert all(set(row.tolist()) <= may for row, may in zip(drawn, allowed, strict=True))
        wide = [(row, may) for row, may in zip(drawn, allowed, strict=True) if len(may) <= 4]
        assert all(set(row.tolist()) == may for row, may in wide), "every one of them is drawn"
    assert torch.equal(task(negatives=kind, eval_negatives=40).negatives["test"], events.negatives["test"])
    assert not torch.equal(task(negatives=kind, eval_negatives=40, seed=1).negatives["test"], events.negatives["test"])


def test_negatives_can_be_given_and_make_the_task_another():
    events = task(eval_negatives=2)
    given = {stage: ids.flip(1) for stage, ids in events.negatives.items()}
    other = task(negatives=given)
    assert torch.equal(other.negatives["val"], given["val"])
    assert other.content_hash != events.content_hash
    with pytest.raises(ValueError, match=r"task 'mail': negatives of 'test' are missing; give destinations \[36, k\]"):
        task(negatives={"val": given["val"]})
    with pytest.raises(IndexError, match="negatives of 'val' name node 12, but there are 12 nodes"):
        task(negatives=given | {"val": given["val"] * 0 + 12})


def test_inductive_events_alone_are_judged_but_all_are_seen():
    events = task(judged="inductive")
    new = set(events.inductive_nodes.tolist())
    batches = list(events.batches("val", 20))
    assert torch.cat([batch.event_id for batch in batches]).equal(events.split.val)
    judged = torch.cat([batch.edge_label_index[:, batch.edge_label == 1] for batch in batches], dim=1)
    ids = [i for i in events.split.val.tolist() if {int(events.src[i]), int(events.dst[i])} & new]
    assert torch.equal(judged, torch.stack([events.src[ids], events.dst[ids]]))
    assert len(ids) < events.split.val.numel()


def with_other_future(data, first):
    """The stream with other events from one on, at times that are no earlier."""
    changed, other = data.clone(), stream(data.num_edges, data.num_nodes, seed=7)
    changed.edge_index[:, first:] = other.edge_index[:, first:]
    changed.edge_time[first:] += 2
    if data.edge_attr is not None:
        changed.edge_attr[first:] += 1
    return changed


@pytest.mark.parametrize("kind", ["random", "historical", "inductive"])
@pytest.mark.parametrize("later", ["val", "test"])
def test_the_future_changes_no_batch_before_it(later, kind):
    data = stream(channels=2)
    split = gk.Split("time", torch.arange(150), torch.arange(150, 195), torch.arange(195, 240))
    first = 150 if later == "val" else 195
    tasks = [gk.EventTask("mail", each, split, negatives=kind) for each in (data, with_other_future(data, first))]
    for stage in ("train", "val")[: 1 if later == "val" else 2]:
        for one, other in zip(*(list(each.batches(stage, 20)) for each in tasks), strict=True):
            assert one.to_dict().keys() == other.to_dict().keys()
            assert all(torch.equal(one[key], other[key]) for key in one.keys() if key != "num_nodes")  # noqa: SIM118


def test_a_snapshot_has_the_events_before_the_batch():
    events = task(snapshot=30, channels=2)
    for stage in ("train", "val", "test"):
        for batch in events.batches(stage, 20):
            first = int(batch.event_id.min())
            assert torch.equal(batch.edge_time, events.t[max(0, first - 30) : first])
            assert batch.edge_attr.size(0) == batch.edge_index.size(1) == min(30, first)
    data = stream()
    data.x = torch.eye(12)
    model = gk.models.GCN(12, 8, out_channels=8)
    result = gk.Trainer(max_epochs=3, progress=False, batch_size=40).fit(model, gk.EventTask("m", data, snapshot=50))
    assert 0 < result.test < 1


def test_transforms_see_training_events_alone():
    data = stream()
    changed = with_other_future(data, 168)
    made = [gk.EventTask("mail", each).transform(OneHotDegree(200)).graphs[0].x for each in (data, changed)]
    assert made[0].shape == (12, 201)
    assert torch.equal(*made)
    degree = torch.zeros(12).index_add_(0, data.edge_index[0, :168], torch.ones(168)).long()
    assert torch.equal(made[0].argmax(1), degree)


def test_likely_slips_are_told():
    data = stream()
    data.edge_index, data.num_nodes = data.edge_index + 1, 13
    with pytest.warns(UserWarning, match="the first 1 nodes have no events; if ids begin at 1, subtract it"):
        gk.EventTask("mail", data)
    data = stream()
    data.edge_time[200:] += 1000
    with pytest.warns(UserWarning, match="nothing happens between 66 and 1066, most of the time from 0 to 1079"):
        gk.EventTask("mail", data)
    data = stream()
    data.edge_index[:, 1] = data.edge_index[:, 0]
    known = {*zip(*data.edge_index.tolist(), data.edge_time.tolist(), strict=True)}
    assert f"240 events ({240 - len(known)} repeated)" in repr(gk.EventTask("mail", data))


def test_times_keep_their_digits():
    data = stream(dtype=torch.float64)
    data.edge_time += 1e9 + 0.25
    batch = next(iter(gk.EventTask("mail", data).batches("train")))
    assert batch.t.dtype == torch.float64
    moved = gk.Trainer(progress=False)._engine().to_device(batch)
    assert torch.equal(moved.t, batch.t)
    assert torch.equal(moved.edge_label_time, batch.edge_label_time)


def test_streams_of_pyg_are_taken():
    data = stream(channels=2)
    temporal = TemporalData(src=data.edge_index[0], dst=data.edge_index[1], t=data.edge_time, msg=data.edge_attr)
    assert gk.EventTask("mail", temporal).content_hash == gk.EventTask("mail", data).content_hash
    assert gk.EventTask("mail", TemporalData(src=temporal.src, dst=temporal.dst, t=temporal.t)).msg.shape == (240, 0)


def test_unsorted_events_are_sorted_with_a_word_and_the_split_goes_along():
    data, order = stream(), torch.randperm(240, generator=torch.Generator().manual_seed(0))
    mixed = Data(edge_index=data.edge_index[:, order], edge_time=data.edge_time[order], num_nodes=12)
    place = order.argsort()
    split = gk.Split("time", place[:150], place[150:195], place[195:])
    with pytest.warns(UserWarning, match="task 'mail': its events are not in the order of time; they are sorted by it"):
        events = gk.EventTask("mail", mixed, split)
    assert torch.equal(events.t, data.edge_time)
    assert events.split.val.tolist() == list(range(150, 195))


def test_what_does_not_fit_is_refused_by_name():
    data = stream()
    number = torch.arange(240)
    with pytest.raises(
        ValueError, match=r"event 239 of the train part of split 'odd' is later than event 0 of its val"
    ):
        gk.EventTask("mail", data, gk.Split("odd", number[100:], number[:50], number[50:100]))
    with pytest.raises(TypeError, match=r"time holds strings, e\.g\. '1\.2\.2020'; use pandas"):
        gk.EventTask("mail", Data(edge_index=data.edge_index, edge_time=["1.2.2020"] * 240, num_nodes=12))
    with pytest.raises(ValueError, match="the time of event 7 is missing or infinite"):
        gk.EventTask(
            "mail", Data(edge_index=data.edge_index, edge_time=torch.where(number == 7, torch.nan, 1.0), num_nodes=12)
        )
    with pytest.raises(ValueError, match=r"task 'mail': events have no times; set data.edge_time \[num_events\]"):
        gk.EventTask("mail", Data(edge_index=data.edge_index, num_nodes=12))
    with pytest.raises(ValueError, match="task 'mail' has no events; give some"):
        gk.EventTask("mail", Data(edge_index=data.edge_index[:, :0], edge_time=number[:0], num_nodes=12))
    with pytest.raises(ValueError, match="the val part is empty, as of 240 times many are equal"):
        gk.EventTask("mail", Data(edge_index=data.edge_index, edge_time=torch.zeros(240), num_nodes=12))
    with pytest.raises(ValueError, match="time is float32, in which times such as 1700000256 differ by 128 or not at"):
        gk.EventTask("mail", Data(edge_index=data.edge_index, edge_time=(number + 1.7e9).float(), num_nodes=12))
    with pytest.raises(TypeError, match="time holds truth values; give numbers"):
        gk.EventTask("mail", Data(edge_index=data.edge_index, edge_time=number > 100, num_nodes=12))
    data.edge_attr = torch.ones(240, 2, 2)
    with pytest.raises(ValueError, match=r"messages have the shape \[240, 2, 2\], must be \[num_events, channels\]"):
        gk.EventTask("mail", data)
    data.edge_attr = torch.where(number == 3, torch.nan, 1.0).unsqueeze(1)
    with pytest.raises(ValueError, match="edge_attr of edge 3 is not finite"):
        gk.EventTask("mail", data)
    with pytest.raises(ValueError, match="makes edge_index, but the batches of events have nothing of nodes but x"):
        task().transform(ToUndirected())
    with pytest.raises(ValueError, match="task 'mail': all training events have one destination"):
        gk.EventTask("mail", Data(edge_index=torch.stack([number % 5, number * 0 + 5]), edge_time=number, num_nodes=6))
    with pytest.raises(ValueError, match="EdgeBank reads events in time, but task 'karate' is a node task"):
        gk.Trainer(progress=False).fit(gk.models.EdgeBank(34), gk.load("karate"))
