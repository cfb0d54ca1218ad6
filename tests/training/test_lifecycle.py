"""Epochs and stages that modules hear of, evaluations that leave no trace, phases that alternate or are drawn late."""

from __future__ import annotations

import copy
import csv
import json
import warnings
from itertools import pairwise

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.models import GCN, MLP
from graphkit.training.strategies import Backprop, Phase
from tests import tiny
from tests.training import runs
from tests.training.memory import Forgetful, InTurn, Memory, Watching
from tests.training.runs import same

TASK = tiny.task("node multiclass")


def fit(model, **settings):
    return runs.fit(model, TASK, **{"max_epochs": 4, "checkpoint_seconds": 0.0, "lr": 0.1} | settings)[0]


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


# --- epochs and stages ------------------------------------------------------------------------------------------------


def test_modules_hear_of_epochs_and_stages_and_may_forget():
    model = Forgetful()
    fit(model, max_epochs=2, validate_every=2)
    assert model.heard == [
        ("epoch", 1, 0),
        ("train", True, 0),
        ("epoch", 2, 1),
        ("train", True, 1),
        ("val", False, 1),  # put back to 1 when it ends: what the best weights hold
        ("val", False, 1),
        ("test", False, 1),
    ]


@pytest.mark.parametrize("change", ["in place", "behind autograd", "replaced"])
def test_evaluations_leave_no_trace_in_buffers(change):
    strategy, model = Watching(), Memory(change)
    result = fit(model, strategy=strategy)
    trained = [(stage, epoch + (stage == "val")) for epoch in range(4) for stage in ("train", "val")]
    assert strategy.starts == [*trained, ("val", result.best_epoch), ("test", result.best_epoch)]
    assert int(model.passes) == result.best_epoch, "best weights are those that training left"
    assert result.val == result.history[result.best_epoch - 1]["val_accuracy"]


def test_memory_is_that_of_a_hand_written_loop():
    model = Memory()
    history = fit(model, optimizer="SGD").history
    torch.manual_seed(0)
    reference = Memory()
    torch.manual_seed(0)
    reference.reset_parameters()
    batch, optimizer = TASK.batches("train")[0], torch.optim.SGD(reference.parameters(), lr=0.1)
    for row in history:
        optimizer.zero_grad()
        loss = TASK.loss(reference(batch.x), batch, "train")
        loss.backward()
        optimizer.step()
        assert row["train_loss"] == pytest.approx(loss.item(), rel=1e-6)
        shown = copy.deepcopy(reference)(TASK.batches("val")[0].x)
        assert row["val_loss"] == pytest.approx(TASK.loss(shown, TASK.batches("val")[0], "val").item(), rel=1e-6)


def test_buffers_of_an_evaluation_go_with_it():
    class Lazy(Memory):
        def forward(self, x):
            if not self.training:
                self.register_buffer("seen", x)
            return super().forward(x)

    model = Lazy()
    fit(model)
    assert set(model.state_dict()) == {"lin.weight", "lin.bias", "passes", "mean"}


def test_a_batch_without_judged_rows_is_no_part_of_an_evaluation():
    class Sparse(gk.NodeTask):
        """Judges nothing in the first of two batches."""

        def batches(self, stage, *args, **kwargs):
            (batch,) = super().batches(stage, *args, **kwargs)
            return [batch] if stage == "train" else [batch, batch]

        def select(self, out, batch, stage):
            prediction, label = super().select(out, batch, stage)
            if stage == "train":
                return prediction, label
            self.passes = getattr(self, "passes", 0) + 1
            rows = slice(0) if self.passes % 2 else slice(None)
            return prediction[rows], label[rows]

    data = TASK.graphs[0].clone()
    data.y = TASK.labels
    whole = runs.fit(GCN.from_task(TASK, hidden_channels=8), TASK)[0]
    sparse_task = Sparse(TASK.name, data, TASK.split)
    sparse = runs.fit(GCN.from_task(sparse_task, hidden_channels=8), sparse_task)[0]
    assert sparse.history == whole.history
    assert (sparse.val, sparse.test) == (whole.val, whole.test)


def test_predictions_leave_no_trace_either():
    trainer, model = gk.Trainer(max_epochs=3, progress=False), Memory()
    result = trainer.fit(model, TASK)
    before = copy.deepcopy(model)
    first, second = trainer.predict(TASK), trainer.predict(TASK)
    assert torch.equal(first[0], second[0])
    assert float((first[0].argmax(1) == first[1]).float().mean()) == pytest.approx(result.test)
    assert same(model, before)


@pytest.mark.parametrize("make", [Memory, Forgetful])
def test_resuming_with_memory_is_exact(make, tmp_path):
    whole, resumed = make(), make()
    straight = fit(whole, max_epochs=7)
    fit(resumed, max_epochs=3, run_dir=tmp_path)
    again = make()
    longer = fit(again, max_epochs=7, run_dir=tmp_path, resume=True)
    assert longer.history == straight.history
    assert same(again, whole)


