"""Batches that a thread draws ahead, and steps that see several batches."""

from __future__ import annotations

import threading
import time
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.transforms import BaseTransform

from graphkit import Trainer
from graphkit.models import GCN
from graphkit.ops import backend
from graphkit.training.feeding import Feed, ahead
from tests import tiny
from tests.training.runs import train

TASKS = {
    "graphs": lambda: tiny.graph_task(),
    "subgraphs": lambda: tiny.sampled_task(),
    "links": lambda: tiny.link_task(),
    "whole": lambda: tiny.node_task(),
}


def run(task, **settings):
    model = GCN.from_task(task, hidden_channels=8, dropout=0.5, **({"readout": "mean"} if "graph" in task.name else {}))
    size = None if task.name == "tiny node multiclass" and task.sampler is None else 5
    result = Trainer(**{"max_epochs": 3, "batch_size": size, "progress": False} | settings).fit(model, task)
    return result.history, [weight.tolist() for weight in model.parameters()]


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("graphkit-prefetch")]


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_drawn_ahead_is_bit_equal(kind):
    expected = run(TASKS[kind]())
    for prefetch in (0, 1, 3):
        assert run(TASKS[kind](), prefetch=prefetch) == expected
    assert not threads()


def test_a_resumed_run_may_draw_otherwise_and_ends_alike(tmp_path):
    whole = train("graph", None, max_epochs=6)
    train("graph", str(tmp_path / "run"), max_epochs=4, prefetch=2)
    resumed = train("graph", str(tmp_path / "run"), resume=True, max_epochs=6, prefetch=1)
    assert resumed.history == whole.history
    assert all(torch.equal(value, whole.weights[name]) for name, value in resumed.weights.items())


class Fails(BaseTransform):
    """Breaks at a subgraph that is not the first."""

    def forward(self, data):
        if data.n_id[data.root_index].min() > 3:
            raise ArithmeticError("no such subgraph")
        return data


def test_an_error_of_the_thread_is_raised_by_fit_and_the_thread_ends():
    task = tiny.sampled_task().transform(Fails())
    with pytest.raises(ArithmeticError, match="no such subgraph"):
        run(task, batch_size=1, prefetch=2)
    assert not threads()


def test_random_transforms_are_refused_by_name():
    task = tiny.sampled_task().transform(Draws())
    with pytest.raises(ValueError, match=r"Trainer: prefetch=2, but batches of task 'tiny node multiclass' draw from"):
        run(task, prefetch=2)
    assert run(task) == run(task, prefetch=0)


class Draws(BaseTransform):
    """Noise from torch's own generator."""

    def forward(self, data):
        data.x = data.x + 0.1 * torch.randn_like(data.x)
        return data


def test_who_stops_early_ends_the_thread_and_takes_few_items():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    drawn = ahead(items(), 3)
    assert next(drawn) == 0
    drawn.close()
    assert not threads()
    assert len(taken) <= 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_of_training_ends_the_thread(error, monkeypatch):
    original = Trainer._engine

    def engine(self):
        made = original(self)
        monkeypatch.setattr(made, "optimize", lambda *_: (_ for _ in ()).throw(error("pressed")))
        return made

    monkeypatch.setattr(Trainer, "_engine", engine)
    with pytest.raises(error, match="pressed"):
        run(tiny.graph_task(), prefetch=2)
    for _ in range(100):  # the generator is closed with the traceback
        if not threads():
            break
        time.sleep(0.05)
    assert not threads()


def test_the_next_item_is_taken_while_one_is_used():
    asked = [threading.Event() for _ in range(4)]

    def items():
        for event in asked:
            event.set()
            yield event

    for number, _ in enumerate(ahead(items(), 1)):
        assert all(event.wait(10) for event in asked[: number + 2])


def test_the_thread_knows_the_backend_that_was_chosen():
    with backend.use_backend("torch"):
        assert list(ahead((backend._choice.get() for _ in range(2)), 1)) == ["torch", "torch"]


