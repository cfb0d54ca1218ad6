"""What models remember in the trainer: emptied, carried over, put back, saved and continued."""

from __future__ import annotations

import math
import signal
import warnings
from itertools import count

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.models import EventModel
from tests.temporal.streams import stream, task, trainer

MODELS = [name for name, cls in gk.models.registry.classes().items() if issubclass(cls, EventModel)]


class Diary(EventModel):
    """Scores pairs by how many events their source has had, and notes what it saw when."""

    def __init__(self, num_nodes):
        super().__init__()
        self.keep_arguments(locals())
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("counts", torch.zeros(num_nodes))
        self.notes = []

    def reset_parameters(self):
        nn.init.zeros_(self.weight)

    def reset_state(self):
        self.counts.zero_()
        self.notes.append("empty")

    def encode(self, batch):
        return self.counts[batch.edge_label_index[0]].log1p().unsqueeze(1)

    def decode(self, h, batch):
        return self.weight[0] * h + self.weight[1]

    def update_state(self, src, dst, t, msg):
        self.notes.append((self.training, int(self.counts.sum()), src.numel()))
        self.counts.index_add_(0, src, torch.ones(src.numel()))


def test_state_is_emptied_for_each_epoch_and_carried_from_training_to_validation_to_test():
    model, events = Diary(12), task()
    trainer(2).fit(model, events)
    train, val, test = events.split.sizes
    empty = [i for i, note in enumerate(model.notes) if note == "empty"]
    assert len(empty) == 2
    epoch = model.notes[empty[1] + 1 :]
    seen = [note[1] for note in epoch if note[0]]
    assert seen == list(range(0, train, 20))
    evaluations = [note for note in epoch if not note[0]]
    starts = [note[1] for note in evaluations]
    assert starts.count(train) == 3, "validation in the epoch, validation at the end, and the test by way of validation"
    assert max(note[1] + note[2] for note in evaluations) == train + val + test
    assert int(model.counts.sum()) == train, "an evaluation leaves no trace"


def test_the_state_of_the_best_epoch_is_put_back():
    class Drifting(Diary):
        def on_epoch_start(self, epoch):
            self.epoch = epoch

        def update_state(self, src, dst, t, msg):
            super().update_state(src, dst, t, msg)
            if self.training:
                self.counts += self.epoch

    model, run = Drifting(12), trainer(4, lr=0.5)
    result = run.fit(model, task())
    batches = len(list(task().batches("train", 20)))
    train = task().split.train.numel()
    assert int(model.counts.sum()) == train + 12 * batches * result.best_epoch
    assert result.best_epoch < 4


@pytest.mark.parametrize("name", MODELS)
def test_runs_repeat_and_resume_with_a_state_that_has_grown(name, tmp_path, monkeypatch):
    cls = getattr(gk.models, name)
    events = task(channels=2 if cls.reads.edge_attr else 0)

    def run(folder, epochs, resume=False):
        options = {"run_dir": tmp_path / folder, "checkpoint_seconds": 0}
        return trainer(epochs, **options).fit(cls.from_task(events), events, resume=resume)

    monkeypatch.setattr(math, "isclose", lambda a, b, **_: a == b)  # the best weights give the same loss at the end
    with warnings.catch_warnings(action="error"):  # every weight changes, and predictions can be reproduced
        whole = run("whole", 4)
    assert run("again", 4).history == whole.history
    run("parts", 2)
    resumed = run("parts", 4, resume=True)
    assert (resumed.history, resumed.test) == (whole.history, whole.test)
    loaded, other = (gk.load_run(tmp_path / folder, task=events) for folder in ("whole", "parts"))
    assert torch.equal(loaded.predict(events)[0], other.predict(events)[0])


@pytest.mark.parametrize("stage", ["train", "val", "test"])
def test_predictions_are_those_that_were_judged(stage):
    events, run, model = task(), trainer(2), gk.models.EdgeBank(12)
    result = run.fit(model, events)
    prediction, label = run.predict(events, stage)
    assert prediction.shape == (2 * getattr(events.split, stage).numel(), 1)
    again, _ = run.predict(events, stage)
    assert torch.equal(prediction, again)
    if stage != "train":
        metric = events.fresh_metric()
        metric.update(prediction, label)
        assert metric.compute() == pytest.approx(getattr(result, stage))


def test_what_comes_next_is_predicted_after_all_events():
    events, run = task(), trainer(2)
    run.fit(gk.models.EdgeBank(12), events)
    pairs = torch.cartesian_prod(torch.arange(12), torch.arange(12)).t()
    graph = gk.tasks.event.Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=12, edge_label_index=pairs)
    score = run.predict(graph).view(-1)
    known = {(int(u), int(v)) for u, v in zip(events.src, events.dst, strict=True)}
    seen = torch.tensor([tuple(pair) in known for pair in pairs.t().tolist()])
    assert score[seen].min() > score[~seen].max()


@pytest.mark.parametrize("window", [None, 2.0])
@pytest.mark.parametrize("dtype", [torch.long, torch.float64])
def test_edge_bank_is_a_set_of_pairs(window, dtype):
    data, bank, seen = stream(dtype=dtype), gk.models.EdgeBank(12, window), {}
    for ids in torch.arange(240).split(17):
        (src, dst), t = data.edge_index[:, ids], data.edge_time[ids]
        asked = torch.stack([src, dst.roll(1)])
        expected = [
            (u, v) in seen and (window is None or float(time) - seen[u, v] <= window)
            for u, v, time in zip(*asked.tolist(), t, strict=True)
        ]
        assert bank.seen(asked, t).tolist() == expected
        bank.update_state(src, dst, t, torch.empty(ids.numel(), 0))
        seen |= {(int(u), int(v)): float(time) for u, v, time in zip(src, dst, t, strict=True)}


