"""Every model and strategy computes in the precision that was asked for; losses and metrics never in 16 bits."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.models import GCN, MLP
from graphkit.models.recommend import NodeEmbeddings
from graphkit.tasks import Target
from graphkit.training.engine import Engine
from graphkit.training.strategies.layerwise import Layerwise
from tests import tiny
from tests.common.test_cross_product import MODELS, STRATEGIES, TASKS

DTYPES = {"bf16-true": torch.bfloat16, "64-true": torch.float64, "bf16-mixed": torch.float32, "16-mixed": torch.float32}


def fit(model, task, precision="32-true", **settings):
    settings = {"max_epochs": 1, "progress": False, "accelerator": "cpu", "precision": precision} | settings
    return gk.Trainer(**settings).fit(model, task)


def combinations():
    """Each model with backpropagation on the first kind of task it trains on, and each strategy with a stack."""
    for name, make in MODELS.items():
        yield name, make, "Backprop", "link" if name in gk.models.registry.classes() and _scores(name) else "graph"
    for strategy in STRATEGIES:
        for kind in ("node", "graph", "link"):
            yield "GCN", _stack, strategy, kind


def _scores(name):
    return issubclass(gk.models.registry.classes()[name], (gk.models.PairScorer, NodeEmbeddings))


def _stack(task):
    return GCN.from_task(task, hidden_channels=8, readout="mean" if task.joins_graphs else "nodes")


def _task(kind):
    return TASKS[kind if kind == "link" else f"{kind} multiclass"]


@pytest.mark.filterwarnings("ignore:You passed .Fabric.accelerator='cpu', precision='16-mixed'")
@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize(
    ("name", "make", "strategy", "kind"), [pytest.param(*c, id="-".join([c[0], *c[2:]])) for c in combinations()]
)
def test_computes_in_the_precision_asked_for(name, make, strategy, kind, precision, monkeypatch):
    task = _task(kind)
    try:
        model = make(task)
        single = fit(copy.deepcopy(model), task, strategy=STRATEGIES[strategy](), warm_start=True)
    except (TypeError, ValueError) as error:
        pytest.skip(f"does not train at all: {error}")
    judged, inner = set(), set()
    objective = Target.objective

    def judge(self, prediction, label, *rest):
        judged.add(prediction.dtype)
        return objective(self, prediction, label, *rest)

    monkeypatch.setattr(Target, "objective", judge)
    model.register_forward_hook(lambda module, inputs, out: inner.add(out.dtype))
    if precision == "bf16-true" and isinstance(STRATEGIES[strategy](), Layerwise):
        with pytest.raises(ValueError, match=f"{strategy} judges what layers hand on.*use precision='bf16-mixed'"):
            fit(model, task, precision, strategy=STRATEGIES[strategy]())
        return
    found = fit(model, task, precision, strategy=STRATEGIES[strategy](), warm_start=True)
    assert {p.dtype for p in model.parameters()} == {DTYPES[precision]}
    low = precision != "64-true"
    if strategy != "greedy":  # which leaves the engine's precision aside
        assert judged <= {torch.float32 if low else torch.float64}
    assert inner <= {DTYPES[precision], torch.bfloat16 if low else torch.float64}
    if strategy == "Backprop" or low:  # else new weights for further inputs are drawn in another precision
        tolerance = 0.1 if low else 1e-3
        expected = single.history[0]["train_loss"]
        assert found.history[0]["train_loss"] == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_labels_are_not_rounded():
    task = tiny.task("graph regression")
    engine = Engine("cpu", 1, "bf16-true", None)
    batch = next(iter(task.batches("train")))
    moved = engine.to_device(batch)
    assert torch.equal(moved.y, batch.y)
    assert moved.x.dtype == torch.bfloat16
    assert batch.x.dtype == torch.float32


@pytest.mark.parametrize("precision", ["16-true", "transformer-engine"])
def test_what_nobody_trains_in_is_refused(precision):
    with pytest.raises(ValueError, match=f"Trainer: precision='{precision}', .*choose from: 32-true, 64-true, "):
        fit(GCN.from_task(tiny.task("node multiclass"), hidden_channels=4), tiny.task("node multiclass"), precision)


@pytest.mark.parametrize(
    ("short", "long"), [("64", "64-true"), (64, "64-true"), ("bf16", "bf16-mixed"), ("32", "32-true")]
)
def test_short_names_are_the_long_ones(short, long):
    task = tiny.task("node multiclass")
    one, other = (fit(MLP.from_task(task, hidden_channels=4), task, p) for p in (short, long))
    assert one.history == other.history


def test_degrees_are_counted_exactly_in_sixteen_bits():
    star = torch.stack([torch.arange(1, 1001), torch.zeros(1000, dtype=torch.long)])
    wide, narrow = (
        gk.ops.gcn_norm(star, norm="row", dtype=dtype).to_dense() for dtype in (torch.float32, torch.bfloat16)
    )
    torch.testing.assert_close(narrow.float(), wide, rtol=1e-2, atol=0)


def test_own_modules_that_return_no_tensor_are_named():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(6, 3)

        def forward(self, x):
            return self.lin(x), x

    task = tiny.task("node multiclass")
    for precision in ("32-true", "bf16-mixed", "bf16-true"):
        with pytest.raises(TypeError, match=r"Pair.forward returned a tuple, but a tensor of outputs is needed"):
            fit(Pair(), task, precision)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("attention", ["cosine", "pearson", "exp_kernel"])
def test_attention_in_sixteen_bits(attention, precision):
    task = tiny.task("graph multiclass")
    model = gk.models.GRAND.from_task(task, hidden_channels=8, attention=attention)
    single, half = (
        fit(copy.deepcopy(model), task, p, warm_start=True).history[0]["train_loss"] for p in ("32-true", precision)
    )
    assert half == pytest.approx(single, rel=0.05)
