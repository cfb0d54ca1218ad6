"""Mowst and Mowst*: mixtures, turns of experts, what is logged and judged, runs that go on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.diagnostics import experts
from graphkit.models import GCN, MLP, Mowst, MowstStar
from graphkit.training.callbacks import Callback
from tests import tiny
from tests.training.runs import same

TASK = tiny.node_task()
WEAK = {"class_path": "MLP", "init_args": {"hidden_channels": 8, "dropout": 0.5}}
STRONG = {"class_path": "GCN", "init_args": {"hidden_channels": 8, "dropout": 0.5, "norm": "batch_norm"}}


def made(cls=Mowst, task=TASK, **arguments):
    torch.manual_seed(0)
    return cls.from_task(task, WEAK, STRONG, **arguments)


def trainer(rounds=3, **settings):
    strategy = gk.strategies.ExpertTurns(rounds)
    return gk.Trainer(**{"max_epochs": 8, "patience": 3, "strategy": strategy, "progress": False} | settings)


def test_a_single_logit_stands_for_two():
    data = TASK.data
    outputs = []
    for cls in (Mowst, MowstStar):
        torch.manual_seed(0)
        one = cls(MLP(6, 8, out_channels=1), GCN(6, 8, out_channels=1))
        two = cls(_Beside0(one.weak), _Beside0(one.strong))
        two.gate = one.gate
        both = two(data)
        outputs += [one(data), both[:, 1:] - both[:, :1]]
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(outputs[2], outputs[3])


class _Beside0(nn.Module):
    def __init__(self, expert):
        super().__init__()
        self.expert = expert

    def reset_parameters(self): ...

    def forward(self, batch):
        out = self.expert(batch)
        return torch.cat([torch.zeros_like(out), out], dim=1)


@pytest.mark.parametrize("cls", [Mowst, MowstStar])
@pytest.mark.parametrize("gate_input", ["dispersion", "features"])
def test_the_gate_says_the_same_in_training_and_evaluation(cls, gate_input):
    model = cls(MLP(6, 8, out_channels=3), GCN(6, 8, out_channels=3), gate_input=gate_input)
    weak, confidence = model.train().trusted(TASK.data)
    torch.testing.assert_close(model.eval().trusted(TASK.data), (weak, confidence))
    assert float(model.logged()["confidence"]) == pytest.approx(float(confidence.detach().mean()))


@pytest.mark.parametrize("bias", [-200.0, 200.0])
def test_a_gate_that_is_sure_has_finite_gradients(bias):
    model = made()
    nn.init.constant_(model.gate.lin_out.bias, bias)
    out = model(TASK.data)
    expert = model.weak if bias > 0 else model.strong
    model.eval()
    torch.testing.assert_close(model(TASK.data).exp(), expert(TASK.data).softmax(1))
    out[:, 0].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_drawn_experts_are_as_often_right_as_expected():
    model = made().eval()
    report = experts(model, TASK, "train")
    rows = TASK.split.train
    weak, confidence = (each[rows] for each in model.trusted(TASK.data))
    strong, y = model.strong(TASK.data)[rows], TASK.data.y[rows]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(20_000, rows.numel(), generator=generator) < confidence[:, 0]
    right = torch.where(drawn, weak.argmax(1) == y, strong.argmax(1) == y)
    assert report.expected_accuracy == pytest.approx(float(right.float().mean()), abs=5e-3)
    assert report.confidence == pytest.approx(float(confidence.detach().mean()))
    assert report.weak == pytest.approx(float((weak.argmax(1) == y).float().mean()))
    assert report.mixture == pytest.approx(float((model(TASK.data)[rows].argmax(1) == y).float().mean()))


def test_the_other_expert_is_frozen_in_its_turn():
    class Watch(Callback):
        def on_epoch_start(self, state):
            self.before = {name: value.clone() for name, value in state.model.state_dict().items()}

        def on_epoch_end(self, state):
            after = state.model.state_dict()
            changed = {name.split(".")[0] for name in after if not torch.equal(after[name], self.before[name])}
            seen.add((state.phase.split()[0], *sorted(changed)))

    seen = set()
    trainer(2, callbacks=[Watch()]).fit(made(gate_norm="batch_norm"), TASK)
    assert seen == {("weak", "gate", "weak"), ("strong", "strong")}


@pytest.mark.parametrize("target", ["multiclass", "binary"])
def test_the_best_turn_counts_and_confidence_is_logged(target):
    task = tiny.node_task(target)
    result = trainer(6, monitor="loss").fit(made(task=task), task)
    losses = [row["val_loss"] for row in result.history]
    assert all(0 < row["train_confidence"] < 1 for row in result.history)
    assert result.phases[-1]["val"] == pytest.approx(
        result.history[losses.index(min(losses))][f"val_{task.metric}"], abs=1e-6
    )
    rounds = [row["best_epoch"] for row in result.phases]
    assert rounds[-2:] == [0, 0] or len(rounds) == 12
    assert all(max(pair) > 0 for pair in zip(rounds[:-2:2], rounds[1:-2:2], strict=True))
    star = gk.Trainer(max_epochs=2, progress=False).fit(made(MowstStar, task), task)
    assert all(0 < row["train_confidence"] < 1 for row in star.history)


@pytest.mark.parametrize("cls", [Mowst, MowstStar])
@pytest.mark.parametrize("name", ["weak", "strong"])
def test_an_expert_alone_is_trained_and_judged_alone(cls, name):
    class Watch(Callback):
        def on_epoch_start(self, state):
            self.before = {key: value.clone() for key, value in state.model.state_dict().items()}

        def on_epoch_end(self, state):
            if state.phase == f"{name} alone":
                changed = {
                    key.split(".")[0] for key, value in self.before.items() if not value.equal(after(state)[key])
                }
                out = getattr(state.model, name).eval()(TASK.data)[TASK.split.val]
                losses.append(
                    (state.history[-1]["val_loss"], float(TASK.loss_of(out.detach(), TASK.labels[TASK.split.val])))
                )
                assert changed == {name}

    def after(state):
        return state.model.state_dict()

    losses = []
    strategy = gk.strategies.ExpertTurns(pretrain=name)
    result = trainer(strategy=strategy, callbacks=[Watch()]).fit(made(cls), TASK)
    assert [row["phase"] for row in result.phases][:2] == [f"{name} alone", "weak 1" if cls is Mowst else "together"]
    assert losses
    for told, expected in losses:
        assert told == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("epochs", [2, 9])
def test_a_run_goes_on_in_any_turn(epochs, tmp_path):
    class Stop(Callback):
        def on_save_checkpoint(self, state):
            if len(state.history) == epochs:
                raise KeyboardInterrupt

    def trainer_of(**settings):
        return trainer(strategy=gk.strategies.ExpertTurns(4, pretrain="weak"), **settings)

    whole = made()
    expected = trainer_of().fit(whole, TASK)
    assert len(expected.history) > epochs
    with pytest.raises(KeyboardInterrupt):
        trainer_of(run_dir=tmp_path, checkpoint_seconds=0, callbacks=[Stop()]).fit(made(), TASK)
    resumed = made()
    result = trainer_of(run_dir=tmp_path, checkpoint_seconds=0).fit(resumed, TASK, resume=True)
    assert result.history == expected.history
    assert same(whole, resumed)


def test_a_callback_ends_turns_that_make_nothing_better():
    class Stop(Callback):
        def on_epoch_end(self, state):
            state.stop()

    result = trainer(3, lr=1e3, callbacks=[Stop()]).fit(made(), TASK)
    assert [row["epochs"] for row in result.phases] == [1] * len(result.phases)
    assert 0 in [row["best_epoch"] for row in result.phases]


def test_only_experts_take_turns():
    with pytest.raises(TypeError, match="ExpertTurns trains the experts of a Mowst, got GCN; use Backprop"):
        trainer().fit(GCN.from_task(TASK), TASK)
    with pytest.raises(ValueError, match="rounds=3, but a MowstStar has no turns"):
        trainer().fit(made(MowstStar), TASK)
    with pytest.raises(TypeError, match="Mowst: the expert Identity needs a method reset_parameters"):
        Mowst(nn.Identity(), GCN(6, 8))


def test_features_are_sparse_where_both_experts_take_them():
    assert isinstance(made().required_transform(), gk.transforms.SparseFeatures)
    other = Mowst(MLP(6, 8), gk.models.ADPA(6, 8))
    assert isinstance(other.required_transform(), gk.transforms.DirectedPatterns)
