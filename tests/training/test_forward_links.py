"""Layer-wise strategies on link tasks: what judges a layer, what is kept, what a prediction is, what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Data

import graphkit as gk
from graphkit.models import GCN, GRAND, LinkPredictor
from graphkit.training.strategies import (
    ForwardForward,
    LayerCollaborationFF,
    ScalableFF,
    SingleForward,
    TargetProjection,
    TopDownForward,
)
from tests import tiny
from tests.training.forward import LINK, NODE, PlainGCN, fit, model_for


def link_task(
    num_negatives: float = 1.0, fixed: bool = False, sparse: bool = False, disjoint: float = 0.0
) -> gk.LinkTask:
    data = tiny.graph(40, 120)
    if sparse:
        data.x = F.one_hot(torch.arange(40) % 5, 300).float() + F.one_hot(torch.arange(40), 300)
    split = gk.LinkSplit.random(
        data.edge_index, 40, 0.2, 0.2, num_negatives=num_negatives, fixed_negatives=fixed, disjoint=disjoint
    )
    return gk.LinkTask("links", data, split, num_negatives=1.0 if fixed else num_negatives)


def states(model: GCN, batch: Data, h: Tensor) -> list[Tensor]:
    """The outputs of all layers, each from the normalised output of the one below."""
    found = []
    for i in range(len(model.layers)):
        h = model.step(i, [h / (h.norm(dim=1, keepdim=True) + 1e-8)], batch)
        found.append(h)
    return found


def scores_by_hand(name: str, z: Tensor, batch: Data) -> Tensor:
    products = z[batch.edge_label_index[0]] * z[batch.edge_label_index[1]]
    return products.sum(1) if name == "SF" else products.square().sum(1) - 2.0


@pytest.mark.parametrize("name", ["SF", "FF-LA"])
@pytest.mark.parametrize("upto", [1, 2, 3])
def test_predictions_are_the_mean_probability_of_the_layers(name, upto):
    task, strategy = link_task(), NODE[name]()
    _, model = fit(strategy, task, precision="64-true")
    for stage in ("val", "test"):
        batch = strategy.engine.to_device(task.batches(stage)[0])
        with torch.no_grad():
            layers = states(model, batch, batch.x)[:upto]
            expected = torch.stack([scores_by_hand(name, z, batch).sigmoid() for z in layers]).mean(0)
        out = strategy.predict(batch, upto, stage)
        assert out.shape == (batch.edge_label.numel(), 1)
        torch.testing.assert_close(out[:, 0].sigmoid(), expected)


@pytest.mark.parametrize("num_negatives", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("name", ["SF", "FF-LA"])
def test_losses_by_hand_with_any_number_of_negatives(name, num_negatives):
    task, strategy = link_task(num_negatives, fixed=True), NODE[name]()
    model = model_for(task)
    first, _ = fit(strategy, task, model, max_epochs=1, lr=1e-12, precision="64-true")
    batch = strategy.engine.to_device(task.batches("train")[0])
    with torch.no_grad():
        for row, z in zip(first.history, states(model, batch, batch.x), strict=True):
            s, label = scores_by_hand(name, z, batch), batch.edge_label
            if name == "SF":
                expected = F.binary_cross_entropy_with_logits(s, label)
            else:
                expected = F.softplus(-s[label == 1]).mean() + F.softplus(s[label == 0]).mean()
            assert row["train_loss"] == pytest.approx(float(expected), rel=1e-9)


def test_sure_predictions_keep_their_order():
    """Probabilities that round to one still differ as logits."""
    task, strategy = link_task(), SingleForward()
    _, model = fit(strategy, task, max_epochs=1)
    with torch.no_grad():
        for p in model.layers.parameters():
            p.mul_(50)
    batch = task.batches("val")[0]
    out = strategy.predict(batch, None, "val")
    assert torch.isfinite(out).all()
    assert (out.sigmoid() == 1).sum() > 5
    assert out.unique().numel() > out.sigmoid().unique().numel()


@pytest.mark.parametrize("options", [{}, {"fixed": True}, {"sparse": True}, {"disjoint": 0.5}], ids=str)
@pytest.mark.parametrize("batch_size", [None, 20])
@pytest.mark.parametrize("name", LINK)
def test_what_is_kept_changes_nothing(name, batch_size, options):
    """Batches that share a graph share what is computed from it, but nothing that depends on their pairs."""
    task = link_task(**options)
    settings: dict[str, Any] = {"precision": "64-true", "max_epochs": 3, "batch_size": batch_size}
    (fast, one), (plain, two) = (fit(NODE[name](), task, model_for(task, cls), **settings) for cls in (GCN, PlainGCN))
    for row, other in zip(fast.history, plain.history, strict=True):
        for key in row.keys() - {"phase"}:
            assert row[key] == pytest.approx(other[key], rel=1e-8), key
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("name", LINK)
def test_other_pairs_of_the_same_graph_get_their_own_scores(name):
    task, strategy = link_task(), NODE[name]()
    fit(strategy, task)
    batch = task.batches("test")[0]
    turned = copy.copy(batch)
    turned.edge_label_index = batch.edge_label_index.flip(1)
    out, again = strategy.predict(batch, None, "test"), strategy.predict(turned, None, "test")
    torch.testing.assert_close(again, out.flip(0))


@pytest.mark.parametrize("name", LINK)
def test_what_is_kept_does_not_grow_with_the_epochs(name):
    """Negatives that are drawn anew make a new batch in every epoch."""
    sizes = []
    for epochs in (3, 9):
        strategy = NODE[name]()
        fit(strategy, link_task(), max_epochs=epochs)
        sizes.append(len(strategy._cache))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("name", LINK)
def test_predictions_never_see_the_links_they_are_judged_by(name):
    task, strategy = link_task(), NODE[name]()
    fit(strategy, task)
    for stage in ("val", "test"):
        batch = task.batches(stage)[0]
        other = copy.copy(batch)
        other.edge_label = 1 - batch.edge_label
        assert torch.equal(strategy.predict(batch, None, stage), strategy.predict(other, None, stage))


@pytest.mark.parametrize("name", LINK)
def test_links_between_communities_are_learned(name):
    """Two groups that link among themselves and whose features tell them apart."""
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(60) % 2
    x = torch.randn(60, 8, generator=generator) + 2.0 * F.one_hot(group, 8)
    same = (group[:, None] == group[None, :]) & (torch.rand(60, 60, generator=generator) < 0.2)
    edge_index = same.triu(1).nonzero().t()
    data = Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0)], dim=1))
    task = gk.LinkTask("two", data, gk.LinkSplit.random(data.edge_index, 60, 0.2, 0.2))
    result, _ = fit(NODE[name](), task, GCN.from_task(task, hidden_channels=16, readout="nodes"), max_epochs=60)
    assert result.test > 0.68  # pairs of one group without a link cannot be told from links
    assert {row["phase"] for row in result.history} == {row["phase"] for row in result.phases}


def test_curves_by_layer():
    greedy, _ = fit(SingleForward(), link_task(), validate_every=2, max_epochs=4)
    assert [row["phase"] for row in greedy.phases] == ["layer 1", "layer 2", "layer 3"]
    assert [row["val_roc_auc"] is None for row in greedy.history[:4]] == [True, False, True, False]
    best = max(row["val_roc_auc"] for row in greedy.history[4:8] if row["val_roc_auc"] is not None)
    assert greedy.phases[1]["val"] == best
    sweep, _ = fit(TopDownForward(), link_task())
    assert {"train_loss_layer_1", "train_loss_layer_2", "train_loss_layer_3"} <= sweep.history[0].keys()


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (SingleForward(append_label="input"), "SingleForward: append_label='input' counts where classes are judged"),
        (
            SingleForward(bidirectional=False),
            "SingleForward: bidirectional=False counts where classes are judged, .*; leave it at its default",
        ),
        (TopDownForward(append_label="input"), "TopDownForward: append_label='input' counts where classes"),
        (ForwardForward("virtual"), "ForwardForward: labels='virtual' counts where classes are"),
        (ForwardForward(num_negatives=2), "ForwardForward: num_negatives=2 counts where classes are"),
        (ForwardForward(loss="symba"), "ForwardForward: loss='symba' counts where classes are judged"),
        (LayerCollaborationFF(reveal_validation=True), "LayerCollaborationFF: reveal_validation=True counts where"),
        (ScalableFF("linear"), "ScalableFF does not train on link tasks, of which 'links' is one; use Backprop"),
        (TargetProjection(), "TargetProjection does not train on link tasks, of which 'links' is one"),
    ],
)
def test_what_makes_no_sense_for_links_is_refused(strategy, message):
    with pytest.raises(ValueError, match=message):
        fit(strategy, link_task())


def test_models_that_cannot_say_why():
    task = link_task()
    with pytest.raises(ValueError, match="layers 1 and 2 of GRAND share"):
        fit(SingleForward(), task, GRAND.from_task(task, hidden_channels=4, num_layers=2))
    with pytest.raises(TypeError, match="trains layer by layer and needs a LayeredModel"):
        fit(SingleForward(), task, torch.nn.Linear(6, 4))
    predictor = LinkPredictor.from_task(task, encoder={"class_path": "GCN", "init_args": {"hidden_channels": 8}})
    message = "trains layers on states of nodes, but LinkPredictor scores pairs by a decoder that would stay as it is"
    with pytest.raises(TypeError, match=message):
        fit(SingleForward(), task, predictor)
