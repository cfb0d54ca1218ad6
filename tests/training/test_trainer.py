"""The trainer: seeds, best weights, hidden test labels, models, precision."""

from __future__ import annotations

import copy
import gc
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN as PyGGCN
from torch_geometric.nn import global_mean_pool

import graphkit as gk
from graphkit.models import GCN, PyGModel
from graphkit.training.engine import Engine
from graphkit.training.lifecycle import training_lock
from tests import tiny
from tests.training.greedy import Greedy
from tests.training.runs import fit, same, train


@pytest.mark.parametrize("kind", ["node", "graph", "greedy"])
def test_same_seed_is_bit_equal_and_another_is_not(kind):
    runs = [train(kind, None, max_epochs=5, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].history == runs[1].history
    assert all(torch.equal(value, runs[1].weights[name]) for name, value in runs[0].weights.items())
    assert runs[0].history != runs[2].history


def test_the_same_seed_with_the_same_number_of_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        first, second = (fit()[0] for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert first.history == second.history
    assert first.hardware.endswith(", 3 threads"), "the result tells the number"


@pytest.mark.filterwarnings("ignore:fit waits")
def test_the_same_seed_in_several_threads():
    """The generators are those of the process: each run has them to itself."""
    task = tiny.task("node multiclass")

    def losses(model):
        return [row["train_loss"] for row in fit(model, task, max_epochs=20)[0].history]

    alone, *models = [GCN.from_task(task, hidden_channels=8, dropout=0.5) for _ in range(9)]
    expected = losses(alone)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(losses, models)) == [expected] * 8


def test_a_run_that_waits_for_another_thread_says_what_that_means(recwarn):
    with ThreadPoolExecutor(1) as threads:
        with training_lock:
            run = threads.submit(fit)
            assert not wait([run], timeout=0.5).done
        assert run.result()[0].epochs == 6
    assert any("fit waits for a run in another thread" in str(warning.message) for warning in recwarn)


def test_without_a_seed_the_global_generator_decides():
    def history():
        torch.manual_seed(7)
        task = tiny.task("graph multiclass")
        model = GCN.from_task(task, hidden_channels=4, dropout=0.5)
        return fit(model, task, seed=None, batch_size=2)[0].history

    assert history() == history()


@pytest.mark.parametrize("kind", ["node multiclass", "graph regression"])
def test_predictions_are_those_that_were_scored(kind):
    task = tiny.task(kind)
    trainer = gk.Trainer(max_epochs=3, progress=False, batch_size=2 if "graph" in kind else None)
    with pytest.raises(RuntimeError, match="call fit"):
        trainer.predict(task)
    result = trainer.fit(GCN.from_task(task, hidden_channels=4, dropout=0.5), task)
    for stage, score in (("val", result.val), ("test", result.test)):
        metric = task.new_metric()
        metric.update(*trainer.predict(task, stage))
        assert metric.compute() == pytest.approx(score)
    prediction, label = trainer.predict(task, "test")
    assert prediction.size(0) == label.size(0) == len(task.split.test)
    assert not prediction.requires_grad


def test_fit_starts_anew_unless_warm_start():
    first, model = fit()
    again, _ = fit(model)
    assert again.history == first.history
    warm, _ = fit(model, warm_start=True, max_epochs=3)
    assert warm.history[0]["train_loss"] < first.history[0]["train_loss"]


def test_a_module_without_reset_parameters_is_reported():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(6, 3))

        def forward(self, x):
            return x @ self.weight

    with pytest.warns(UserWarning, match="Bare has no reset_parameters.*warm_start=True"):
        fit(Bare())


def score_by_hand(model, task, stage):
    metric = task.new_metric()
    for batch in task.batches(stage):
        metric.update(*task.select(model(batch), batch, stage))
    return metric.compute()


@pytest.mark.parametrize("monitor", ["metric", "loss"])
@pytest.mark.parametrize("name", ["node multiclass", "node regression", "graph regression"])
def test_the_best_weights_are_put_back(monitor, name):
    task = tiny.task(name)
    readout = {"readout": "mean"} if task.kind == "graph" else {}
    result, model = fit(
        GCN.from_task(task, hidden_channels=8, **readout), task, monitor=monitor, lr=0.05, max_epochs=30
    )
    key = "val_loss" if monitor == "loss" else f"val_{task.metric}"
    scores = [row[key] for row in result.history]
    best = max(scores) if monitor == "metric" and task.higher_is_better else min(scores)
    assert scores.index(best) == result.best_epoch - 1, "the first of the best epochs"
    assert result.val == pytest.approx(result.history[result.best_epoch - 1][f"val_{task.metric}"], abs=1e-7)
    assert score_by_hand(model.eval(), task, "val") == pytest.approx(result.val, abs=1e-7)


