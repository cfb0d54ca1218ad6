"""A task's loss and metric: a user's count with every model and strategy, weights of classes, means over batches."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import graphkit as gk
from graphkit import GraphTask, LinkTask, NodeTask
from graphkit.models import PairScorer
from graphkit.tasks.targets import Multiclass
from tests import tiny
from tests.common.test_cross_product import MODELS, STRATEGIES, OwnModule

NAN = float("nan")


class Constant(gk.metrics.Metric):
    """A metric that knows its value."""

    name, higher_is_better = "constant", False

    def update(self, out, label):
        pass

    def compute(self):
        return 0.125

    def reset(self):
        pass


class Overriding:
    """A task of a user's: a loss 1000 too large, and a metric of their own."""

    def loss_of(self, prediction, label, weight=None):
        return super().loss_of(prediction, label, weight) + 1000

    def new_metric(self):
        return Constant()


OWN = {cls: type(f"Own{cls.__name__}", (Overriding, cls), {}) for cls in (NodeTask, GraphTask, LinkTask)}


def own(task, **arguments):
    """The same task with overrides."""
    data = {"graphs": task.graphs} if isinstance(task, GraphTask) else {"data": task.graphs[0]}
    if not isinstance(task, LinkTask):
        data["target"] = task.target.name
    return OWN[type(task)](task.name, split=task.split, **data, **arguments)


def fit(model, task, strategy="Backprop", **arguments):
    return gk.Trainer(**{"max_epochs": 2, "progress": False, "strategy": strategy} | arguments).fit(model, task)


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
    model = MODELS[name](task)
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


# A loss that is given ------------------------------------------------------------------------------------------------


def node_task(target="multiclass", **arguments):
    plain = tiny.node_task(target)
    return NodeTask("t", plain.data, plain.split, target, **arguments)


def pair(task, seed=0):
    """Outputs with a gradient, and the labels of training."""
    out = torch.randn(12, task.num_outputs, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    return out, task.labels[task.split.train]


def same(first, second, out):
    torch.testing.assert_close(first, second)
    grads = [torch.autograd.grad(value, out)[0] for value in (first, second)]
    torch.testing.assert_close(*grads)


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


# Weights of classes --------------------------------------------------------------------------------------------------


def unbalanced():
    data = tiny.graph()
    data.y = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2] * 2)
    return data


def test_balanced_weights_are_those_of_scikit_learn():
    compute = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    task = NodeTask("t", unbalanced(), tiny.split(24), class_weight="balanced", allow_missing_classes=True)
    out, y = pair(task)
    weight = torch.tensor(compute("balanced", classes=np.arange(3), y=y.numpy())).float()
    same(task.loss_of(out, y), F.cross_entropy(out, y, weight=weight), out)
    assert task.count(y).item() == pytest.approx(12)
    own = torch.rand(12)
    same(task.loss_of(out, y, own), F.cross_entropy(out, y, weight=weight, reduction="none") @ own, out)
    other = task.with_split(gk.Split("o", task.split.train[5:], task.split.val, task.split.test))
    late = other.labels[other.split.train]
    weight = torch.tensor(compute("balanced", classes=np.arange(3), y=late.numpy())).float()
    same(other.loss_of(out[5:], late), F.cross_entropy(out[5:], late, weight=weight), out)
    with pytest.raises(ValueError, match="class_weight='balanced', but class 2 has no training example; give numbers"):
        task.with_split(gk.Split("o", task.split.train[:8], task.split.val, task.split.test))


def test_a_description_tells_of_loss_and_weights():
    """So a run is not resumed with others, and its folder tells what it was trained by."""
    task = node_task(loss=partial(F.cross_entropy, label_smoothing=0.1), class_weight=torch.tensor([1, 2, 3]))
    assert "multiclass with 3 outputs, loss cross_entropy(label_smoothing=0.1), class_weight [1, 2, 3], accur" in repr(
        task
    )
    assert "multilabel with 2 outputs, pos_weight [2.0, 5.0], accuracy" in repr(
        node_task("multilabel", pos_weight=[2.0, 5])
    )
    assert "class_weight balanced" in repr(node_task(class_weight="balanced"))


