"""Metrics of a user and of other libraries: by name, class, instance or function; what cannot judge is refused."""

from __future__ import annotations

from functools import partial

import pytest
import torch

import graphkit as gk
from graphkit.metrics import Metric, is_percent, resolve
from graphkit.transforms.rewiring import RandomEdges
from tests import tiny

sklearn = pytest.importorskip("sklearn.metrics")


class Within(Metric):
    """The share of values that are off by at most one half."""

    name, targets = "within", ("regression",)

    def __init__(self):
        self.reset()

    def update(self, out, label):
        self.hits.append((out - label).abs() <= 0.5)

    def compute(self):
        return float(torch.cat(self.hits).float().mean())

    def reset(self):
        self.hits = []


@pytest.mark.parametrize("given", ["within", Within, Within()])
def test_a_users_own_metric_is_a_name_a_class_or_an_instance(given):
    task = tiny.node_task("regression", given)
    assert (task.metric, task.higher_is_better) == ("within", True)
    assert task.transform(RandomEdges(2)).metric == "within", "it survives a transform"
    trainer = gk.Trainer(max_epochs=2, progress=False)
    result = trainer.fit(gk.models.MLP.from_task(task, hidden_channels=4), task)
    prediction, label = trainer.predict(task)
    assert result.test == pytest.approx(((prediction - label).abs() <= 0.5).float().mean().item())
    assert {"val_within"} < set(result.history[0])
    assert is_percent("within")
    with pytest.raises(ValueError, match="metric 'within' cannot judge a multiclass target"):
        tiny.node_task("multiclass", given)


def test_metrics_of_torchmetrics_judge_raw_outputs():
    from torchmetrics.classification import MulticlassF1Score

    given = MulticlassF1Score(3)
    task = tiny.node_task("multiclass", given)
    trainer = gk.Trainer(max_epochs=3, progress=False)
    result = trainer.fit(gk.models.GCN.from_task(task, hidden_channels=8), task)
    prediction, label = trainer.predict(task)
    assert result.test == pytest.approx(sklearn.f1_score(label, prediction.argmax(1), average="macro"), abs=1e-6)
    assert result.metric == "MulticlassF1Score"
    assert "MulticlassF1Score 0." in str(result), "printed as it is, not as a percentage"
    assert not given.update_called, "the user's object is not written to"


def test_what_is_no_metric_says_so():
    from torchmetrics.classification import MulticlassF1Score

    with pytest.raises(
        TypeError, match=r"metric MulticlassF1Score has no default arguments \(.*num_classes.*; give an ins"
    ):
        tiny.node_task("multiclass", MulticlassF1Score)
    with pytest.raises(TypeError, match="metric is of type int, which has no update, compute and reset"):
        tiny.node_task("multiclass", 3)
    from torchmetrics import CatMetric

    with pytest.raises(TypeError, match="CatMetric does not say whether a larger value is a better one"):
        tiny.node_task("multiclass", CatMetric())


@pytest.mark.parametrize("target", ["binary", "multilabel"])
def test_metrics_of_torchmetrics_get_probabilities_and_integers(target):
    from torchmetrics import classification

    name = "BinaryF1Score" if target == "binary" else "MultilabelF1Score"
    given = classification.BinaryF1Score() if target == "binary" else classification.MultilabelF1Score(2)
    plain = tiny.node_task(target)
    plain.data.y = plain.data.y.nan_to_num(0)
    task = gk.NodeTask("t", plain.data, plain.split, target, given)
    label = task.labels[task.split.train]
    out = 0.4 * torch.rand(12, task.num_outputs) + 0.05  # logits that look like probabilities are none
    metric = task.fresh_metric()
    metric.update(out, label)
    expected = sklearn.f1_score(label, torch.ones_like(label), average="binary" if target == "binary" else "macro")
    assert (metric.name, metric.compute()) == (name, pytest.approx(expected))


def within_one(prediction, label):
    return float(((prediction - label).abs() < 1).float().mean())


def median_error(prediction, label):
    return (prediction - label).abs().median()


median_error.higher_is_better = False


@pytest.mark.parametrize("function", [within_one, median_error])
def test_a_function_is_a_metric(function):
    task = tiny.node_task("regression", function)
    assert (task.metric, task.higher_is_better) == (function.__name__, function is within_one)
    trainer = gk.Trainer(max_epochs=3, progress=False)
    result = trainer.fit(gk.models.MLP.from_task(task, hidden_channels=4), task)
    prediction, label = trainer.predict(task)
    assert result.test == pytest.approx(float(function(prediction, label)))
    best = max if task.higher_is_better else min
    assert result.val == best(row[f"val_{function.__name__}"] for row in result.history)
    assert task.transform(RandomEdges(2)).metric == function.__name__
    assert tiny.node_task("regression", partial(function)).metric == f"{function.__name__}()"


@pytest.mark.parametrize(
    ("function", "larger"),
    [
        (sklearn.r2_score, True),
        (sklearn.mean_absolute_percentage_error, False),
        (partial(sklearn.mean_pinball_loss, alpha=0.9), False),
    ],
)
def test_a_function_of_scikit_learn_gets_the_labels_first_and_falls_where_its_name_says_so(function, larger):
    out, label = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    label[3] = torch.nan
    metric, known = resolve(function), ~label.isnan()
    for rows in torch.arange(12).split(7):
        metric.update(out[rows, None], label[rows, None])
    right, turned = function(label[known], out[known]), function(out[known], label[known])
    assert abs(right - turned) > 0.1, "the order must matter here"
    assert metric.compute() == pytest.approx(right)
    assert metric.higher_is_better is larger


@pytest.mark.parametrize(
    ("target", "metric", "message"),
    [
        ("multiclass", lambda out, label: out, r"metric lambda fails for outputs \[12, 3\] .*gives tensor"),
        ("multiclass", lambda out, label: out.missing, "metric lambda fails .*has no attribute 'missing'"),
        ("regression", sklearn.accuracy_score, "metric accuracy_score fails for outputs .* of torch.float32"),
        (
            "multiclass",
            sklearn.f1_score,
            r"; if it is of classes, give lambda out, label: f1_score\(label, out.argmax\(1\)\)",
        ),
    ],
)
def test_a_metric_that_cannot_judge_a_task_is_refused_when_it_is_made(target, metric, message):
    with pytest.raises(ValueError, match=message):
        tiny.node_task(target, metric)


@pytest.mark.parametrize(
    ("name", "meant"), [("f1", "f1_macro"), ("acc", "accuracy"), ("auc", "roc_auc"), ("ap", "average_precision")]
)
def test_other_names_of_metrics_are_answered_with_what_is_meant(name, meant):
    with pytest.raises(ValueError, match=f"unknown metric '{name}'; did you mean '{meant}'"):
        resolve(name)


def test_any_k_of_hits_has_a_name():
    metric = resolve("hits@2")
    metric.update(torch.tensor([[3.0], [1.0], [2.5], [2.0]]), torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert (metric.name, metric.compute()) == ("hits@2", 0.5)
    for bad in ("hits@0", "hits", "hits@x", "mrr@x", "auc@3"):
        with pytest.raises(ValueError, match=f"unknown metric '{bad}'"):
            resolve(bad)
