"""Labels in a stream: of events, as a rating's sign, or of their sources at that time, as a user's state."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch_geometric.data import TemporalData

import graphkit as gk
from tests.temporal.streams import stream, trainer

MODELS = ["TGN", "JODIE", "DyRep", "GraphMixer", "NAT"]


def labelled(every=1, **options):
    """A stream with 0 and 1, of which every so-many-th is known."""
    data = stream(**options)
    data.edge_label = ((data.edge_index.sum(0) + data.edge_time) % 2).float()
    data.edge_label[torch.arange(data.num_edges) % every > 0] = torch.nan
    return data


def test_labels_are_asked_of_pairs_or_of_sources_at_the_time_of_their_events():
    data = labelled(every=3)
    for labels_of in ("event", "source"):
        task = gk.EventTask("ratings", data, target="binary", labels_of=labels_of)
        seen = 0
        for stage in ("train", "val", "test"):
            ids = getattr(task.split, stage)
            known = ids[ids % 3 == 0]
            batches = list(task.batches(stage, 20))
            pairs, times, labels = (
                torch.cat([batch[key] for batch in batches], -1)
                for key in ("edge_label_index", "edge_label_time", "edge_label")
            )
            assert torch.equal(pairs[0], task.src[known])
            assert torch.equal(pairs[1], (task.dst if labels_of == "event" else task.src)[known])
            assert torch.equal(times, task.t[known])
            assert torch.equal(labels, data.edge_label[known])
            seen += sum(batch.src.numel() for batch in batches)
        assert seen == 240 + task.split.val.numel(), "events without a label are seen, those of validation twice"


def test_new_nodes_are_judged_alone():
    data, split = labelled(), gk.Split.by_time(stream().edge_time, 0.15, 0.15)
    for labels_of in ("event", "source"):
        task = gk.EventTask("r", data, split, target="binary", judged="inductive", labels_of=labels_of)
        pairs = torch.cat([batch.edge_label_index for batch in task.batches("test", 20)], 1)
        new = torch.isin(pairs, task.inductive_nodes)
        assert 0 < pairs.size(1) < split.sizes[2]
        assert bool(new.any(0).all())


@pytest.mark.parametrize("labels_of", ["event", "source"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", ["binary", "multiclass"])
def test_models_learn_labels(name, labels_of, target):
    data = labelled(every=2, channels=2)
    if target == "multiclass":
        data.edge_label = torch.where(data.edge_label.isnan(), -1, data.edge_label + data.edge_index[0] % 2).long()
    task = gk.EventTask("r", data, target=target, labels_of=labels_of)
    model, run = getattr(gk.models, name).from_task(task), trainer(2)
    result = run.fit(model, task)
    prediction, label = run.predict(task)
    assert prediction.shape == (label.numel(), task.num_outputs)
    metric = task.fresh_metric()
    metric.update(prediction, label)
    assert metric.compute() == pytest.approx(result.test)
    assert (
        all(parameter.grad is not None for parameter in model.score.parameters()) if hasattr(model, "score") else True
    )


def test_what_sources_said_before_tells_their_labels():
    data = stream(num_events=600)
    data.edge_index[1] += 12
    data.num_nodes = 24
    data.edge_label = (data.edge_index[0] % 2).float()
    data.edge_attr = data.edge_label.view(-1, 1)
    task = gk.EventTask("parity", data, target="binary", labels_of="source", metric="roc_auc")
    model = gk.models.JODIE.from_task(task, hidden_channels=8, time_channels=4)
    assert trainer(6, lr=0.02, batch_size=10).fit(model, task).test > 0.95
    assert task.baseline() == 0.5


@pytest.mark.parametrize("name", MODELS)
def test_neither_labels_nor_messages_of_a_batch_reach_its_predictions(name):
    data, number = labelled(channels=1), torch.arange(240)
    split = gk.Split("time", number[:150], number[150:195], number[195:])
    changed = data.clone()
    changed.edge_label[195:] = 1 - changed.edge_label[195:]
    changed.edge_attr[215:] += 3
    scores = []
    for each in (data, changed):
        task, run = gk.EventTask("r", each, split, target="binary"), trainer(2)
        run.fit(getattr(gk.models, name).from_task(task), task)
        scores.append(run.predict(task)[0])
    assert torch.equal(scores[0][:40], scores[1][:40]), "the batch of the first other message begins at 215"


def test_models_of_nodes_read_a_snapshot():
    data = labelled()
    data.x = torch.eye(12)
    task = gk.EventTask("r", data, target="binary", labels_of="source", snapshot=50)
    model = gk.models.GCN.from_task(task, hidden_channels=8)
    run = trainer(2, batch_size=40)
    run.fit(model, task)
    batch = list(task.batches("test", 40))[-1]
    out = model.eval()(batch)
    assert torch.equal(task.select(out, batch, "test")[0], out[batch.edge_label_index[0]])


def test_tables_have_a_column_of_labels():
    data = labelled(every=2)
    words = ["" if label != label else ("spam", "work")[int(label)] for label in data.edge_label.tolist()]
    table = pd.DataFrame({"u": data.edge_index[0], "v": data.edge_index[1], "t": data.edge_time, "kind": words})
    table["kind"] = table["kind"].where(table["kind"] != "")
    task = gk.EventTask.from_pandas(table, label="kind")
    assert task.classes == ("spam", "work")
    run = trainer(1)
    run.fit(gk.models.JODIE.from_task(task), task)
    frame = run.predict(task, as_frame=True)
    assert set(frame["label"]) == {"spam", "work"}
    assert {"prediction", "p(spam)", "p(work)"} < set(frame.columns)
    binary = gk.EventTask.from_pandas(table, label="kind", target="binary", metric="roc_auc")
    assert torch.equal(binary.labels.nan_to_num(-1).long(), task.labels)
    with pytest.warns(FutureWarning, match=r"EventTask.from_pandas\(destination=\)"):
        assert gk.EventTask.from_pandas(table, "u", target="v").num_nodes == 12
    with pytest.raises(ValueError, match="there is no column 'sort'; the table has 'u', 'v', 't', 'kind'"):
        gk.EventTask.from_pandas(table, label="sort")
    with pytest.raises(ValueError, match="label='kind' is not read, as target='link'; leave one of them out"):
        gk.EventTask.from_pandas(table, label="kind", target="link")


def test_streams_of_pyg_have_labels():
    data = labelled()
    temporal = TemporalData(*data.edge_index, data.edge_time, msg=torch.empty(240, 0), y=data.edge_label)
    assert torch.equal(gk.EventTask("r", temporal, target="binary").labels, data.edge_label)
    unread = gk.EventTask("r", temporal).content_hash
    del temporal.y
    assert gk.EventTask("r", temporal).content_hash == unread


def test_labels_are_sorted_with_their_events():
    data, order = labelled(), torch.randperm(240, generator=torch.Generator().manual_seed(0))
    mixed = data.clone()
    for key, value in (("edge_index", data.edge_index[:, order]), ("edge_label", data.edge_label[order])):
        mixed[key] = value
    mixed.edge_time = data.edge_time[order] * 1000 + order  # no ties
    with pytest.warns(UserWarning, match="they are sorted by it"):
        task = gk.EventTask("r", mixed, target="binary")
    assert torch.equal(task.labels, data.edge_label)


def test_what_does_not_fit_is_refused_by_name():
    data = labelled()
    with pytest.raises(ValueError, match=r"task 'r': the events have no labels; set data.edge_label \[num_events\]"):
        gk.EventTask("r", stream(), target="binary")
    with pytest.raises(ValueError, match="EventTask: negatives is not read, as target='binary'; leave it out"):
        gk.EventTask("r", data, target="binary", negatives="historical")
    with pytest.raises(ValueError, match="EventTask: labels_of is not read, as target='link'; leave it out"):
        gk.EventTask("r", data, labels_of="source")
    with pytest.raises(ValueError, match="cannot judge a binary target"):
        gk.EventTask("r", data, target="binary", metric="mrr")
    with pytest.raises(ValueError, match="EdgeBank scores pairs, but task 'r' asks for labels; use another model"):
        gk.models.EdgeBank.from_task(gk.EventTask("r", data, target="binary"))
    odd = data.clone()
    odd.edge_label = odd.edge_label[:100]
    with pytest.raises(ValueError, match=r"edge_label has the shape \[100\] for 240 events; give each a label"):
        gk.EventTask("r", odd, target="binary")
    odd.edge_label = torch.where(data.edge_label > 0, 1, -1)  # a sign
    with pytest.raises(ValueError, match="a binary label is -1"):
        gk.EventTask("r", odd, target="binary")
    odd.edge_label = data.edge_label.clone()
    odd.edge_label[160:] = torch.nan
    with pytest.raises(ValueError, match=r"no event of the val part of split .* has a label; use another split"):
        gk.EventTask("r", odd, target="binary")
    odd.edge_label = torch.where(torch.arange(240) < 200, data.edge_label, torch.zeros(()))
    with pytest.raises(ValueError, match="class 1 of 2 has no test example"):
        gk.EventTask("r", odd, target="binary")
    assert gk.EventTask("r", odd, target="binary", allow_missing_classes=True).split.sizes[2]
