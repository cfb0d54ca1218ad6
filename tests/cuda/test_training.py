"""Training on a GPU: every strategy and every kind of task, runs that stop and go on, predictions."""

import copy
import math

import pytest
import torch

import graphkit as gk
from graphkit.models import GCN
from tests import tiny
from tests.common.test_cross_product import MODELS, STRATEGIES
from tests.training.runs import train

STACKS = {name: cls for name, cls in STRATEGIES.items() if name != "greedy"}


def _stack(task):
    torch.manual_seed(0)
    return GCN.from_task(task, hidden_channels=8, readout="mean" if task.joins_graphs else "nodes")


def _fit(model, task, accelerator, strategy="Backprop", **settings):
    settings = {"max_epochs": 3, "progress": False, "accelerator": accelerator, "lr": 0.02} | settings
    trainer = gk.Trainer(strategy=STRATEGIES[strategy](), **settings)
    return trainer, trainer.fit(model, task)


def assert_same_history(actual, expected):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected):
        for key, value in other.items():
            same = value == one[key] or math.isclose(one[key], value, rel_tol=1e-3, abs_tol=1e-5)
            assert same, (key, one, other)


@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass", "link"])
@pytest.mark.parametrize("strategy", STACKS)
def test_strategies(strategy, kind, device):
    task = tiny.task(kind)
    model = _stack(task)
    try:
        _, expected = _fit(copy.deepcopy(model), task, "cpu", strategy)
    except (TypeError, ValueError) as error:
        pytest.skip(f"does not train at all: {error}")
    trainer, actual = _fit(model, task, "cuda", strategy)
    assert next(model.parameters()).is_cuda
    assert not trainer.predict(task)[0].is_cuda  # predictions of all batches are gathered on the CPU
    if device.type != "cuda":  # its generator draws other numbers
        assert_same_history(actual.history, expected.history)
        assert actual.test == pytest.approx(expected.test, rel=1e-3)


@pytest.mark.parametrize("kind", tiny.TASKS)
def test_tasks(kind, device):
    task = tiny.task(kind)
    model = _stack(task)
    _, expected = _fit(copy.deepcopy(model), task, "cpu")
    _, actual = _fit(model, task, "auto")
    assert next(model.parameters()).is_cuda
    assert_same_history(actual.history, expected.history)


OF_LINKS = [name for name, cls in gk.models.registry.classes().items() if issubclass(cls, gk.models.PairScorer)]


@pytest.mark.parametrize("name", [name for name in OF_LINKS if name in MODELS])
def test_scores_of_pairs(name, device):
    task = tiny.task("link")
    torch.manual_seed(0)
    model = MODELS[name](task)
    _, expected = _fit(copy.deepcopy(model), task, "cpu", warm_start=True)
    _, actual = _fit(model, task, "cuda", warm_start=True)
    if device.type != "cuda":
        assert_same_history(actual.history, expected.history)


@pytest.mark.parametrize("kind", ["node", "graph", "link"])
def test_a_run_goes_on_where_it_stopped(kind, device, tmp_path):
    settings = {"accelerator": "cuda", "checkpoint_seconds": 0}
    whole = train(kind, None, max_epochs=6, **settings)
    train(kind, str(tmp_path), max_epochs=3, **settings)
    resumed = train(kind, str(tmp_path), resume=True, max_epochs=6, **settings)
    assert resumed.history == whole.history
    assert all(torch.equal(value, whole.weights[name]) for name, value in resumed.weights.items())


def test_a_run_is_loaded_elsewhere(device, tmp_path):
    task = tiny.task("node multiclass")
    trainer, _ = _fit(_stack(task), task, "cuda", run_dir=tmp_path)
    prediction, _ = trainer.predict(task)
    loaded = gk.load_run(tmp_path)
    torch.testing.assert_close(loaded.predict(task)[0].cpu(), prediction.cpu())
