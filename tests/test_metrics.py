"""Metrics against scikit-learn, over several batches, with missing labels and columns of one class."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graphkit.metrics import METRICS, Metric

sklearn = pytest.importorskip("sklearn.metrics")


def compute(name, target, out, label, num_classes=0):
    metric = Metric(name, target, num_classes)
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
    assert compute("accuracy", "multiclass", out, label, 4) == pytest.approx(
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


def test_every_metric_says_what_is_better():
    better = {name for name, info in METRICS.items() if info.higher_is_better}
    assert better == {"accuracy", "exact_match", "roc_auc", "average_precision"}