@pytest.mark.parametrize("name", MODELS)
def test_the_future_changes_no_prediction_before_it(name):
    model, number = getattr(gk.models, name), torch.arange(240)
    split = gk.Split("time", number[:150], number[150:195], number[195:])
    data = stream(channels=2 if model.reads.edge_attr else 0)
    changed = data.clone()
    changed.edge_index[:, 215:] = changed.edge_index[:, 215:].flip(0)
    if model.reads.edge_attr:
        changed.edge_attr[215:] += 1
    negatives = gk.EventTask("mail", data, split).negatives
    tasks = [gk.EventTask("mail", each, split, negatives=negatives) for each in (data, changed)]
    scores = []
    for events in tasks:
        run = trainer(2)
        run.fit(model.from_task(events), events)
        scores.append(run.predict(events)[0])
    assert torch.equal(scores[0][: 2 * 20], scores[1][: 2 * 20]), "the batch of the first change begins at 215"


def test_an_event_model_needs_events():
    with pytest.raises(ValueError, match=r"EdgeBank reads events, but the batch has none \(src\); use an EventTask"):
        gk.models.EdgeBank(3)(gk.load("karate").data)
    with pytest.raises(ValueError, match="task 'mail': events are seen one after the other; use devices=1"):
        trainer(devices=2).fit(gk.models.EdgeBank(12), task())


def test_an_error_of_ones_own_memory_is_told_as_it_is():
    class Wrong(gk.models.StaticEmbedding):
        def encode(self, batch):
            return batch.edge_label_index.sort(1, stable=True)

    with pytest.raises(TypeError, match="sort"):
        trainer().fit(Wrong(12), task())


class Stopped(Exception):
    """What a run dies of."""


def dies_after(batches):
    """A strategy whose run dies so many batches from its start."""

    class Dying(gk.strategies.Backprop):
        count = 0

        def train_step(self, batch, phase):
            if self.count == batches:
                raise Stopped
            self.count += 1
            return super().train_step(batch, phase)

    return Dying


@pytest.mark.parametrize(("name", "accumulate"), [("TGN", 1), ("TGN", 3), ("NAT", 1), ("EdgeBank", 1)])
def test_runs_resume_in_the_middle_of_an_epoch(name, accumulate, tmp_path):
    cls = getattr(gk.models, name)
    events = task(channels=2 if cls.reads.edge_attr else 0, num_negatives=2)
    size = {"hidden_channels": 8, "dropout": 0.3} if name != "EdgeBank" else {}

    def run(strategy, resume=False, **options):
        run = trainer(3, strategy=strategy, accumulate=accumulate, checkpoint_seconds=0, **options)
        torch.manual_seed(3)
        return run.fit(cls.from_task(events, **size), events, resume=resume), run

    whole, reference = run(dies_after(-1)())
    for batches in (5, 6, 4):  # of 9 in an epoch: in the first, in the second, right after its end
        with pytest.raises(Stopped):
            run(dies_after(batches)(), resume=True, run_dir=tmp_path)
    resumed, other = run(dies_after(-1)(), resume=True, run_dir=tmp_path)
    assert resumed.history == whole.history
    assert resumed.test == whole.test
    assert torch.equal(other.predict(events)[0], reference.predict(events)[0])


def test_ctrl_c_stops_a_stream_in_the_middle_of_an_epoch(tmp_path):
    steps = count(1)

    class Pressed(gk.strategies.Backprop):
        def train_step(self, batch, phase):
            if next(steps) == 12:
                signal.raise_signal(signal.SIGINT)
            return super().train_step(batch, phase)

    events, folder = task(), {"run_dir": tmp_path, "checkpoint_seconds": 1000}
    whole = trainer(3).fit(gk.models.JODIE.from_task(events), events)
    with pytest.raises(
        KeyboardInterrupt, match="stopped after batch 3 of epoch 2 of phase 'backprop'; continue with fit"
    ):
        trainer(3, strategy=Pressed(), **folder).fit(gk.models.JODIE.from_task(events), events)
    longer = trainer(3, strategy=Pressed(), **folder)
    assert longer.fit(gk.models.JODIE.from_task(events), events, resume=True).history == whole.history


@pytest.mark.parametrize("name", MODELS)
def test_nothing_grows_from_epoch_to_epoch(name):
    events = task(channels=2 if getattr(gk.models, name).reads.edge_attr else 0)

    def sizes(epochs):
        model = getattr(gk.models, name).from_task(events)
        trainer(epochs, restore_best=False).fit(model, events)
        return {key: buffer.shape for key, buffer in model.named_buffers()}

    once, later = sizes(1), sizes(3)
    assert once.keys() == later.keys()
    for key, shape in later.items():
        if ".store." in key and len(shape) and shape[0] != 12:
            assert shape[0] <= 2 * (12 + 2 * 20), "messages of all nodes, and of the batch"
        else:
            assert shape == once[key]


def test_a_folder_asks_for_the_events(tmp_path):
    events = task()
    trainer(1, run_dir=tmp_path).fit(gk.models.JODIE.from_task(events), events)
    with pytest.raises(
        ValueError, match=r"answers depend on all events so far.*give it: load_run\(run_dir, task=task\)"
    ):
        gk.load_run(tmp_path)
    gk.load_run(tmp_path, task=events)
