"""Optimizers, learning rates and weight decay by name, schedulers, and what torch refuses."""

from __future__ import annotations

import math

import pytest
import torch

import graphkit as gk
from graphkit.models import GCN, MLP
from tests import tiny
from tests.training.runs import fit


def groups(**settings):
    """The learning rate and the weight decay that each parameter of a model gets."""
    model = GCN.from_task(tiny.task("node multiclass"))
    optimizer = gk.Trainer(**settings)._optimizers().make(model.named_parameters())
    of = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    return {name: of[id(p)] for name, p in model.named_parameters()}


def test_sgd_takes_the_steps_of_the_textbook():
    task = tiny.task("node multiclass")
    result, model = fit(
        MLP.from_task(task, num_layers=1), task, optimizer="SGD", lr=0.1, weight_decay=0.2, max_epochs=1
    )
    torch.manual_seed(0)
    reference = MLP.from_task(task, num_layers=1)
    torch.manual_seed(0)
    reference.reset_parameters()
    batch = task.batches("train")[0]
    loss = task.loss(reference(batch), batch)
    loss.backward()
    assert result.history[0]["train_loss"] == pytest.approx(loss.item(), rel=1e-6)
    for name, parameter in reference.named_parameters():
        expected = parameter - 0.1 * (parameter.grad + 0.2 * parameter)
        torch.testing.assert_close(dict(model.named_parameters())[name], expected)


def test_clipping_limits_the_step():
    task = tiny.task("node multiclass")
    start = {}

    def step(clip):
        model = GCN.from_task(task, hidden_channels=8)
        reset = model.reset_parameters

        def remember():
            reset()
            start.update({name: value.detach().clone() for name, value in model.named_parameters()})

        model.reset_parameters = remember
        fit(model, task, optimizer="SGD", lr=1.0, clip_norm=clip, max_epochs=1)
        return math.sqrt(
            sum(float((value.detach() - start[name]).square().sum()) for name, value in model.named_parameters())
        )

    assert step(0.01) == pytest.approx(0.01, rel=1e-3)
    assert step(None) > 0.05


def test_weight_decay_by_name():
    assert groups(weight_decay={"layers.0.*": 0.5, "layers.1.lin.*": 0.1}) == {
        "layers.0.bias": (0.01, 0.5),
        "layers.0.lin.weight": (0.01, 0.5),
        "layers.1.bias": (0.01, 0.0),
        "layers.1.lin.weight": (0.01, 0.1),
    }
    with pytest.raises(ValueError, match=r"weight_decay pattern 'layer\.0\.\*' matches no parameter"):
        fit(weight_decay={"layer.0.*": 0.1})


def test_learning_rate_by_name():
    assert groups(lr={"layers.0.*": 0.5, "*": 0.1}, weight_decay={"*.weight": 0.2}) == {
        "layers.0.bias": (0.5, 0.0),
        "layers.0.lin.weight": (0.5, 0.2),
        "layers.1.bias": (0.1, 0.0),
        "layers.1.lin.weight": (0.1, 0.2),
    }
    named, _ = fit(lr={"layers.*": 0.02, "*": 0.5}, max_epochs=3)
    plain, _ = fit(lr=0.02, max_epochs=3)
    assert [row["train_loss"] for row in named.history] == [row["train_loss"] for row in plain.history]
    with pytest.raises(ValueError, match=r"no pattern of lr matches 'layers\.1\.bias'; end with one for all others"):
        fit(lr={"layers.0.*": 0.1})
    with pytest.raises(ValueError, match=r"weight_decay pattern 'layers\.\*' matches no parameter"):
        fit(lr={"layers.*": 0.1, "*": 0.2}, weight_decay={"*": 0.1, "layers.*": 0.2})  # behind one that matches all
    with pytest.raises(ValueError, match=r"lr\['\*'\]=0.0, must be positive"):
        gk.Trainer(lr={"*": 0.0})


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("StepLR", {"step_size": 2, "gamma": 0.1}, [0.1, 0.1, 0.01, 0.01, 0.001]),
        ("ExponentialLR", {"gamma": 0.5}, [0.1, 0.05, 0.025, 0.0125, 0.00625]),
    ],
)
def test_schedulers(name, arguments, expected):
    result, _ = fit(lr=0.1, scheduler=name, scheduler_kwargs=arguments, max_epochs=5)
    assert [row["lr"] for row in result.history] == pytest.approx(expected)


def test_plateau_scheduler_follows_the_monitored_score():
    arguments = {"patience": 0, "factor": 0.5, "mode": "max"}
    result, _ = fit(lr=0.05, scheduler="ReduceLROnPlateau", scheduler_kwargs=arguments, max_epochs=15)
    rate, best = 0.05, -math.inf
    for row in result.history:
        assert row["lr"] == pytest.approx(rate)
        if row["val_accuracy"] <= best * (1 + 1e-4):
            rate *= 0.5
        best = max(best, row["val_accuracy"])
    assert rate < 0.05


def test_plateau_scheduler_follows_the_training_loss_between_validations_too():
    arguments = {"patience": 0, "factor": 0.5, "mode": "min"}
    plateau = {"scheduler": "ReduceLROnPlateau", "scheduler_kwargs": arguments, "scheduler_monitor": "train_loss"}
    result, _ = fit(lr=1.0, max_epochs=16, validate_every=4, **plateau)
    rate, best = 1.0, math.inf
    for row in result.history:
        assert row["lr"] == pytest.approx(rate)
        if row["train_loss"] >= best * (1 - 1e-4):
            rate *= 0.5
        best = min(best, row["train_loss"])
    assert rate < 1


def test_adam_is_fused_and_other_optimizers_work():
    for name in ("Adam", "AdamW", "RMSprop", "Adagrad"):
        assert fit(optimizer=name)[0].epochs == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "SGD", "optimizer_kwargs": {"betas": 1}}, r"optimizer_kwargs=.*'betas': 1.* not suit SGD"),
        ({"optimizer": "SGD", "optimizer_kwargs": {"momentum": -1}}, r"not suit SGD: Invalid momentum value: -1"),
        (
            {"scheduler": "OneCycleLR", "scheduler_kwargs": {"max_lr": 1.0, "total_steps": 10, "pct_start": 0.1}},
            r"scheduler_kwargs=.*'total_steps': 10.* does not suit OneCycleLR: .*division by zero",
        ),
    ],
)
def test_arguments_that_torch_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        fit(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheduler_kwargs": {"gamma": 0.1}}, r"scheduler_kwargs=\{'gamma': 0.1\}, but scheduler=None"),
        ({"scheduler_monitor": "loss"}, "scheduler_monitor='loss' is what ReduceLROnPlateau .* scheduler=None"),
        ({"scheduler": "StepLR", "scheduler_monitor": "loss"}, "scheduler_monitor='loss' .* scheduler='StepLR'"),
    ],
)
def test_settings_of_a_schedule_that_would_have_no_effect_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        gk.Trainer(**settings)


def test_a_schedule_that_ends_before_training_is_refused_before_it():
    short = {"scheduler": "OneCycleLR", "scheduler_kwargs": {"max_lr": 0.1, "total_steps": 3}}
    with pytest.raises(ValueError, match="end after 3 of 4 epochs; give total_steps"):
        fit(max_epochs=4, **short)
    assert len(fit(max_epochs=3, **short)[0].history) == 3
