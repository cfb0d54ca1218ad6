"""A task's loss and metric: what a user overrides or gives counts with every model and strategy."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import graphkit as gk
from graphkit import LinkTask, NodeTask
from graphkit.models import PairScorer
from graphkit.tasks.targets import Multiclass
from tests import tiny
from tests.common.test_cross_product import MODELS, STRATEGIES
from tests.losses import NAN, fit, node_task, own, pair, same


def assert_counts(result):
    assert result.history[0]["train_loss"] > 900
    assert result.history[0]["val_loss"] > 900
    assert (result.metric, result.test, result.history[0]["val_constant"]) == ("constant", 0.125, 0.125)
    assert result.best_epoch == 1


@pytest.mark.parametrize("kind", ["node multiclass", "graph multilabel", "link"])
@pytest.mark.parametrize("name", MODELS)
def test_what_a_task_overrides_counts_with_every_model(name, kind, monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    task = own(tiny.task(kind))
    try:
        model = MODELS[name](task)
    except ValueError as error:
        pytest.skip(f"is not for such tasks: {error}")
    if isinstance(model, PairScorer) and kind != "link":
        pytest.skip("scores pairs")
    if kind != "graph multilabel" and getattr(model, "readout", None) is not None:
        pytest.skip("reads graphs")
    assert_counts(fit(model, task))


def test_a_new_metric_may_be_of_torchmetrics():
    from torchmetrics.classification import MulticlassHammingDistance

    class Distant(NodeTask):
        def new_metric(self):
            return MulticlassHammingDistance(3, average="micro")

    plain = tiny.node_task()
    task = Distant("t", plain.data, plain.split).transform(gk.rewiring.RandomEdges(2))
    result = fit(gk.models.GCN.from_task(task, hidden_channels=8), task, max_epochs=5)
    assert (result.metric, task.higher_is_better) == ("MulticlassHammingDistance", False)
    assert result.val == min(row["val_MulticlassHammingDistance"] for row in result.history)


def refuses(strategy, task):
    """What a strategy says of any such task."""
    try:
        fit(gk.models.GCN.from_task(task, hidden_channels=8), task, strategy)
    except (TypeError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "kind", ["node multiclass", "node binary", "node sampled multiclass", "graph multiclass", "link"]
)
@pytest.mark.parametrize("name", STRATEGIES)
def test_what_a_task_overrides_counts_with_every_strategy_or_is_refused(name, kind):
    plain, cls = tiny.task(kind), STRATEGIES[name]
    task = own(plain)
    task = task if plain.sampler is None else task.sampled(plain.sampler)
    if refuses(cls(), plain) is not None:
        pytest.skip("not for such tasks")
    if "own losses" in cls().cannot():
        assert f"{name} learns by goodness and cannot use the loss of task" in refuses(cls(), task)
    else:
        assert_counts(fit(gk.models.GCN.from_task(task, hidden_channels=8), task, cls()))


def test_strategies_by_goodness_are_the_ones_that_refuse():
    assert {name for name, cls in STRATEGIES.items() if "own losses" in cls().cannot()} == {
        "ForwardForward",
        "LayerCollaborationFF",
    }


class Focal(Multiclass):
    """A target with a loss of its own."""

    name = "focal"

    def loss(self, prediction, label, weight=None):
        each = F.cross_entropy(prediction, label, reduction="none")
        each = each * (1 - (-each).exp()).square()
        return each.mean() if weight is None else each @ weight


@pytest.mark.parametrize(
    "arguments",
    [{"loss": F.cross_entropy}, {"class_weight": [1, 2, 3]}, {"target": Focal}],
    ids=["loss", "weight", "target"],
)
def test_every_way_to_another_loss_is_one(arguments):
    plain = tiny.node_task()
    task = NodeTask("t", plain.data, plain.split, **arguments)
    assert task.has_own_loss
    assert not plain.has_own_loss
    assert "cannot use the loss of task 't'" in refuses("ForwardForward", task)
    model = gk.models.GCN.from_task(task, hidden_channels=8)
    assert (
        fit(model, task, "SingleForward").history != fit(model, plain, "SingleForward").history or "loss" in arguments
    )


def test_a_task_that_overrides_loss_is_told_what_to_override():
    with pytest.raises(TypeError, match="Wrong overrides loss, which validation does not call; override loss_of"):

        class Wrong(NodeTask):
            def loss(self, out, batch, stage="train"):
                return out.sum()


CLASSES = {
    "module": nn.CrossEntropyLoss(label_smoothing=0.1),
    "class": nn.CrossEntropyLoss,
    "weights": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])),
    "margin": nn.MultiMarginLoss(),
    "partial": partial(F.cross_entropy, label_smoothing=0.3),
    "rows": lambda out, y: F.cross_entropy(out, y, reduction="none"),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_loss_of_classes_has_its_own_value(name):
    task = node_task(loss=CLASSES[name])
    out, y = pair(task)
    loss = CLASSES[name]() if name == "class" else CLASSES[name]
    same(task.loss_of(out, y), loss(out, y).mean(), out)
    (batch,) = task.batches("train")
    whole = torch.randn(24, 3, requires_grad=True)
    same(task.loss(whole, batch), loss(whole[task.split.train], y).mean(), whole)
    weight = torch.rand(12)
    each = getattr(loss, "reduction", None) and type(loss)(**_arguments(loss), reduction="none")
    each = each or (partial(loss, reduction="none") if name == "partial" else loss)
    same(task.loss_of(out, y, weight), each(out, y) @ weight, out)
    assert getattr(task.target.given_loss.loss, "reduction", "mean") == "mean", "the user's object stays as it is"


def _arguments(loss):
    return {key: getattr(loss, key) for key in ("weight", "label_smoothing") if hasattr(loss, key)}


NUMBERS = {
    "huber": F.huber_loss,
    "module": nn.SmoothL1Loss(beta=0.5),
    "function": lambda out, y: (out - y).abs().pow(1.5),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_loss_of_numbers_sees_known_ones_alone(name):
    data = tiny.graph()
    data.y = torch.randn(24, 2)
    data.y[::3, 1] = NAN
    task = NodeTask("t", data, tiny.split(24), "regression", loss=NUMBERS[name])
    out, y = pair(task)
    known = ~y.isnan()
    same(task.loss_of(out, y), NUMBERS[name](out[known], y[known]).mean(), out)
    assert task.count(y) == known.sum()
    weight = torch.rand(12)
    each = torch.stack([NUMBERS[name](out[i][known[i]], y[i][known[i]]).mean() for i in range(12)])
    same(task.loss_of(out, y, weight), each @ weight, out)
    result = fit(gk.models.MLP.from_task(task, hidden_channels=8), task, max_epochs=30)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]


def cosine(prediction, label):
    return 1 - F.cosine_similarity(prediction, label)


def test_a_loss_of_rows_may_not_meet_missing_labels():
    data = tiny.graph()
    data.y = torch.randn(24, 2)
    task = NodeTask("t", data, tiny.split(24), "regression", loss=cosine)
    out, y = pair(task)
    same(task.loss_of(out, y), cosine(out, y).mean(), out)
    same(task.loss_of(out, y, torch.full((12,), 0.5)), 0.5 * cosine(out, y).sum(), out)
    data.y[0, 0] = NAN
    with pytest.raises(
        ValueError, match=r"loss cosine returns the shape \[12\], .*its value of each label, as some are"
    ):
        NodeTask("t", data, tiny.split(24), "regression", loss=cosine)


def test_a_loss_of_links():
    plain = tiny.link_task()
    task = LinkTask("t", plain.graphs[0], plain.split, loss=nn.SoftMarginLoss(), pos_weight=None)
    score, label = torch.randn(16, 1, requires_grad=True), torch.tensor([1.0, 0.0]).repeat(8)
    same(task.loss_of(score, label), F.soft_margin_loss(score, label[:, None]), score)
    weighed = LinkTask("t", plain.graphs[0], plain.split, pos_weight=3)
    expected = F.binary_cross_entropy_with_logits(score[:, 0], label, pos_weight=torch.tensor(3.0))
    same(weighed.loss_of(score, label), expected, score)


class Learned(nn.Module):
    def __init__(self, trained=True):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=trained)

    def forward(self, prediction, label):
        return self.scale.detach() * F.cross_entropy(prediction, label)


@pytest.mark.parametrize(
    ("target", "arguments", "error", "message"),
    [
        ("multiclass", {"loss": "huber"}, TypeError, "task 't': loss='huber' cannot be called; give a function of"),
        (
            "multiclass",
            {"loss": nn.MSELoss()},
            ValueError,
            r"loss MSELoss fails for predictions \[12, 3\] and labels \[12\]",
        ),
        ("multiclass", {"loss": lambda out, y: 3.0}, ValueError, "returns 3.0, must be a tensor with a gradient"),
        (
            "multiclass",
            {"loss": lambda out, y: out.sum(0)},
            ValueError,
            r"returns the shape \[3\], must be one number or",
        ),
        (
            "multiclass",
            {"loss": Learned()},
            ValueError,
            "Learned has weights of its own, which no optimizer would train",
        ),
        (
            "multiclass",
            {"loss": nn.CrossEntropyLoss(reduction="sum")},
            ValueError,
            "has reduction='sum', but losses are",
        ),
        (
            "multiclass",
            {"loss": Learned(False), "class_weight": "balanced"},
            ValueError,
            r"its value of each row; take an arg",
        ),
        ("multilabel", {"loss": Learned(False)}, ValueError, "Learned returns the shape|its value of each label"),
        ("multiclass", {"class_weight": "even"}, ValueError, "unknown class_weight 'even'; choose from: balanced"),
        (
            "multiclass",
            {"class_weight": [1, 2]},
            ValueError,
            r"class_weight=\[1, 2\], must be 3 numbers, one per class",
        ),
        ("multiclass", {"class_weight": [1, -2, 1]}, ValueError, "none negative"),
        ("multiclass", {"class_weight": [1, NAN, 1]}, ValueError, "must be finite"),
        ("multiclass", {"class_weight": {0: 1}}, ValueError, "must be numbers"),
        (
            "multilabel",
            {"class_weight": "balanced"},
            ValueError,
            "this target has none; columns of 0 and 1 take pos_weight",
        ),
        (
            "regression",
            {"pos_weight": 2},
            ValueError,
            "pos_weight=2 is of labels 0 and 1, but the target is regression",
        ),
        (
            "multiclass",
            {"pos_weight": 2},
            ValueError,
            "pos_weight=2 is of labels 0 and 1, but the target is multiclass",
        ),
        ("binary", {"pos_weight": 0}, ValueError, "pos_weight=0, must be a positive number, or one per column"),
        ("multilabel", {"pos_weight": [1, 2, 3]}, ValueError, r"or one per column \(2\)"),
        (
            "binary",
            {"pos_weight": 2, "class_weight": "balanced"},
            ValueError,
            "both weigh the classes 0 and 1; give one",
        ),
    ],
)
def test_what_cannot_be_a_loss_is_refused_when_the_task_is_made(target, arguments, error, message):
    with pytest.raises(error, match=message):
        node_task(target, **arguments)


def test_a_loss_that_would_be_broadcast_is_refused():
    """Labels [3] stretch over outputs [3, 3]."""
    data, ids = tiny.graph(), torch.arange(9)
    data.y = torch.arange(24) % 3
    with pytest.raises(ValueError, match="loss l1_loss fails for predictions"):
        NodeTask("t", data, gk.Split("s", ids[:3], ids[3:6], ids[6:]), loss=F.l1_loss)


def test_a_loss_without_values_of_rows_does_not_suit_weights_of_a_sampler():
    task = node_task(loss=Learned(False))
    assert fit(gk.models.GCN.from_task(task, hidden_channels=4), task).history[0]["train_loss"] > 0
    sampled = task.sampled(gk.samplers.GraphSAINTNode(12))
    with pytest.raises(
        ValueError, match=r"task 't': loss Learned returns the shape \[\], but this task needs its value of"
    ):
        fit(gk.models.GCN.from_task(task, hidden_channels=4), sampled)
