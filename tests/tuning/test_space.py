"""What a space of settings says is checked before the first trial."""

from __future__ import annotations

import re

import optuna
import pytest

from graphkit.recipes import Experiment
from graphkit.tuning import SearchSpace

BASE = {"model": {"class_path": "GCN", "init_args": {"hidden_channels": 16}}, "task": "karate"}


def space(values, **config):
    return SearchSpace(values, Experiment.from_config(BASE | config))


def test_values_stand_where_their_names_say():
    base = {
        "model": {"class_path": "AutoGNN", "init_args": {"heads": [1, 2]}},
        "trainer": {"scheduler": "StepLR", "scheduler_kwargs": {"step_size": 5}},
    }
    found = space({"model.heads.1": [2, 4], "trainer.scheduler_kwargs.step_size": {"uniform": [1, 9]}}, **base)
    config = found.experiment({"model.heads.1": 4, "trainer.scheduler_kwargs.step_size": 7}).config
    assert config["model"]["init_args"]["heads"] == [1, 4]
    assert config["trainer"]["scheduler_kwargs"] == {"step_size": 7}
    assert found.base.config["model"]["init_args"]["heads"] == [1, 2], "the base stays as it is"


def test_a_class_keeps_the_arguments_of_the_recipe_if_it_is_that_of_the_recipe():
    deep = {"class_path": "GCN", "init_args": {"num_layers": 4}}
    found = space({"model": ["GIN", "GCN", deep], "rewiring": [None, "FoSR"]})
    sizes = [
        found.experiment({"model": value}).config["model"]["init_args"]["hidden_channels"]
        for value in found.choices["model"]
    ]
    assert sizes == [64, 16, 16]
    assert list(found.choices["model"]) == ["GIN", "GCN", "GCN(num_layers=4)"]
    narrow = {"class_path": "GIN", "init_args": {"hidden_channels": 8}}
    chosen = found.experiment({"rewiring": "FoSR", "model.hidden_channels": 8, "model": "GIN"})
    assert chosen.config["model"] == Experiment.from_config(BASE | {"model": narrow}).config["model"]
    assert chosen.config["rewiring"]["class_path"] == "FoSR"


def test_a_range_has_the_numbers_of_its_setting():
    found = space(
        {
            "model.hidden_channels": {"log": [4, 64]},
            "model.dropout": {"uniform": [0, 0.5], "step": 0.25},
            "trainer.lr": {"log": ["1e-3", 1]},
            "trainer.patience": [None, 10],
        }
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [found.suggest(study.ask()) for _ in range(200)]
    widths, rates = {values["model.hidden_channels"] for values in drawn}, [values["trainer.lr"] for values in drawn]
    assert all(type(width) is int for width in widths)
    assert min(widths) >= 4
    assert max(widths) <= 64
    assert 60 < sum(rate < 1e-3**0.5 for rate in rates) < 140, "half of a logarithmic range lies below the middle"
    assert {values["model.dropout"] for values in drawn} == {0.0, 0.25, 0.5}
    assert {values["trainer.patience"] for values in drawn} == {None, 10}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "space: expected settings, and for each its values, got {}"),
        (
            {"model.hiden_channels": [8]},
            "unknown argument 'model.hiden_channels'; did you mean 'model.hidden_channels'",
        ),
        ({"modle.dropout": [0.1]}, "space: unknown setting 'modle.dropout'"),
        ({"task.split": [0, 1]}, "space: unknown setting 'task.split'"),
        ({"trainer.seed": [0, 1]}, "space: trainer.seed does not change what is learned"),
        ({"model.dropout": [0.1, 1.5]}, "space: GCN: dropout=1.5, must be in [0, 1)"),
        ({"trainer.lr": {"uniform": [-1, 1]}}, "space: Trainer: lr=-1.0, must be positive"),
        ({"model.act": ["relu", "rleu"]}, "space: GCN: act='rleu', must be an activation of torch.nn"),
        ({"model.hidden_channels": 8}, "space: model.hidden_channels=8, must be a list of values, or a range"),
        ({"model.hidden_channels": []}, "space: model.hidden_channels=[], must be a list of values"),
        ({"model.dropout": {"linear": [0, 0.5]}}, "model.dropout={'linear': [0, 0.5]}, must be {log: [low, high]}"),
        ({"model.dropout": {"log": [0, 0.5]}}, "model.dropout={'log': [0, 0.5]}, must begin above 0 and below its end"),
        ({"model.dropout": {"uniform": [0.5, 0.1]}}, "dropout={'uniform': [0.5, 0.1]}, must begin below its end"),
        ({"model.hidden_channels": {"uniform": [4, 8], "step": 0.5}}, "step must be a whole number"),
        ({"model.dropout": {"uniform": [0, 0.5], "step": 0.7}}, "step must be a number within a uniform range"),
        ({"model.act": {"uniform": ["relu", "elu"]}}, "is no range of numbers; use a list of values"),
        ({"model.act": ["relu", "relu"]}, "space: model.act=['relu', 'relu'] has a value twice"),
        ({"rewiring.num_edges": [3]}, "space: rewiring.num_edges: there is no rewiring, so it has no arguments"),
        ({"rewiring": [None, "FoSR"], "rewiring.num_edges": [3]}, "space: rewiring.num_edges: there is no rewiring"),
        ({"model": ["GCN", "MLP"], "model.norm": ["no_norm"]}, "norm='no_norm'"),
        ({"model": ["GCN", "APPNP"], "model.alpha": [0.1]}, "space: unknown argument 'model.alpha'"),
        ({"model.act.0": ["relu"]}, "space: model.act.0: model.act is 'relu' in the recipe, must be a list or mapping"),
        ({"model": ["GNC"]}, "space: unknown model 'GNC'; did you mean"),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        space(values)


def test_a_position_that_is_not_there():
    with pytest.raises(ValueError, match=re.escape("model.heads.2: '2' must be a position in [1, 2], counted from 0")):
        space({"model.heads.2": [4]}, model={"class_path": "AutoGNN", "init_args": {"heads": [1, 2]}})