def test_the_last_weights_are_kept_on_request():
    task = tiny.task("graph regression")
    model = GCN.from_task(task, hidden_channels=8, readout="mean")
    result, model = fit(model, task, lr=0.1, max_epochs=60, patience=5, restore_best=False)
    scores = [row[f"val_{task.metric}"] for row in result.history]
    assert result.epochs == result.best_epoch + 5 < 60
    assert result.val == pytest.approx(scores[-1], abs=1e-7)
    assert scores[-1] != pytest.approx(scores[result.best_epoch - 1], abs=1e-7), "otherwise this test could not fail"
    assert score_by_hand(model.eval(), task, "test") == pytest.approx(result.test, abs=1e-7)


def test_the_strategys_own_weights_of_the_best_epoch_are_put_back():
    task = tiny.task("node multiclass")
    strategy = Greedy()
    result, _ = fit(task=task, strategy=strategy, lr=0.1, max_epochs=30)
    last = [row for row in result.history if row["phase"] == "layer 2"]
    assert [row["phase"] for row in result.history] == ["layer 1"] * 30 + ["layer 2"] * 30
    best = max(last, key=lambda row: row["val_accuracy"])
    assert (result.best_epoch, result.val) == (best["epoch"], pytest.approx(best["val_accuracy"]))
    assert best is not last[-1], "otherwise this test could not fail"


def test_phases_stop_on_their_own_patience_and_leave_other_layers_alone():
    task = tiny.task("node multiclass")
    model = GCN.from_task(task, hidden_channels=8)
    frozen = {}

    class Watched(Greedy):
        def optimizers(self, phase, make):
            frozen[phase.name] = {name: value.clone() for name, value in model.layers[0].state_dict().items()}
            return super().optimizers(phase, make)

    result, _ = fit(model, task, strategy=Watched(), patience=3, max_epochs=50)
    for name in ("layer 1", "layer 2"):
        scores = [row["val_accuracy"] for row in result.history if row["phase"] == name]
        assert len(scores) == scores.index(max(scores)) + 1 + 3
    assert all(torch.equal(value, model.layers[0].state_dict()[name]) for name, value in frozen["layer 2"].items())


def test_patience():
    result, _ = fit(patience=4, max_epochs=200, lr=0.05)
    assert result.epochs == result.best_epoch + 4 < 200


def test_nan_stops_naming_epoch_and_checkpoint(tmp_path):
    class Explodes(GCN):
        def forward(self, batch):
            out = super().forward(batch)
            self.calls = getattr(self, "calls", 0) + self.training
            return out * float("nan") if self.calls > 3 else out

    task = tiny.task("node multiclass")
    with pytest.raises(
        FloatingPointError, match=r"train_loss is nan in epoch 4 of phase 'backprop'; no checkpoint was"
    ):
        fit(Explodes.from_task(task))
    with pytest.raises(FloatingPointError, match=r"epoch 4 .* the last good checkpoint is .*checkpoint\.pt.*Lower lr"):
        fit(Explodes.from_task(task), run_dir=tmp_path, checkpoint_seconds=0.0)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == 3
    assert all(torch.isfinite(value).all() for value in state["model"].values())
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 4


def test_a_diverging_run_stops():
    with pytest.raises(FloatingPointError, match="Lower lr"):
        fit(task=tiny.task("node regression"), lr=1e30, optimizer="SGD", max_epochs=50)


@pytest.mark.parametrize("kind", ["node", "graph"])
def test_test_labels_never_influence_training(kind):
    seen = []

    def run(garbage):
        task = tiny.task(f"{kind} multiclass")
        if garbage:
            ids = task.split.test
            if kind == "node":
                task.data.y[ids] = (task.data.y[ids] + 1) % 3
                task = gk.NodeTask(task.name, task.data, task.split)
            else:
                for i in ids.tolist():
                    task.graphs[i].y = (task.graphs[i].y + 1) % 3
                task = gk.GraphTask(task.name, task.graphs, task.split)
        seen.append(task.labels[task.split.test].tolist())
        readout = {"readout": "mean"} if kind == "graph" else {}
        return fit(GCN.from_task(task, hidden_channels=8, dropout=0.3, **readout), task, max_epochs=8)

    (clean, first), (dirty, second) = run(False), run(True)
    assert clean.history == dirty.history
    assert same(first, second)
    assert seen[0] != seen[1]
    assert clean.val == dirty.val


def test_a_training_batch_shows_no_test_label():
    task = tiny.task("node multiclass")
    for stage in ("train", "val"):
        assert (task.batches(stage)[0].y[task.split.test] == -1).all()
    assert (task.batches("test")[0].y[task.split.test] >= 0).all()