@pytest.mark.parametrize("given", [[1, 2, 3], torch.tensor([1.0, 2.0, 3.0]), (10, 20, 30)])
def test_given_weights_count_in_the_loss_of_the_target_and_of_the_user(given):
    weight = torch.tensor([1.0, 2.0, 3.0])
    for loss in (
        None,
        F.cross_entropy,
        nn.CrossEntropyLoss(),
        lambda out, y: F.cross_entropy(out, y, reduction="none"),
    ):
        task = NodeTask("t", unbalanced(), tiny.split(24), class_weight=given, loss=loss)
        out, y = pair(task)
        same(task.loss_of(out, y), F.cross_entropy(out, y, weight=weight), out)


def test_weights_of_two_classes():
    task = node_task("binary", class_weight=[1, 3])
    out, y = pair(task)
    weight = torch.where(y > 0, 3.0, 1.0)
    each = F.binary_cross_entropy_with_logits(out[:, 0], y, reduction="none")
    same(task.loss_of(out, y), (weight * each).sum() / weight.sum(), out)


@pytest.mark.parametrize("given", [2.5, [2.5], torch.tensor([2.5])])
def test_positive_weights_are_torchs(given):
    task = node_task("binary", pos_weight=given)
    out, y = pair(task)
    same(task.loss_of(out, y), F.binary_cross_entropy_with_logits(out[:, 0], y, pos_weight=torch.tensor(2.5)), out)


@pytest.mark.parametrize("loss", [None, F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss()])
def test_positive_weights_of_columns_with_missing_labels(loss):
    task = node_task("multilabel", pos_weight=[2.0, 5.0], loss=loss)
    out, y = pair(task)
    assert y.isnan().any()
    known, weight = ~y.isnan(), torch.tensor([2.0, 5.0]).expand(12, 2)
    expected = F.binary_cross_entropy_with_logits(out[known], y[known], pos_weight=weight[known])
    same(task.loss_of(out, y), expected, out)


@pytest.mark.parametrize("size", [1, 3, 5, 12])
def test_the_validation_loss_with_weights_does_not_depend_on_the_batch_size(size):
    plain = tiny.graph_task()
    task = GraphTask("t", plain.graphs, plain.split, class_weight=[1, 2, 7])
    model = gk.models.GIN.from_task(task, hidden_channels=4)
    result = fit(model, task, max_epochs=1, batch_size=size, lr=1e-12)
    (batch,) = task.batches("val", 100)
    with torch.no_grad():
        expected = task.loss(model.eval()(batch), batch, "val")
    assert result.history[0]["val_loss"] == pytest.approx(expected.item(), abs=1e-5)


# Means over batches --------------------------------------------------------------------------------------------------


def graphs_with_missing(count=40):
    graphs = tiny.graph_task("multilabel").graphs * 2
    graphs = [graph.clone() for graph in graphs[:count]]
    for position, graph in enumerate(graphs):
        missing = position % 20 in (3, 4, 5, 6, 12, 13, 14, 15)
        graph.y = (
            torch.tensor([[NAN, NAN]]) if missing else torch.tensor([[float(position % 2), float(position % 3 == 0)]])
        )
        if position % 5 == 0:
            graph.y[0, 1] = NAN
    return graphs


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "exact_match", "f1_macro", "mcc"])
@pytest.mark.parametrize("loss", [None, nn.BCEWithLogitsLoss()])
def test_no_mean_depends_on_the_batch_size_with_missing_labels(loss, metric):
    split = gk.Split("s", torch.arange(10), torch.arange(20, 40), torch.arange(10, 20))
    task = GraphTask("t", graphs_with_missing(), split, target="multilabel", metric=metric, loss=loss)
    values = []
    for size in (1, 3, 4, 20):
        row = fit(OwnModule(task.num_features, 2), task, max_epochs=1, batch_size=size, lr=1e-12).history[0]
        values.append((row["train_loss"], row["val_loss"], row[f"val_{metric}"]))
    for other in values[1:]:
        assert other == pytest.approx(values[0], abs=1e-5)


def test_a_short_last_batch_counts_by_its_labels():
    task = tiny.graph_task("regression")
    values = [
        fit(gk.models.GIN.from_task(task, hidden_channels=4), task, max_epochs=1, batch_size=size, lr=1e-12).history[0]
        for size in (12, 5)
    ]
    assert values[0]["train_loss"] == pytest.approx(values[1]["train_loss"], abs=1e-5)


