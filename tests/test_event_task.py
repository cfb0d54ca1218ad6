"""A contributor's task of timestamped events: a target, a loader and a task, trained without an edit of the package."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data

import graphkit as gk
from graphkit.metrics import Metric
from graphkit.tasks import Draw, Loader, Target, Task

# What a contributor writes: three small files ----------------------------------------------------------------------


class EventTarget(Target):
    """Whether an event happened: one score per pair of nodes, each event against a pair that is none."""

    name: ClassVar[str] = "event"
    default_metric = "event_accuracy"
    num_outputs = 1

    def loss(self, prediction, label, weight=None):
        each = F.binary_cross_entropy_with_logits(prediction.view(-1), label, reduction="none")
        return each.mean() if weight is None else each @ weight


class EventAccuracy(Metric):
    """The share of pairs on the right side of 0."""

    name, targets = "event_accuracy", ("event",)

    def __init__(self):
        self.reset()

    def update(self, out, label):
        self.right += int(((out.view(-1) > 0) == (label > 0)).sum())
        self.total += label.numel()

    def compute(self):
        return self.right / self.total

    def reset(self):
        self.right = self.total = 0


class EventLoader(Loader):
    """Batches of consecutive events in the order of time, with destinations drawn anew."""

    resamples = True
    ordered = True
    caches_evaluation = False

    def batches(self, stage, draw: Draw):
        assert not draw.shuffle
        self.epochs = [*getattr(self, "epochs", []), draw.epoch]
        generator = torch.Generator().manual_seed(0) if draw.generator is None else draw.generator
        events, data = getattr(self.task.split, stage), self.task.graphs[0]
        for part in events.split(draw.batch_size or 20):
            source, target = data.edge_index[:, part]
            other = torch.randint(data.num_nodes, target.shape, generator=generator)
            pairs = torch.stack([source.repeat(2), torch.cat([target, other])])
            label = torch.cat([torch.ones(part.numel()), torch.zeros(part.numel())])
            yield Data(edge_index=data.edge_index[:, part], time=data.time[part], pairs=pairs, label=label, num_nodes=8)


class EventTask(Task):
    """Which pair of nodes has the next event."""

    kind = "event"

    def __init__(self, name, data, split, target="event", metric=None, note=""):
        super().__init__(name, target, metric)
        self.note = note
        self.set_data([data], split)

    def make_loader(self):
        return EventLoader(self)

    def set_data(self, graphs, split):
        (data,), self.split = graphs, split
        self.graphs = [data]
        if not bool((data.time.diff() >= 0).all()):
            raise ValueError(f"task {self.name!r}: the events are not in the order of time; sort them")
        self.labels = self.target.check(torch.ones(data.num_edges), split, self.kind, self.name)

    def select(self, out, batch, stage):
        return out, batch.label


# ... and a model with a memory, which an epoch begins anew ---------------------------------------------------------


class Memory(nn.Module):
    """The score of a pair grows with the number of events that the two have had in this pass."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("counts", torch.zeros(8, 8))
        self.seen = []

    def on_epoch_start(self, epoch):
        self.counts.zero_()

    def reset_parameters(self):
        nn.init.zeros_(self.weight)
        self.counts.zero_()

    def forward(self, batch):
        source, target = batch.pairs
        out = self.weight[0] * self.counts[source, target].log1p() + self.weight[1]
        if self.training:
            self.seen.append((float(batch.time[0]), float(self.counts.sum())))
        self.counts.index_put_(tuple(batch.edge_index), torch.ones(batch.edge_index.size(1)), accumulate=True)
        return out.unsqueeze(1)


def task(**changes):
    """Each node always writes to its neighbour on a ring."""
    number = torch.arange(200)
    data = Data(edge_index=torch.stack([number % 8, (number + 1) % 8]), time=number / 10, num_nodes=8)
    split = gk.Split("time", number[:120], number[120:160], number[160:])
    return EventTask("mail", data, split, **changes)


def test_an_event_task_trains_without_an_edit_of_the_package():
    model, trainer = Memory(), gk.Trainer(max_epochs=25, lr=0.1, batch_size=20, progress=False)
    result = trainer.fit(model, task())
    assert result.metric == "event_accuracy"
    assert result.test > 0.9
    losses = [row["train_loss"] for row in result.history]
    assert losses[0] > losses[-1] > 0
    assert losses[0] == pytest.approx(math.log(2), abs=0.4)
    epochs = [model.seen[i : i + 6] for i in range(0, len(model.seen), 6)]
    assert len(epochs) == 25
    assert all(epoch == [(2.0 * i, 20.0 * i) for i in range(6)] for epoch in epochs), "in order, from an empty memory"


def test_runs_of_events_repeat_and_resume(tmp_path):
    def run(folder, epochs, resume=False):
        trainer = gk.Trainer(max_epochs=epochs, batch_size=20, progress=False, run_dir=tmp_path / folder)
        return trainer.fit(Memory(), task(), resume=resume)

    whole = run("whole", 4)
    assert run("again", 4).history == whole.history
    assert len({row["train_loss"] for row in whole.history}) == 4, "negatives are drawn anew"
    run("parts", 2)
    assert run("parts", 4, resume=True).history == whole.history


def test_an_event_task_keeps_its_type_and_settings():
    changed = task(note="mine").transform(lambda data: data)
    assert (type(changed), changed.note, type(changed.loader)) == (EventTask, "mine", EventLoader)
    later = changed.with_split(gk.Split("late", *(torch.arange(40) + 40 * i for i in range(3))))
    assert [batch.time[0].item() for batch in later.batches("val")] == [4.0, 6.0]
    assert repr(later).startswith(
        "EventTask(mail: 8 nodes, 200 edges, 0 features, event with 1 outputs, event_accuracy"
    )


def test_a_loader_hears_of_epochs_and_is_not_asked_to_shuffle():
    events = task()
    gk.Trainer(max_epochs=3, batch_size=20, progress=False).fit(Memory(), events)
    assert [epoch for epoch in events.loader.epochs if epoch is not None] == [1, 2, 3]
    with pytest.raises(ValueError, match="task 'mail': its batches have an order of their own; leave shuffle at False"):
        events.batches("train", shuffle=True)


def test_what_does_not_suit_events_says_so():
    with pytest.raises(ValueError, match="unknown target 'evnt'; did you mean 'event'"):
        task(target="evnt")
    with pytest.raises(ValueError, match="metric 'roc_auc' cannot judge a event target"):
        task(metric="roc_auc")
    with pytest.raises(ValueError, match="task 'mail' is a event task, but samplers draw subgraphs"):
        task().sampled(gk.samplers.NeighborSampler([2]))
    with pytest.raises(ValueError, match=r"GCN reads node features, but task 'mail' has none"):
        gk.Trainer(progress=False).fit(gk.models.GCN(3, 4, out_channels=2), task())