def test_pyg_models_and_own_modules():
    task = tiny.task("node multiclass")
    assert fit(PyGGCN(6, 8, 2, 3), task)[0].num_parameters == 6 * 8 + 8 + 8 * 3 + 3

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(6, 3)

        def forward(self, x, edge_index, batch=None):
            return self.lin(x) if batch is None else global_mean_pool(self.lin(x), batch)

    class TakesTheBatch(Own):
        def forward(self, data):
            return super().forward(data.x, data.edge_index, data.get("batch"))

    graph_task = tiny.task("graph multiclass")
    for module in (Own(), TakesTheBatch()):
        assert fit(module, task)[0].epochs == 6
        assert fit(module, graph_task)[0].epochs == 6
    assert fit(PyGModel(PyGGCN(6, 8, 2, 3), readout="mean"), graph_task)[0].epochs == 6


def test_the_same_training_as_a_bare_loop_over_a_pyg_model():
    task = tiny.task("node multiclass")
    result, _ = fit(PyGGCN(6, 8, 2, 3), task, lr=0.01, weight_decay=5e-4, max_epochs=10)
    torch.manual_seed(0)
    reference = PyGGCN(6, 8, 2, 3)
    torch.manual_seed(0)
    reference.reset_parameters()
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01, weight_decay=5e-4)
    data, losses = task.data, []
    for _ in range(10):
        optimizer.zero_grad()
        out = reference(data.x, data.edge_index)
        loss = nn.functional.cross_entropy(out[task.split.train], data.y[task.split.train])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [row["train_loss"] for row in result.history] == pytest.approx(losses, rel=1e-5)


def test_lazy_sizes_are_seeded():
    task = tiny.task("node multiclass")
    lazy, first = fit(GCN(-1, 8, out_channels=3), task)
    eager, second = fit(GCN(6, 8, out_channels=3), task)
    assert lazy.history == eager.history
    assert same(first, second)
    assert lazy.num_parameters == eager.num_parameters


def test_double_precision():
    start = GCN(6, 8, out_channels=3)
    single, _ = fit(copy.deepcopy(start), max_epochs=3, warm_start=True)
    double, model = fit(start, max_epochs=3, warm_start=True, precision="64-true")
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert double.history[-1]["train_loss"] == pytest.approx(single.history[-1]["train_loss"], rel=1e-4)
    graph_task = tiny.task("graph regression")
    assert fit(GCN.from_task(graph_task, hidden_channels=4), graph_task, precision="64-true")[0].epochs == 6


def test_what_batches_share_is_copied_once():
    """A link task gives new pairs in every epoch, but the same graph, whose normalised matrix is kept by identity."""
    engine = Engine("cpu", 1, "64-true", None)
    task = tiny.task("link")
    first, second = (
        engine.to_device(task.batches("train", generator=torch.Generator().manual_seed(seed))[0]) for seed in (0, 1)
    )
    assert first.x.dtype == first.edge_label.dtype == torch.float64
    assert first.x is second.x
    assert first.edge_index is second.edge_index
    assert not torch.equal(first.edge_label_index, second.edge_label_index)
    assert task.batches("val")[0].x.dtype == torch.float32
    gc.collect()
    assert len(engine._on_device) == 1, "what belongs to one batch goes with it"


def test_sixteen_bit_precision():
    single, _ = fit(max_epochs=3)
    mixed, model = fit(max_epochs=3, precision="bf16-mixed")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert mixed.history[-1]["train_loss"] == pytest.approx(single.history[-1]["train_loss"], rel=0.05)


def test_sparse_features_in_every_precision():
    task = tiny.task("node multiclass")
    data = task.data.clone()
    torch.manual_seed(0)
    data.x = (torch.rand(24, 300) < 0.05).float()
    task = gk.NodeTask("words", data, task.split)
    start = GCN.from_task(task)
    precisions = ("32-true", "64-true", "bf16-mixed", "bf16-true")
    runs = [fit(copy.deepcopy(start), task, warm_start=True, max_epochs=5, precision=p)[0] for p in precisions]
    single, *others = (run.history[-1]["train_loss"] for run in runs)
    assert others == [pytest.approx(single, rel=rel) for rel in (1e-4, 0.05, 0.05)]


class Gate(torch.nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.lin, self.gate = torch.nn.Linear(in_channels, out_channels), torch.nn.Parameter(torch.zeros(out_channels))

    def forward(self, x):
        return self.lin(x) * self.gate.sigmoid()


class Gates(gk.models.LayerStack):
    def make_layer(self, in_channels, out_channels):
        return Gate(in_channels, out_channels)

    def propagate(self, layer, h, batch):
        return layer(h)

    def required_transform(self):
        return None


def test_a_layer_whose_weights_are_not_drawn_anew_is_told_of():
    task = gk.load("karate")
    model = Gates.from_task(task, hidden_channels=4)
    kept = model.layers[0].gate.detach().clone()
    with pytest.warns(UserWarning, match=r"the part with layers\.0\..* has no reset_parameters method"):
        gk.Trainer(max_epochs=1, lr=1e-12, progress=False).fit(model, task)
    assert torch.allclose(model.layers[0].gate, kept, atol=1e-6), "what is not drawn stays as it was"
