"""Weights of classes and of positive labels in every loss."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import graphkit as gk
from graphkit import GraphTask, NodeTask
from tests import tiny
from tests.losses import fit, node_task, pair, same


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
