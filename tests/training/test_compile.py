"""``Trainer(compile=...)``: the same training, by compiled code, and nothing left of it afterwards."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from torch import nn

import graphkit as gk
from tests import tiny
from tests.training import runs

EAGER = {"backend": "aot_eager"}  # traces forward and backward, and writes no C++


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch._dynamo.reset()


def losses(result):
    return [row["val_loss"] for row in result.history]


@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass", "link"])
def test_the_training_is_the_same(kind, tmp_path):
    """Batches of graphs have many sizes, and the last is smaller."""
    task = tiny.task(kind)
    readout = {"readout": "mean"} if kind.startswith("graph") else {}
    settings = {"max_epochs": 3, "batch_size": None if kind.startswith("node") else 4, "progress": False}

    def fit(**more):
        model = gk.models.GCN.from_task(task, hidden_channels=8, **readout)
        trainer = gk.Trainer(**settings, **more)
        return trainer.fit(model, task), trainer, model

    plain, by_plain, _ = fit()
    result, trainer, model = fit(compile=EAGER, run_dir=tmp_path)
    assert losses(result) == pytest.approx(losses(plain), rel=1e-4)
    assert model._compiled_call_impl is None
    assert torch.allclose(trainer.predict(task)[0], by_plain.predict(task)[0], atol=1e-4)
    assert not any("_orig_mod" in name for name in safetensors.torch.load_file(tmp_path / "model.safetensors"))
    run = gk.load_run(tmp_path)
    assert torch.equal(run.predict(task)[0], trainer.predict(task)[0])
    assert result.config["trainer"]["compile"] == EAGER


@pytest.mark.filterwarnings("error:compile")  # nothing is left uncompiled
def test_the_same_seed_gives_the_same_bits_and_a_resume_goes_on(tmp_path):
    task = tiny.task("node multiclass")

    def fit(epochs, **settings):
        model = gk.models.GCN.from_task(task, hidden_channels=8, dropout=0.5)
        return runs.fit(model, task, max_epochs=epochs, compile=EAGER, **settings)[0].history

    whole = fit(4)
    assert fit(2, run_dir=tmp_path) == whole[:2]
    assert fit(4, run_dir=tmp_path, resume=True) == whole


class Breaks(nn.Module):
    """Does on the way what torch cannot trace."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 3)

    def forward(self, x):
        return self.lin(x) if float(x.sum()) else self.lin(-x)

    def reset_parameters(self):
        self.lin.reset_parameters()


def test_what_cannot_be_compiled_runs_as_ever_and_is_told():
    task = tiny.task("node multiclass")
    plain, _ = runs.fit(Breaks(), task)
    told = r"compile: torch has compiled \d+ of \d+ pieces of PyGModel; the rest ran as without compile \(reason: "
    with pytest.warns(UserWarning, match=told):
        result, _ = runs.fit(Breaks(), task, compile=EAGER)
    assert losses(result) == pytest.approx(losses(plain), rel=1e-5)
    torch._dynamo.reset()
    with pytest.raises(RuntimeError, match=r"(?i)data-dependent"):  # torch's own, and none of dynamo's classes
        runs.fit(Breaks(), task, compile=EAGER | {"fullgraph": True})


def test_a_compiler_that_fails_is_told_and_the_run_goes_on():
    def fails(graph, inputs):
        raise RuntimeError("no compiler")

    task = tiny.task("node multiclass")
    plain, _ = runs.fit(task=task)
    with pytest.warns(UserWarning, match=r"compile: torch has compiled \d+ of \d+ pieces of GCN; the rest ran as"):
        result, _ = runs.fit(task=task, compile={"backend": fails})
    assert losses(result) == pytest.approx(losses(plain), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compile": {"dynamics": True}}, r"compile=.*, 'dynamics' is no argument of torch\.compile; did you mean"),
        ({"compile": True, "strategy": "SingleForward"}, r"compile=True, but SingleForward never calls the model as"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        gk.Trainer(**settings)