class Rare(gk.samplers.NeighborSampler):
    """Every other batch has no root."""

    def batches(self, data, nodes=None, *arguments, **named):
        for number, batch in enumerate(super().batches(data, nodes, *arguments, **named)):
            if number % 2:
                batch.root_index = batch.root_index[:0]
            yield batch


class AllMissing(Rare):
    def batches(self, data, nodes=None, *arguments, **named):
        for batch in super().batches(data, nodes, *arguments, **named):
            batch.root_index = batch.root_index[:0]
            yield batch


class NoValidation(gk.samplers.NeighborSampler):
    """No batch of validation has a root."""

    def batches(self, data, nodes=None, *arguments, **named):
        for batch in super().batches(data, nodes, *arguments, **named):
            if int(nodes.min()) == 12:
                batch.root_index = batch.root_index[:0]
            yield batch


@pytest.mark.parametrize("loss", [None, F.cross_entropy, "overridden"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_training_batch_without_a_label_teaches_nothing(strategy, loss):
    if "subgraphs" in STRATEGIES[strategy]().cannot() or (loss and "own losses" in STRATEGIES[strategy]().cannot()):
        pytest.skip("not for such tasks")
    plain = tiny.node_task()
    task = own(plain) if loss == "overridden" else NodeTask("t", plain.data, plain.split, loss=loss)
    task = task.sampled(Rare([3, 3]))
    model = gk.models.GCN.from_task(task, hidden_channels=4)
    result = fit(model, task, STRATEGIES[strategy], batch_size=4)
    assert math.isfinite(result.history[-1]["train_loss"])
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_a_run_in_which_nothing_is_judged_says_so():
    task = tiny.node_task().sampled(AllMissing([3, 3], evaluate="sampled"))
    model = gk.models.GCN.from_task(task, hidden_channels=4)
    message = (
        "task 'tiny node multiclass': no batch of the train part of split 'tiny' has a label that is known and counts"
    )
    with pytest.raises(ValueError, match=message):
        fit(model, task)
    task = tiny.node_task().sampled(NoValidation([3, 3], evaluate="sampled"))
    with pytest.raises(ValueError, match=message.replace("train", "val")):
        fit(model, task)


# Labels that every model is right about -----------------------------------------------------------------------------


def test_labels_of_one_class_are_warned_about():
    data = tiny.graph()
    data.y = torch.zeros(24, dtype=torch.long)
    with pytest.warns(UserWarning, match="task 't': all labels are of class 0, so that every answer is right"):
        NodeTask("t", data, tiny.split(24))
    data.y = torch.stack([torch.arange(24) % 2, torch.ones(24)], dim=1).float()
    data.y[3, 1] = NAN
    with pytest.warns(UserWarning, match="task 't': all labels of column 1 are of class 1") as caught:
        NodeTask("t", data, tiny.split(24), "multilabel")
    assert len(caught) == 1


@pytest.mark.filterwarnings("error")
def test_labels_that_are_left_out_or_differ_are_not():
    data = tiny.graph()
    data.y = torch.stack([torch.arange(24) % 2, torch.ones(24)], dim=1).float()
    NodeTask("t", data, tiny.split(24), "multilabel", "roc_auc")
    tiny.node_task("multilabel")
    tiny.node_task()


def test_links_that_no_model_can_miss_are_warned_about():
    plain = tiny.link_task()
    count = plain.split.val_negatives.size(1)
    with pytest.warns(
        UserWarning, match=f"has {count} val negatives, so every model scores 100 % in hits@100, as in OGB"
    ):
        LinkTask("t", plain.graphs[0], plain.split, metric="hits@100")
    fixed = gk.LinkSplit.random(plain.graphs[0].edge_index, 24, 0.2, 0.2, fixed_negatives=True)
    with pytest.warns(UserWarning, match="num_negatives=2 is unused, as split 'random/0' fixes train_negatives"):
        LinkTask("t", plain.graphs[0], fixed, num_negatives=2)
    with pytest.raises(
        ValueError, match=r"num_negatives=1e-09 draws no pair for .* training links, must be at least 0.0"
    ):
        LinkTask("t", plain.graphs[0], plain.split, num_negatives=1e-9)
