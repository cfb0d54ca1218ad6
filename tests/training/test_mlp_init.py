"""MLPInit: a first phase without edges, equal to an MLP; then the model, from its weights."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit.models import GCN, MLP
from graphkit.training.strategies.mlp_init import without_edges
from tests import tiny


def copy_weights(source, target):
    """Layer by layer, biases and then matrices."""
    ordered = [sorted(m.named_parameters(), key=lambda p: (p[0].split(".")[1], p[1].dim())) for m in (source, target)]
    with torch.no_grad():
        for (_, given), (_, weight) in zip(*ordered, strict=True):
            weight.copy_(given)


def test_without_edges_a_gcn_is_the_mlp_of_its_weights():
    task = tiny.node_task()
    gcn, mlp = GCN.from_task(task, hidden_channels=8), MLP.from_task(task, hidden_channels=8)
    copy_weights(gcn, mlp)
    for model in (gcn, mlp):
        model.eval()
    batch = without_edges(task.data)
    assert batch.num_edges == 0
    assert torch.equal(gcn(batch), mlp(task.data))
    loops = task.data.clone()
    loops.edge_index = torch.arange(loops.num_nodes).repeat(2, 1)  # whose propagation is the identity
    torch.testing.assert_close(gcn(loops), mlp(task.data))


def test_the_first_phase_trains_the_mlp_and_the_second_goes_on():
    task, settings = tiny.node_task(), {"seed": 3, "progress": False, "restore_best": False}
    gcn, mlp = (cls.from_task(task, hidden_channels=8) for cls in (GCN, MLP))
    result = gk.Trainer(max_epochs=4, strategy=gk.strategies.MLPInit(mlp_epochs=4), **settings).fit(gcn, task)
    twin = gk.Trainer(max_epochs=4, **settings).fit(mlp, task)
    first, second = result.history[:4], result.history[4:]
    assert [row["phase"] for row in result.history] == ["mlp"] * 4 + ["backprop"] * 4
    for ours, theirs in zip(first, twin.history, strict=True):
        for key in ("train_loss", "val_loss", "val_accuracy"):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-5), key
    fresh = GCN.from_task(task, hidden_channels=8)
    copy_weights(mlp, fresh)
    again = gk.Trainer(max_epochs=4, warm_start=True, **settings).fit(fresh, task)
    assert second[0]["train_loss"] == pytest.approx(again.history[0]["train_loss"], rel=1e-5)
    assert result.test == pytest.approx(again.test)


def test_a_run_is_loaded_resumed_and_predicts_with_edges(tmp_path):
    task = tiny.node_task()

    def trainer(epochs, folder="run"):
        strategy = gk.strategies.MLPInit(mlp_epochs=3)
        return gk.Trainer(max_epochs=epochs, strategy=strategy, progress=False, run_dir=tmp_path / folder)

    model = GCN.from_task(task, hidden_channels=8)
    short = trainer(3)
    short.fit(model, task)
    prediction, _ = short.predict(task)
    assert torch.equal(prediction, model.eval()(task.data)[task.split.test])
    assert torch.equal(gk.load_run(tmp_path / "run", task=task).predict(task)[0], prediction)
    resumed = trainer(5).fit(GCN.from_task(task, hidden_channels=8), task, resume=True)
    whole = trainer(5, "whole").fit(GCN.from_task(task, hidden_channels=8), task)
    assert resumed.history == whole.history


def test_models_without_edges_are_refused():
    task = tiny.node_task()
    with pytest.raises(TypeError, match="MLPInit begins without edges, but MLP reads none anyway; use Backprop"):
        gk.Trainer(strategy="MLPInit", progress=False).fit(MLP.from_task(task), task)
