"""What users bring to training (models, strategies, trainers used again) is honoured by every strategy, or refused."""

from __future__ import annotations

import copy
import re
import warnings

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.models import GCN, MLP, LayeredModel
from graphkit.training.strategies import Backprop, Phase, SingleForward
from tests import tiny
from tests.training.forward import NODE, model_for
from tests.training.runs import same

TASK = tiny.task("node multiclass")
STRATEGIES = {"Backprop": Backprop} | NODE
REPLACING = ("all labels", "top to input")  # these show every layer more than the state below it


def trainer(strategy, **settings):
    return gk.Trainer(strategy=strategy, **{"max_epochs": 3, "lr": 0.05, "progress": False} | settings)


def model(**arguments):
    return model_for(TASK, **{"norm": "batch_norm", "dropout": 0.2} | arguments)


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_frozen_weights_stay_bit_equal(name):
    network = model(norm="layer_norm")
    frozen = [network.layers[1].bias, network.norms[1].weight, network.head.bias]
    for parameter in frozen:
        nn.init.constant_(parameter, 0.7).requires_grad_(False)
    free = network.layers[1].lin.weight.clone()
    if any(word in name for word in REPLACING):
        with pytest.raises(
            ValueError, match=r"layer 2 has to be replaced by one that takes more inputs, .* are frozen"
        ):
            trainer(STRATEGIES[name]()).fit(network, TASK)
        return
    trainer(STRATEGIES[name](), weight_decay=0.1).fit(network, TASK)
    for parameter in [network.layers[1].bias, network.norms[1].weight, network.head.bias]:
        assert torch.equal(parameter, torch.full_like(parameter, 0.7))
    assert not torch.equal(free, network.layers[1].lin.weight)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_model_in_evaluation_mode_is_trained_all_the_same(name):
    one, other = model(), model().eval()
    first, second = (trainer(STRATEGIES[name]()).fit(each, TASK) for each in (one, other))
    assert first.history == second.history
    assert same(one, other)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_trainer_and_its_models_may_be_used_again(name):
    again, one, other = trainer(STRATEGIES[name]()), model(), model(num_layers=2)
    again.fit(one, TASK)
    found = [again.fit(other, TASK).history, again.predict(TASK)[0]]
    fresh = trainer(STRATEGIES[name]())
    expected = [fresh.fit(model(num_layers=2), TASK).history, fresh.predict(TASK)[0]]
    assert found[0] == expected[0]
    assert torch.equal(found[1], expected[1])
    assert again.fit(one, TASK).history == trainer(STRATEGIES[name]()).fit(model(), TASK).history


@pytest.mark.parametrize("name", STRATEGIES)
def test_weights_that_layers_share(name):
    network = MLP.from_task(TASK, hidden_channels=6, num_layers=3, readout="nodes")
    network.layers[2].weight = network.layers[1].weight
    if name == "Backprop":
        assert trainer(Backprop()).fit(network, TASK).num_parameters == sum(p.numel() for p in network.parameters())
        assert network.layers[1].weight is network.layers[2].weight
        return
    message = r"layer 2 has to be replaced .* are shared|layers 2 and 3 of MLP share 'layers\.1\.weight'; use Backprop"
    with pytest.raises(ValueError, match=message):
        trainer(STRATEGIES[name]()).fit(network, TASK)


def test_a_frozen_layer_cannot_be_trained_apart():
    network = model()
    network.layers[1].requires_grad_(False)
    network.norms[1].requires_grad_(False)
    with pytest.raises(ValueError, match="layer 2 of GCN, an GCNConv, has no weights to train; use Backprop"):
        trainer(SingleForward()).fit(network, TASK)


def test_steps_return_tensors():
    class Twice(MLP):
        def step(self, i, history, batch):
            return super().step(i, history, batch), None

    with pytest.raises(TypeError, match="step 0 of Twice returned a tuple, not a tensor"):
        trainer(SingleForward()).fit(Twice.from_task(TASK, hidden_channels=4), TASK)


# --- strategies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [Backprop, SingleForward, GCN, LayeredModel])
def test_hooks_of_other_libraries_are_told_of(base):
    with pytest.raises(
        TypeError, match=r"Mine\.on_train_epoch_start is never called; the hooks are on_epoch_start and"
    ):
        type("Mine", (base,), {"on_train_epoch_start": lambda self: None})


class _Given(Backprop):
    planned: tuple = (Phase("a"),)
    step = None

    def phases(self):
        return self.planned

    def train_step(self, batch, phase):
        self.steps = getattr(self, "steps", 0) + 1
        return super().train_step(batch, phase) if self.step is None else self.step


@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ({"planned": ()}, ValueError, r"_Given\(\) has no phases; its phases\(\) must give at least one"),
        ({"planned": (Phase("a"), Phase("b"), Phase("a"))}, ValueError, "has two phases named 'a'; give each a name"),
        (
            {"optimizers": lambda phase, make: None},
            TypeError,
            r"optimizers\(\) returned a NoneType for phase 'a', but a",
        ),
        ({"optimizers": lambda phase, make: [make([])]}, ValueError, "the model has no trainable parameters"),
    ],
)
def test_wrong_strategies_are_refused_before_the_first_step(attributes, error, message):
    strategy = _Given()
    vars(strategy).update(attributes)
    with pytest.raises(error, match=message):
        trainer(strategy).fit(model(), TASK)
    assert not hasattr(strategy, "steps")


@pytest.mark.parametrize("step", [{"accuracy": torch.ones(())}, torch.ones(())])
def test_a_step_returns_its_loss(step):
    strategy = _Given()
    strategy.step = step
    with pytest.raises(TypeError, match="train_step must return a dict of scalars with 'loss', got"):
        trainer(strategy).fit(model(), TASK)


def test_weights_that_no_optimizer_has_are_named():
    strategy = _Given()
    strategy.optimizers = lambda phase, make: [make(strategy.model.layers.named_parameters())]
    with pytest.warns(
        UserWarning, match="_Given has not changed the 8 weights of head, norms: no loss depends on them"
    ):
        trainer(strategy).fit(model(), TASK)


# --- forward-forward learning on whatever comes -----------------------------------------------------------------------


class _Fixed(tiny.SAGEStack):
    def step(self, i, history, batch):
        return nn.functional.normalize(super().step(i, history, batch))


def doubts(scale, cls=tiny.SAGEStack, max_epochs=40):
    data = copy.copy(TASK.data)
    data.x = scale * data.x
    network = cls.from_task(TASK, hidden_channels=16)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer("ForwardForward", max_epochs=max_epochs).fit(network, gk.NodeTask("scaled", data, TASK.split))
    return [str(w.message) for w in caught if "scale the features" in str(w.message)]


def test_forward_forward_tells_when_labels_make_no_difference():
    assert not doubts(1.0)
    for scale, cls in ((1000.0, tiny.SAGEStack), (1.0, _Fixed)):  # rows of a fixed length have the same goodness
        (lost,) = doubts(scale, cls)
        assert re.search(
            r"ForwardForward shows labels that change the goodness of layer \d by \S+ % before training", lost
        )
        assert "scale the features" in lost


def test_forward_forward_tells_what_only_training_shows():
    (lost,) = doubts(20.0, max_epochs=1)
    assert "ForwardForward answered right and wrong labels alike in phase 'layer 1'" in lost
