"""Callbacks: what they hear, what they may do, and that they change nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import graphkit as gk
from graphkit.training.callbacks import HOOKS
from tests import tiny
from tests.training import runs
from tests.training.greedy import Greedy


class Ear(gk.Callback):
    """Notes all it hears, and where the run stood."""

    def __init__(self):
        self.heard = []

    def note(self, hook, state, *_):
        self.heard.append((hook, state.phase, state.epoch, state.step, state.metrics.get("val_loss")))

    def hooks(self):
        return [hook for hook, *_ in self.heard]


for _hook in HOOKS:
    setattr(Ear, _hook, lambda self, state, *further, _hook=_hook: self.note(_hook, state, *further))


class Once(gk.Callback):
    """Does something at the end of one epoch."""

    def __init__(self, epoch, action):
        self.epoch, self.action = epoch, action

    def on_epoch_end(self, state):
        if state.epoch == self.epoch:
            self.action(state)


class Counter(gk.Callback):
    """Counts epochs; stops at ``limit``."""

    def __init__(self, limit=None):
        self.limit = limit

    def on_fit_start(self, state):
        self.count = 0

    def on_epoch_end(self, state):
        self.count += 1
        if self.count == self.limit:
            state.stop()

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def stop(state):
    state.stop()


def fail(state):
    raise RuntimeError("pruned")


def test_hooks_come_in_order_and_see_where_the_run_stands(tmp_path):
    ear = Ear()
    result, _ = runs.fit(callbacks=[ear], max_epochs=2, validate_every=2, run_dir=tmp_path, checkpoint_seconds=0.0)
    val = result.history[-1]["val_loss"]
    assert ear.heard == [
        ("on_fit_start", "backprop", 0, 0, None),
        ("on_epoch_start", "backprop", 1, 0, None),
        ("on_epoch_end", "backprop", 1, 1, None),
        ("on_save_checkpoint", "backprop", 1, 1, None),
        ("on_epoch_start", "backprop", 2, 1, None),
        ("on_validation_end", "backprop", 2, 2, val),
        ("on_epoch_end", "backprop", 2, 2, val),
        ("on_save_checkpoint", "backprop", 2, 2, val),
        ("on_save_checkpoint", "backprop", 2, 2, val),
        ("on_fit_end", "backprop", 2, 2, val),
    ]


def test_the_state_shows_the_run_and_cannot_be_changed():
    seen = {}

    class Look(gk.Callback):
        def on_epoch_end(self, state):
            state.metrics["train_loss"] = 0.0
            for name in ("epoch", "phase", "metrics", "model", "trainer", "task", "step", "other"):
                with pytest.raises(AttributeError):
                    setattr(state, name, 1)
            seen.update(model=state.model, trainer=state.trainer, task=state.task.name, metrics=state.metrics)

        def on_fit_end(self, state, result):
            seen["result"] = result

    look = Look()
    task = tiny.task("node multiclass")
    model = gk.models.GCN.from_task(task, hidden_channels=8)
    trainer = gk.Trainer(max_epochs=2, progress=False, callbacks=[look])
    result = trainer.fit(model, task)
    assert seen["model"] is model
    assert seen["trainer"] is trainer
    assert seen["task"] == task.name
    assert {"phase": "backprop", "epoch": 2} | seen["metrics"] == result.history[-1]
    assert seen["result"] is result


@pytest.mark.parametrize("kind", ["graph", "link", "node", "greedy"])
def test_a_callback_that_does_nothing_changes_no_bit(kind):
    plain = runs.train(kind, None, max_epochs=6)
    heard = runs.train(kind, None, max_epochs=6, callbacks=[Ear(), gk.Callback()])
    assert heard.history == plain.history
    assert all((heard.weights[name] == value).all() for name, value in plain.weights.items())


@pytest.mark.parametrize("strategy", [None, Greedy(), "ForwardForward", "SingleForward"])
def test_stopping_ends_the_phase_as_if_it_had_no_more_epochs(strategy):
    task = tiny.task("node multiclass")
    stopped, first = runs.fit(callbacks=[Once(3, stop)], max_epochs=9, strategy=strategy, task=task)
    short, second = runs.fit(max_epochs=3, strategy=strategy, task=task)
    assert stopped.history == short.history
    assert [phase["epochs"] for phase in stopped.phases] == [3] * len(short.phases)
    assert runs.same(first, second)


def test_a_phase_is_not_stopped_before_it_has_been_validated():
    result, _ = runs.fit(callbacks=[Once(1, stop)], max_epochs=9, validate_every=2)
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert result.best_epoch == 2


def test_an_exception_passes_through_and_the_run_can_be_resumed(tmp_path):
    ear = Ear()
    settings = {"max_epochs": 6, "run_dir": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(RuntimeError, match=r"^pruned$"):
        runs.fit(callbacks=[Once(3, fail), ear], **settings)
    assert ear.hooks()[-2:] == ["on_validation_end", "on_exception"]
    later = Ear()
    resumed, model = runs.fit(resume=True, callbacks=[later], **settings)
    whole, expected = runs.fit(max_epochs=6)
    assert resumed.history == whole.history
    assert runs.same(model, expected)
    assert [epoch for hook, _, epoch, *_ in later.heard if hook == "on_epoch_start"] == [3, 4, 5, 6]


def test_the_exception_of_the_run_wins_over_those_of_the_callbacks():
    class Deaf(Ear):
        def on_exception(self, state, exception):
            super().on_exception(state, exception)
            raise ValueError("deaf")

    ears = Deaf(), Deaf()
    with (
        pytest.warns(UserWarning, match=r"Deaf\.on_exception has failed: ValueError\('deaf'\)"),
        pytest.raises(RuntimeError, match="pruned"),
    ):
        runs.fit(callbacks=[*ears, Once(1, fail)])
    assert [ear.hooks().count("on_exception") for ear in ears] == [1, 1]


def test_states_survive_a_resume_and_a_new_run_begins_anew(tmp_path):
    counter = Counter(4)
    with pytest.raises(RuntimeError, match="pruned"):
        runs.fit(callbacks=[counter, Once(3, fail)], run_dir=tmp_path, checkpoint_seconds=0.0, max_epochs=9)
    fresh = Counter(4)
    resumed, _ = runs.fit(callbacks=[fresh], run_dir=tmp_path, checkpoint_seconds=0.0, max_epochs=9, resume=True)
    assert (resumed.epochs, fresh.count) == (4, 4)
    again, _ = runs.fit(callbacks=[fresh], max_epochs=9)
    assert again.epochs == 4


def test_a_stopped_phase_stays_stopped_over_a_resume(tmp_path):
    settings = {"run_dir": tmp_path, "max_epochs": 9, "checkpoint_seconds": 0.0}
    first, _ = runs.fit(callbacks=[Counter(4)], **settings)
    with pytest.warns(UserWarning, match=r"holds the state of the callback Counter, which is not among .*; it is drop"):
        second, _ = runs.fit(resume=True, **settings)
    assert second.history == first.history


def test_callbacks_of_one_class_have_states_of_their_own(tmp_path):
    settings = {"run_dir": tmp_path, "checkpoint_seconds": 0.0}
    runs.fit(callbacks=[Counter(), Counter(3)], max_epochs=5, **settings)
    state = gk.training.checkpoint.load_checkpoint(tmp_path / "checkpoint.pt")
    assert state["callbacks"] == {"Counter": {"count": 3}, "Counter 2": {"count": 3}}


def test_a_state_that_a_checkpoint_cannot_give_back_is_refused(tmp_path):
    class Odd(gk.Callback):
        def state_dict(self):
            return {"best": np.float64(0.5)}

    with pytest.raises(TypeError, match=r"Odd\.state_dict\(\) holds what a checkpoint cannot give back, must be plain"):
        runs.fit(callbacks=[Odd()], run_dir=tmp_path)


def test_a_run_with_callbacks_can_be_loaded_and_says_which_it_had(tmp_path):
    result, model = runs.fit(callbacks=[Ear()], run_dir=tmp_path)
    assert result.config["trainer"]["callbacks"] == ["Ear"]
    run = gk.load_run(tmp_path)
    assert run.trainer.callbacks == ()
    assert runs.same(run.model, model)


class _Typo(gk.Callback):
    def on_epoch_ends(self, state):
        pass


class _Lightning(gk.Callback):
    def on_fit_start(self, trainer, pl_module):
        pass


@pytest.mark.parametrize(
    ("callback", "error", "message"),
    [
        (
            _Typo(),
            ValueError,
            r"Trainer: callbacks=.*, _Typo\.on_epoch_ends is never called; did you mean 'on_epoch_end'",
        ),
        (_Lightning(), ValueError, r"_Lightning\.on_fit_start must take \(state\)"),
        (Ear, TypeError, r"Trainer: callbacks\[0\]=<class .*, must be of type Callback"),
        (print, TypeError, r"Trainer: callbacks\[0\]=<built-in function print>, must be of type Callback"),
    ],
)
def test_what_is_no_callback_is_refused_at_once(callback, error, message):
    with pytest.raises(error, match=message):
        gk.Trainer(callbacks=[callback])
