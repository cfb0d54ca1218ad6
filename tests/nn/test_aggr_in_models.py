"""Aggregations by name in models, and auxiliary losses in training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.nn.aggr import GNPAggregation, LCMAggregation, RecurrentAggregation, resolve
from tests import tiny


@pytest.mark.parametrize(
    ("name", "kwargs", "cls"),
    [
        ("lcm", {"project": False}, LCMAggregation),
        ("LCMAggregation", None, LCMAggregation),
        ("gnp", {"act": "softplus"}, GNPAggregation),
        ("recurrent", {"cell": "lstm"}, RecurrentAggregation),
        ("softmax", {"learn": True}, None),
        ("powermean", None, None),
        ("add", None, None),
        ("GRUAggregation", None, None),
    ],
)
def test_readouts_by_name(name, kwargs, cls):
    model = gk.models.GCN(6, 8, out_channels=2, readout=name, readout_kwargs=kwargs)
    assert cls is None or type(model.pool) is cls
    task = tiny.graph_task()
    for batch in task.batches("train", 5):
        assert model(batch).shape == (batch.num_graphs, 2)
    again = gk.models.GCN.from_config(model.config())
    assert repr(again.pool) == repr(model.pool)


def test_a_task_does_not_change_a_default_readout():
    task = tiny.graph_task()
    assert gk.models.DeepSets.from_task(task).readout == "sum"
    assert gk.models.GCN.from_task(task).readout == "mean"
    assert gk.models.DeepSets.from_task(task, readout="max").readout == "max"


@pytest.mark.parametrize("make", [gk.models.GRAND, gk.models.SheafDiffusion])
def test_learned_readouts_of_diffusion_models(make):
    torch.manual_seed(0)
    model = make(6, 8, out_channels=3, readout="lcm")
    assert type(model.pool) is LCMAggregation
    assert make(6, 8, readout="mask").pool is None
    task = tiny.graph_task().transform(model.required_transform())
    model.eval()(next(iter(task.batches("train", 5)))).square().sum().backward()
    assert bool((model.pool.f.weight_ih.grad != 0).any())
    with pytest.raises(ValueError, match="unknown aggregation 'lcmm'"):
        make(6, 8, readout="lcmm")


def test_graphkit_comes_before_pyg():
    assert type(resolve("lcm", 4)) is LCMAggregation
    assert resolve("lcm", 4, out_channels=3).out_channels == 3


def test_an_unknown_name_is_answered_with_choices():
    with pytest.raises(ValueError, match=r"unknown aggregation 'lcmm'; did you mean 'LCM'\?.*GNP.*Softmax"):
        gk.models.GCN(6, 8, readout="lcmm")


def test_same_seed_same_training():
    results = []
    for _ in range(2):
        model = gk.models.GCN(6, 8, out_channels=3, readout="lcm")
        results.append(gk.Trainer(max_epochs=3, progress=False, seed=1).fit(model, tiny.graph_task()))
    for first, second in zip(*(result.history for result in results)):
        assert first["train_loss"] == second["train_loss"]
        assert first["val_loss"] == second["val_loss"]


class Decayed(nn.Module):
    """A linear map with a penalty of its own."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.lin = nn.Linear(6, 3)
        self.weight = weight
        self.calls: list[bool] = []

    def reset_parameters(self) -> None:
        self.lin.reset_parameters()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lin(x)

    def auxiliary_loss(self) -> torch.Tensor:
        self.calls.append(self.training)
        return self.weight * self.lin.weight.square().sum()


def test_the_trainer_adds_auxiliary_losses_while_training():
    norms, losses = {}, {}
    for weight in (0.0, 10.0):
        model = Decayed(weight)
        trainer = gk.Trainer(max_epochs=30, progress=False, seed=0, lr=0.05, monitor="loss")
        result = trainer.fit(model, tiny.node_task())
        assert model.calls == [True] * 30  # once per step, never in evaluation
        assert all(record["train_auxiliary_loss"] >= weight * 1e-6 for record in result.history)
        norms[weight] = model.lin.weight.square().sum().item()
        losses[weight] = result.history[-1]["train_loss"]
    assert norms[10.0] < 0.2 * norms[0.0]  # the penalty works ...
    assert losses[10.0] > losses[0.0]  # ... at the expense of the task's loss, which is logged without it


def test_an_lcm_readout_becomes_more_associative():
    found = []
    for weight in (0.0, 100.0):
        kwargs = {"project": False, "associativity_weight": weight}
        model = gk.models.GCN(6, 8, out_channels=3, readout="lcm", readout_kwargs=kwargs)
        gk.Trainer(max_epochs=40, progress=False, seed=0, monitor="loss", lr=0.02).fit(model, tiny.graph_task())
        triples = torch.rand(3, 100, 8, generator=torch.Generator().manual_seed(0))
        found.append(float(model.pool.associativity_loss(*triples)))
    assert found[1] < 0.5 * found[0]


def test_an_aggregation_that_needs_an_argument_says_which():
    with pytest.raises(ValueError, match=r"'set2set' needs 'processing_steps'; give it, e\.g\. by readout_kwargs"):
        gk.models.GCN(5, 8, readout="set2set")
