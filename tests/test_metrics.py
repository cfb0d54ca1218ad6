"""Metrics against scikit-learn, over several batches, with missing labels and columns of one class."""

from __future__ import annotations

import math
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.datasets.loaders.ogb import _import_without_version_check
from graphkit.metrics import MeanReciprocalRank, registry, resolve
from tests import tiny

sklearn = pytest.importorskip("sklearn.metrics")


def compute(name, target, out, label):
    metric = resolve(name)
    assert target in metric.targets
    for rows in torch.arange(out.size(0)).split(7):
        metric.update(out[rows], label[rows])
    value = metric.compute()
    metric.reset()
    metric.update(out, label)
    assert metric.compute() == pytest.approx(value, abs=1e-6, nan_ok=True), "batches disagree"
    return value


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def test_multiclass(rng):
    out, label = torch.randn(50, 4, generator=rng), torch.randint(4, (50,), generator=rng)
    assert compute("accuracy", "multiclass", out, label) == pytest.approx(
        sklearn.accuracy_score(label, out.argmax(1)), abs=1e-6
    )


REFERENCES = {
    "accuracy": lambda y, s: sklearn.accuracy_score(y, s > 0),
    "roc_auc": sklearn.roc_auc_score,
    "average_precision": sklearn.average_precision_score,
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_binary(name, scale, rng):
    # large logits saturate in float32: their order, and with it the ranking, must not be lost
    out, label = scale * torch.randn(60, 1, generator=rng), torch.randint(2, (60,), generator=rng).float()
    expected = REFERENCES[name](label.numpy(), out[:, 0].numpy())
    assert compute(name, "binary", out, label) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", REFERENCES)
def test_ties_count_half(name):
    out = torch.tensor([[1.0], [1.0], [-2.0], [1.0]])
    label = torch.tensor([1.0, 0.0, 0.0, 1.0])
    assert compute(name, "binary", out, label) == pytest.approx(REFERENCES[name](label, out[:, 0]), abs=1e-6)


@pytest.mark.parametrize("name", REFERENCES)
def test_multilabel_with_missing_labels_and_columns_of_one_class(name, rng):
    out = torch.randn(40, 4, generator=rng)
    label = torch.randint(2, (40, 4), generator=rng).float()
    label[torch.rand(40, 4, generator=rng) < 0.3] = float("nan")
    label[:, 2] = 1.0
    label[:, 3] = float("nan")
    values = []
    for column in range(4):
        known = ~label[:, column].isnan().numpy()
        y, s = label[:, column].numpy()[known], out[:, column].numpy()[known]
        if len(y) and (name == "accuracy" or len(np.unique(y)) == 2):
            values.append(REFERENCES[name](y, s))
    assert len(values) == (3 if name == "accuracy" else 2)
    assert compute(name, "multilabel", out, label) == pytest.approx(np.mean(values), abs=1e-5)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_one_class_only_is_undefined(name):
    assert math.isnan(compute(name, "binary", torch.randn(5, 1), torch.ones(5)))


def test_regression_with_missing_values(rng):
    out, label = torch.randn(30, 2, generator=rng), torch.randn(30, 2, generator=rng)
    label[::4, 1] = float("nan")
    columns = [(label[:, 0], out[:, 0]), (label[~label[:, 1].isnan(), 1], out[~label[:, 1].isnan(), 1])]
    for name, reference in (
        ("mae", sklearn.mean_absolute_error),
        ("mse", sklearn.mean_squared_error),
        ("rmse", sklearn.root_mean_squared_error),
    ):
        expected = np.mean([reference(y, p) for y, p in columns])
        assert compute(name, "regression", out, label) == pytest.approx(expected, abs=1e-5)


# Of confusion matrices and of ranks, against scikit-learn and scipy

CONFUSION = {
    "f1_macro": partial(sklearn.f1_score, average="macro"),
    "f1_micro": partial(sklearn.f1_score, average="micro"),
    "balanced_accuracy": sklearn.balanced_accuracy_score,
    "mcc": sklearn.matthews_corrcoef,
}


@pytest.mark.filterwarnings("ignore")  # scikit-learn's of classes that do not occur, as here on purpose
@pytest.mark.parametrize("name", CONFUSION)
@pytest.mark.parametrize("seed", range(20))
def test_confusion(name, seed):
    rng, reference = torch.Generator().manual_seed(seed), CONFUSION[name]
    count, classes = (int(torch.randint(2, high, (1,), generator=rng)) for high in (30, 6))
    out, label = torch.randn(count, classes, generator=rng), torch.randint(classes, (count,), generator=rng)
    assert compute(name, "multiclass", out, label) == pytest.approx(reference(label, out.argmax(1)), abs=1e-12)
    out, label = out[:, :1], torch.randint(2, (count,), generator=rng).float()
    assert compute(name, "binary", out, label) == pytest.approx(reference(label, out[:, 0] > 0), abs=1e-12)
    out, label = torch.randn(count, 3, generator=rng), torch.randint(2, (count, 3), generator=rng).float()
    label[torch.rand(count, 3, generator=rng) < 0.2] = float("nan")
    label[:, 2] = float("nan")
    known = ~label.isnan()
    columns = [(label[known[:, c], c], out[known[:, c], c] > 0) for c in range(2) if known[:, c].any()]
    expected = np.mean([(sklearn.f1_score if name == "f1_macro" else reference)(y, p) for y, p in columns])
    if name == "f1_micro":
        expected = sklearn.f1_score(label[known], out[known] > 0)
    assert compute(name, "multilabel", out, label) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("name", ["r2", "spearman"])
def test_predictions_that_follow_labels(name, offset, rng):
    spearman = pytest.importorskip("scipy.stats").spearmanr
    reference = {"r2": sklearn.r2_score, "spearman": lambda y, p: spearman(y, p).statistic}[name]
    out, label = ((2 * torch.randn(30, 3, generator=rng)).round() + offset for _ in range(2))  # with ties
    label[::4, 1] = float("nan")
    label[:, 2] = 3.0
    columns = [(y[~y.isnan()].double(), p[~y.isnan()].double()) for y, p in zip(label.t()[:2], out.t())]
    expected = np.mean([reference(y, p) for y, p in columns])
    assert compute(name, "regression", out, label) == pytest.approx(expected, abs=1e-9)
    small = compute(name, "regression", 1e-4 * (out - offset), 1e-4 * (label - offset))
    assert small == pytest.approx(expected, abs=1e-4), "in any unit"
    assert math.isnan(compute(name, "regression", out[:, 2:], label[:, 2:])), "labels that are all alike"
    assert compute("spearman", "regression", torch.ones(30, 1), label[:, :1]) == 0


def test_every_metric_says_what_is_better():
    own = {name: cls for name, cls in registry.classes().items() if cls.__module__.startswith("graphkit.")}
    worse = {name for name, cls in own.items() if not cls.higher_is_better}
    assert worse == {"mae", "mse", "rmse"}


# Links: an oracle that ranks one link after the other, and OGB's own evaluator.


def hits(k, links, negatives):
    return np.mean([len(negatives) < k or np.sum(negatives >= link) < k for link in links])


def reciprocal_rank(links, negatives):
    ranks = [1 + np.sum(own > link) + np.sum(own == link) / 2 for link, own in zip(links, negatives)]
    return np.mean(1 / np.array(ranks))


def scores(num_links, num_negatives, ties, rng):
    links, negatives = torch.randn(num_links, generator=rng) + 1, torch.randn(num_negatives, generator=rng)
    return ((4 * links).round() / 4, (4 * negatives).round() / 4) if ties else (links, negatives)


@pytest.fixture
def evaluator():
    if find_spec("ogb") is None:
        pytest.skip("ogb is not installed")
    _import_without_version_check()
    from ogb.linkproppred import Evaluator

    return Evaluator


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("k", "dataset"), [(20, "ogbl-ddi"), (50, "ogbl-collab"), (100, "ogbl-ppa")])
@pytest.mark.parametrize("num_negatives", [15, 100, 400])
def test_hits(k, dataset, num_negatives, ties, rng, evaluator):
    links, negatives = scores(130, num_negatives, ties, rng)
    order = torch.randperm(130 + num_negatives, generator=rng)
    out, label = torch.cat([links, negatives])[order], (torch.arange(130 + num_negatives) < 130).float()[order]
    value = compute(f"hits@{k}", "link", out.unsqueeze(1), label)
    assert value == pytest.approx(hits(k, links.numpy(), negatives.numpy()), abs=1e-12)
    theirs = evaluator(dataset).eval({"y_pred_pos": links, "y_pred_neg": negatives})
    assert value == pytest.approx(theirs[f"hits@{k}"], abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("block", [1, 10, 64, 1 << 22])
def test_mean_reciprocal_rank(block, ties, rng, evaluator, monkeypatch):
    monkeypatch.setattr("graphkit.metrics.MeanReciprocalRank.block", block)
    links, negatives = scores(40, 40 * 9, ties, rng)
    negatives = negatives.view(40, 9)
    out, label = torch.cat([links.unsqueeze(1), negatives], dim=1), torch.zeros(40, 10)
    label[:, 0] = 1
    metric = MeanReciprocalRank()
    for part in torch.arange(40).split(7):
        metric.update(out[part].view(-1, 1), label[part].view(-1))
    assert metric.compute() == pytest.approx(reciprocal_rank(links.numpy(), negatives.numpy()), abs=1e-12)
    theirs = evaluator("ogbl-citation2").eval({"y_pred_pos": links, "y_pred_neg": negatives})["mrr_list"]
    assert metric.compute() == pytest.approx(theirs.mean().item(), abs=1e-6)
    metric.reset()
    assert math.isnan(metric.compute())


def test_mean_reciprocal_rank_takes_any_number_of_negatives_per_link():
    metric = MeanReciprocalRank()
    metric.update(torch.tensor([[1.0], [2.0], [0.0], [3.0], [1.0], [2.0]]), torch.tensor([1.0, 0, 0, 1, 1, 0]))
    assert metric.compute() == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    with pytest.raises(ValueError, match="mrr needs each link before its own negatives; the first pair is no link"):
        metric.update(torch.zeros(2, 1), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_areas_of_links(name, rng):
    links, negatives = scores(50, 70, True, rng)
    out, label = torch.cat([links, negatives]), (torch.arange(120) < 50).float()
    assert compute(name, "link", out.unsqueeze(1), label) == pytest.approx(REFERENCES[name](label, out), abs=1e-6)


@pytest.mark.parametrize("name", ["hits@20", "mrr"])
def test_rankings_judge_links_only(name):
    with pytest.raises(ValueError, match=f"metric '{name}' cannot judge a binary target; choose from: accuracy"):
        tiny.node_task("binary", name)


# A user's own


def test_metrics_of_regressions_by_torchmetrics_see_known_labels():
    from torchmetrics.regression import SpearmanCorrCoef

    data = tiny.graph()
    data.y = torch.randn(24)
    data.y[::5] = float("nan")
    task = gk.NodeTask("t", data, tiny.split(24), "regression", SpearmanCorrCoef)
    metric, out = task.fresh_metric(), torch.randn(24, 1)
    metric.update(out, task.labels)
    assert metric.compute() == pytest.approx(compute("spearman", "regression", out, task.labels), abs=1e-5)
    data.y = torch.stack([data.y, data.y], dim=1)
    with pytest.raises(ValueError, match=r"would see missing labels \(NaN\) of several columns; write a subclass"):
        gk.NodeTask("t", data, tiny.split(24), "regression", SpearmanCorrCoef)