# --- phases that alternate --------------------------------------------------------------------------------------------


def in_turn(**settings):
    model = MLP.from_task(TASK, hidden_channels=8, num_layers=2)
    return fit(model, strategy=InTurn(), scheduler="ExponentialLR", scheduler_kwargs={"gamma": 0.9}, **settings), model


def test_alternating_phases_are_those_of_a_hand_written_loop():
    result, model = in_turn(max_epochs=8)
    reference = MLP.from_task(TASK, hidden_channels=8, num_layers=2)
    torch.manual_seed(0)
    reference.reset_parameters()
    optimizers = [torch.optim.Adam(layer.parameters(), lr=0.1) for layer in reference.layers]
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9) for optimizer in optimizers]
    batch, best, states = TASK.batches("train")[0], -1.0, {}
    for number, row in enumerate(result.history, 1):
        turn = (0, 0, 1)[(number - 1) % 3]
        assert row["lr"] == pytest.approx(schedulers[turn].get_last_lr()[0])
        reference.zero_grad()
        loss = TASK.loss(reference(batch), batch, "train")
        loss.backward()
        optimizers[turn].step()
        schedulers[turn].step()
        assert row["train_loss"] == pytest.approx(loss.item(), rel=1e-5)
        if row["val_accuracy"] > best:
            best, states = row["val_accuracy"], weights(reference)
    assert [row["phase"] for row in result.history] == ["both"] * 8
    assert result.phases[0]["epochs"] == 8
    for name, value in weights(model).items():
        torch.testing.assert_close(value, states[name])


def test_the_history_has_a_column_for_what_any_turn_logs(tmp_path):
    class Telling(InTurn):
        def train_step(self, batch, phase):
            step = super().train_step(batch, phase)
            return step | {phase.name: step["loss"]}

    model = MLP.from_task(TASK, hidden_channels=8, num_layers=2)
    history = fit(model, strategy=Telling(), run_dir=tmp_path).history
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    for row, record in zip(rows, history, strict=True):
        turn, other = ("first", "second") if record["epoch"] != 3 else ("second", "first")
        assert float(row[f"train_{turn}"]) == record[f"train_{turn}"] == record["train_loss"]
        assert row[f"train_{other}"] == ""


def test_alternating_phases_stop_as_a_whole():
    result, _ = in_turn(max_epochs=100, patience=7)
    scores = [row["val_accuracy"] for row in result.history]
    assert result.best_epoch == scores.index(max(scores)) + 1 == result.epochs - 7


@pytest.mark.parametrize("epochs", [2, 3, 4])
def test_resuming_between_two_turns_is_exact(epochs, tmp_path):
    straight, whole = in_turn(max_epochs=8)
    in_turn(max_epochs=epochs, run_dir=tmp_path)
    longer, resumed = in_turn(max_epochs=8, run_dir=tmp_path, resume=True)
    assert longer.history == straight.history
    assert same(resumed, whole)


# --- phases drawn one after another -----------------------------------------------------------------------------------


class _UntilItHelpsNoMore(Backprop):
    """Round after round from the best weights of the one before, as long as the loss falls."""

    def phases(self):
        yield Phase("round 1", max_epochs=2)
        while len(self.finished) < 2 or self.finished[-1]["score"] < self.finished[-2]["score"]:
            yield Phase(f"round {len(self.finished) + 1}")


def rounds(**settings):
    model = MLP.from_task(TASK, hidden_channels=8, num_layers=2)
    return fit(model, strategy=_UntilItHelpsNoMore(), lr=0.01, monitor="loss", max_epochs=5, **settings), model


def test_a_phase_is_drawn_from_the_results_of_those_before():
    result, _ = rounds()
    epochs = [phase["epochs"] for phase in result.phases]
    scores = [min(row["val_loss"] for row in result.history if row["phase"] == p["phase"]) for p in result.phases]
    assert epochs == [2] + [5] * (len(epochs) - 1)
    assert len(epochs) > 2
    assert all(later < earlier for earlier, later in pairwise(scores[:-1]))
    assert scores[-1] >= scores[-2]


def test_resuming_draws_the_same_phases(tmp_path, ctrl_c_in_epoch):
    straight, whole = rounds()
    ctrl_c_in_epoch(9)
    with pytest.raises(KeyboardInterrupt, match="stopped after epoch 2 of phase 'round 3'"):
        rounds(run_dir=tmp_path)
    longer, resumed = rounds(run_dir=tmp_path, resume=True)
    assert (longer.history, longer.phases) == (straight.history, straight.phases)
    assert same(resumed, whole)


