"""What the trainer refuses, and what it says of itself."""

from __future__ import annotations

import pytest
from torch import nn
from torch_geometric.nn import GCN as PyGGCN

import graphkit as gk
from graphkit.models import GCN
from graphkit.training.loop import Loop
from tests import tiny
from tests.training.greedy import Greedy
from tests.training.runs import fit


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_epochs": 0}, "max_epochs=0, must be at least 1"),
        ({"patience": 0}, "patience=0, must be at least 1"),
        ({"batch_size": 0}, "batch_size=0, must be at least 1"),
        ({"lr": 0.0}, r"lr=0\.0, must be positive"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; did you mean 'Adam'"),
        ({"scheduler": "StepLr"}, "unknown scheduler 'StepLr'; did you mean 'StepLR'"),
        ({"monitor": "los"}, "Trainer: monitor='los', did you mean 'loss'"),
        ({"optimizer_kwargs": {"lr": 5}}, r"optimizer_kwargs\['lr'\]=5, must be given as Trainer\(lr=...\)"),
        ({"loggers": ("csv", "csv")}, "must not repeat a name"),
        ({"loggers": ("csv",)}, r"loggers=\('csv',\) write into run_dir; give one, or objects of loggers"),
        ({"loggers": ("cvs",)}, r"loggers\[0\]='cvs', did you mean 'csv'"),
        ({"strategy": "backprob"}, "unknown strategy 'backprob'; did you mean 'Backprop'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        gk.Trainer(**settings)


def test_wrong_calls():
    task = tiny.task("node multiclass")
    with pytest.raises(TypeError, match="fit needs a graphkit task, got Data"):
        gk.Trainer().fit(GCN(6), task.data)
    with pytest.raises(ValueError, match="resume=True needs run_dir"):
        fit(resume=True)
    with pytest.raises(ValueError, match="leave batch_size at None"):
        fit(batch_size=8)
    with pytest.raises(ValueError, match=r"needs outputs of shape \[24, 3\], the model returned \[24, 64\]"):
        fit(GCN(6), task)
    graph_task = tiny.task("graph multiclass")
    with pytest.raises(ValueError, match="a graph task needs a model with a readout"):
        fit(GCN(6, out_channels=3), graph_task)
    with pytest.raises(ValueError, match="a node task needs a model without readout"):
        fit(GCN(6, out_channels=3, readout="mean"), task)
    with pytest.raises(TypeError, match="needs a LayeredModel, got PyGModel"):
        fit(PyGGCN(6, 8, 2, 3), task, strategy=Greedy())

    class Unfit(nn.Linear):
        def forward(self, x, edge_index, edge_attr):
            return super().forward(x)

    with pytest.raises(ValueError, match="no trainable parameters"):
        fit(GCN(6, out_channels=3).requires_grad_(False), task)
    with pytest.raises(TypeError, match=r"Unfit\.forward needs 'edge_attr', which the batch does not have"):
        fit(Unfit(6, 3), task)


def test_configs_describe_the_trainer():
    trainer = gk.Trainer(max_epochs=7, patience=2, weight_decay={"*": 0.1})
    assert gk.Trainer.from_config(trainer.config()).config() == trainer.config()
    assert repr(trainer) == "Trainer(max_epochs=7, patience=2, weight_decay={'*': 0.1}, strategy=Backprop())"


def test_without_a_test_no_test_label_is_read(monkeypatch, tmp_path):
    judged = []
    original = Loop.evaluate
    monkeypatch.setattr(
        Loop, "evaluate", lambda self, stage, *more: judged.append(stage) or original(self, stage, *more)
    )
    task, model = tiny.task("node multiclass"), GCN.from_task(tiny.task("node multiclass"), hidden_channels=8)
    monkeypatch.setattr(task, "baseline", lambda: pytest.fail("the baseline reads test labels"))
    result = gk.Trainer(max_epochs=3, strategy=Greedy(), progress=False).fit(model, task, test=False)
    assert set(judged) == {"val"}
    assert result.test is None
    assert [phase["test"] for phase in result.phases] == [None] * len(result.phases)
    assert "test        accuracy unknown" in str(result)
    result.save(tmp_path / "result.json")
    assert gk.Result.load(tmp_path / "result.json") == result
    result.plot()