def test_a_gpu_is_fed_from_pinned_memory_unless_batches_share_a_graph():
    def stages(task):
        passed = []
        engine = SimpleNamespace(is_gpu=True, shard=(0, 1))
        engine.pin = lambda batch: passed.append("pinned") or batch
        engine.to_device = lambda batch: passed.append("moved") or batch
        list(Feed(task, engine, 5, None).training(0, 1))
        return passed

    assert sorted(stages(tiny.graph_task())) == ["moved"] * 3 + ["pinned"] * 3
    assert set(stages(tiny.link_task())) == {"moved"}
    jittered = tiny.sampled_task().transform(Draws())
    assert set(stages(jittered)) == {"moved"}, "batches that draw from global generators are not drawn ahead unasked"


def test_a_step_of_several_batches_is_that_of_one_large_batch():
    def weights(**settings):
        settings = {"optimizer": "SGD", "lr": 0.1, "max_epochs": 2, "restore_best": False} | settings
        model = GCN.from_task(task, hidden_channels=8, readout="mean")
        Trainer(progress=False, **settings).fit(model, task)
        return torch.cat([weight.flatten() for weight in model.parameters()])

    task = tiny.graph_task()  # 12 graphs to train on
    torch.testing.assert_close(weights(batch_size=2, accumulate=3), weights(batch_size=6))
    torch.testing.assert_close(weights(batch_size=6, accumulate=5), weights(batch_size=12), msg="too few in an epoch")
    steps = weights(batch_size=4, accumulate=2)  # of two batches and of one
    assert not torch.allclose(steps, weights(batch_size=12))
    assert not torch.allclose(steps, weights(batch_size=4))


def test_the_rate_of_a_step_grows_with_its_batches():
    def weights(**settings):
        settings = {"optimizer": "SGD", "lr": 0.1, "max_epochs": 2, "restore_best": False} | settings
        model = GCN.from_task(task, hidden_channels=8, readout="mean")
        result = Trainer(progress=False, **settings).fit(model, task)
        assert {row["lr"] for row in result.history} == {settings["lr"]}
        return torch.cat([weight.flatten() for weight in model.parameters()])

    task = tiny.graph_task()  # 12 graphs to train on: 6 batches of 2, steps of 4 and of 2 batches
    torch.testing.assert_close(
        weights(batch_size=2, accumulate=3, accumulate_lr="linear"), weights(batch_size=6, lr=0.3)
    )
    root = weights(batch_size=2, accumulate=6, accumulate_lr="sqrt")
    torch.testing.assert_close(root, weights(batch_size=12, lr=0.1 * 6**0.5))
    uneven = weights(batch_size=2, accumulate=4, accumulate_lr="linear")
    assert not torch.allclose(uneven, weights(batch_size=2, accumulate=4, lr=0.4)), "the last step has two batches"
    adam = weights(batch_size=2, accumulate=3, accumulate_lr="linear", optimizer="Adam")
    torch.testing.assert_close(adam, weights(batch_size=6, lr=0.3, optimizer="Adam"))
    with pytest.raises(ValueError, match="accumulate_lr='linear' counts where accumulate is above 1"):
        Trainer(accumulate_lr="linear")


def test_accumulation_clips_the_averaged_gradient():
    settings = {"optimizer": "SGD", "lr": 1.0, "clip_norm": 1e-3, "restore_best": False, "max_epochs": 1}
    task = tiny.graph_task()
    model = GCN.from_task(task, hidden_channels=8, readout="mean")
    Trainer(**settings, warm_start=True, batch_size=6, accumulate=2, progress=False).fit(
        trained := deepcopy(model), task
    )
    change = [new - old for new, old in zip(trained.parameters(), model.parameters(), strict=True)]
    assert torch.cat([each.flatten() for each in change]).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_layers_that_step_one_by_one_cannot_accumulate():
    with pytest.raises(ValueError, match="Trainer: accumulate=2, but SingleForward never calls the model as a whole"):
        Trainer(accumulate=2, strategy="SingleForward")
    with pytest.raises(ValueError, match="prefetch=-1"):
        Trainer(prefetch=-1)