def test_phases_that_are_not_drawn_again_are_refused(tmp_path, ctrl_c_in_epoch):
    class Fickle(Backprop):
        names = iter("abcdef")

        def phases(self):
            yield Phase(next(self.names))

    ctrl_c_in_epoch(2)
    with pytest.raises(KeyboardInterrupt):
        fit(Memory(), strategy=Fickle(), run_dir=tmp_path)
    with pytest.raises(
        ValueError, match=r"draws phase 'b' where it drew 'a' before; phases\(\) may decide from self.fin"
    ):
        fit(Memory(), strategy=Fickle(), run_dir=tmp_path, resume=True)


def test_wrong_phases():
    class Given(Backprop):
        given: tuple[Phase, ...] = ()

        def phases(self):
            return self.given

    def train(*phases, **settings):
        strategy = Given()
        strategy.given = phases
        return fit(Memory(), strategy=strategy, **settings)

    with pytest.raises(ValueError, match=r"Given\(\) has two phases named 'a'; give each a name of its own"):
        train(Phase("a"), Phase("a"))
    with pytest.raises(ValueError, match="validate_every=3 leaves phase 'short' of 2 epochs without a validation"):
        train(Phase("short", max_epochs=2), validate_every=3)
    with pytest.raises(ValueError, match=r"phase 'whole': its turn 'part' lasts one epoch.*name it several times"):
        Phase("whole", turns=[Phase("part", max_epochs=2)])
    with pytest.raises(ValueError, match="Phase: max_epochs=0, must be at least 1"):
        Phase("none", max_epochs=0)
    assert [row["phase"] for row in train(Phase("a", max_epochs=1), Phase("b", max_epochs=9)).history] == list("abbbb")
    with pytest.raises(ValueError, match="validate_every=5 leaves patience=3 without a validation"):
        gk.Trainer(validate_every=5, patience=3)


def test_a_checkpoint_of_an_older_release_is_refused(tmp_path):
    fit(Memory(), run_dir=tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    state["fingerprint"] = state.pop("settings")
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"checkpoint\.pt cannot be read \(an older graphkit wrote it.*resume=False"):
        fit(Memory(), run_dir=tmp_path, resume=True)
    assert json.loads((tmp_path / "result.json").read_text())["epochs"] == 4, "nothing was touched"


def test_predictions_of_the_training_part_are_in_evaluation_mode():
    task = gk.load("karate")
    trainer = gk.Trainer(max_epochs=2, progress=False)
    trainer.fit(gk.models.GCN.from_task(task, hidden_channels=8, dropout=0.5), task)
    assert torch.equal(trainer.predict(task, "train")[0], trainer.predict(task, "train")[0])
    assert torch.equal(trainer.predict(task, "train")[0], trainer.predict(task, None)[task.split.train])


@pytest.mark.parametrize("call", ["predict", "embed"])
def test_an_error_in_an_evaluation_leaves_gradients_on(call):
    model = GCN.from_task(TASK, hidden_channels=4)
    trainer = gk.Trainer(max_epochs=1, progress=False)
    trainer.fit(model, TASK)
    hook = model.layers[0].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as kept:  # with its frames, as a notebook keeps the last error
        getattr(trainer, call)(TASK)
    assert kept.tb is not None
    assert torch.is_grad_enabled()
    hook.remove()
    assert torch.isfinite(trainer.predict(TASK)[0]).all()


class _Alike(nn.Module):
    """One answer for all."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x, edge_index):
        return self.bias.expand(len(x), -1)

    def reset_parameters(self):
        nn.init.zeros_(self.bias)


def test_a_model_that_answers_alike_is_told_of():
    karate = gk.load("karate")
    with pytest.warns(UserWarning, match=r"val_balanced_accuracy was 0.25 in all 12 epochs, the score of one answer"):
        trainer(12).fit(_Alike(), gk.load("karate", metric="balanced_accuracy"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer(9).fit(_Alike(), karate)  # too few to tell
        trainer(20).fit(GCN.from_task(karate, hidden_channels=8), karate)


def trainer(max_epochs):
    return gk.Trainer(max_epochs=max_epochs, progress=False)


class _Named(Backprop):
    def phases(self):
        return ["all"]


class _Unnamed(Backprop):
    def optimizers(self, phase, make):
        return [make(self.model.parameters())]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (_Named(), r"phases\(\) gives 'all', a str, must give gk.strategies.Phase\(name\)"),
        (_Unnamed(), r"made of named parameters, as of model.named_parameters\(\), not of a Parameter"),
    ],
)
def test_what_a_strategy_has_to_give_is_told(strategy, message):
    with pytest.raises(TypeError, match=message):
        gk.Trainer(max_epochs=1, strategy=strategy, progress=False).fit(GCN.from_task(TASK), TASK)
