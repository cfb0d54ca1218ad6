"""All checks of strategies on every public one, and on ones that break what they check."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.testing import STRATEGY_CHECKS, check_strategy, strategy_cases
from graphkit.training.strategies import Backprop

STRATEGIES = {n: c for n, c in gk.strategies.registry.classes().items() if c.__module__.startswith("graphkit.")}


@pytest.mark.filterwarnings("ignore:.*weights of", "ignore:.*right and wrong labels alike")
@pytest.mark.parametrize(
    "check",
    [pytest.param(c, id=f"{name}-{case}") for name, cls in STRATEGIES.items() for case, c in strategy_cases(cls)],
)
def test_check(check):
    check()


class _StandsStill(Backprop):
    def optimizers(self, phase, make):
        optimizer = make(self.model.named_parameters())
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        return [optimizer]


class _ThawsWeights(Backprop):
    def train_step(self, batch, phase):
        with torch.no_grad():
            self.model.head.bias.add_(1)
        return super().train_step(batch, phase)


class _Remembers(Backprop):
    seen = 0

    def train_step(self, batch, phase):
        self.seen += 1
        with torch.no_grad():
            next(self.model.parameters()).mul_(1 + 0.01 * self.seen)
        return super().train_step(batch, phase)


class _ReadsLabels(Backprop):
    def predict(self, batch, upto_layer=None, stage="test"):
        return super().predict(batch, upto_layer, stage) + batch.y.unsqueeze(1)


class _NeedsLabels(Backprop):
    def predict(self, batch, upto_layer=None, stage="test"):
        return super().predict(batch, upto_layer, stage)[batch.y >= 0]


class _LosesItsState(Backprop):
    scale = 2.0

    def predict(self, batch, upto_layer=None, stage="test"):
        return self.scale * super().predict(batch, upto_layer, stage)

    def load_state_dict(self, state):
        self.scale += 1


BROKEN = {
    "weights": (_StandsStill, "weights stay as they are, and no warning names them: layers.0.bias"),
    "frozen_weights": (_ThawsWeights, "the frozen weight head.bias has changed"),
    "repetition": (_Remembers, "differs from one with a new strategy"),
    "hidden_labels": (_ReadsLabels, "predictions read the labels"),
    "new_graphs": (_NeedsLabels, "needs 24 rows of outputs|needs 9 rows|shape"),
    "state_dict": (_LosesItsState, "predictions change when the state is put back"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_checks_can_fail(name):
    cls, message = BROKEN[name]
    case = dict(strategy_cases(cls))[f"{name}-node"]
    with pytest.raises((AssertionError, IndexError, ValueError), match=message):
        case()


def test_every_check_is_seen_to_fail():
    assert set(STRATEGY_CHECKS) == set(BROKEN)


def test_a_strategy_for_nothing_is_told_of():
    class Idle(Backprop):
        def check(self, model, task):
            raise ValueError("is for nothing")

    with pytest.raises(AssertionError, match="refuses tasks of nodes and of graphs"):
        check_strategy(Idle)
