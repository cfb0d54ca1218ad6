"""Metrics of the confusion matrix: which classes are taken for which."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from graphkit.metrics.base import Metric


class ConfusionMetric(Metric):
    """A function of the counts of right and predicted classes, as scikit-learn has it.

    Predicted is the largest output, or 1 where an output is above 0. Of several columns of 0 and 1, each has a matrix;
    missing labels (NaN), and columns without a known one, are left out. A single column (a binary target) has two
    classes.
    """

    targets = ("multiclass", "binary", "multilabel")

    counts: Tensor | None

    def __init__(self) -> None:
        self.reset()

    def update(self, out: Tensor, label: Tensor) -> None:
        out = out.detach()
        if label.is_floating_point():
            self.columns = label.dim() > 1
            label = label.view(out.size(0), -1)
            known, classes, predicted = ~torch.isnan(label), 2, (out > 0).long()
        else:
            label, predicted = label.view(-1, 1), out.argmax(1, keepdim=True)
            known, classes = label >= 0, out.size(1)
        pairs = torch.nan_to_num(label).long() * classes + predicted
        pairs += torch.arange(label.size(1), device=out.device) * classes**2
        counts = torch.bincount(pairs[known], minlength=label.size(1) * classes**2).view(-1, classes, classes).cpu()
        self.counts = counts if self.counts is None else self.counts + counts

    def compute(self) -> float:
        counts = torch.empty(0) if self.counts is None else self.counts[self.counts.sum((1, 2)) > 0].double()
        return float(self.of(counts)) if counts.numel() else float("nan")

    def reset(self) -> None:
        self.counts = None
        self.columns = False

    @abstractmethod
    def of(self, counts: Tensor) -> Tensor:
        """The value from counts ``[matrices, classes, classes]``: right classes in rows, predicted ones in columns."""


class F1Macro(ConfusionMetric):
    r"""The mean of the F1 scores of all classes that occur, or of the classes 1 of all columns.

    .. math::
        F_1 = \frac{2 \, TP}{2 \, TP + FP + FN}
    """

    name = "f1_macro"

    def of(self, counts: Tensor) -> Tensor:
        twice_right, all_named = self.sums(counts)
        if not self.columns:
            twice_right, all_named = twice_right[all_named > 0], all_named[all_named > 0]
        return (twice_right / all_named.clamp(min=1)).mean()

    def sums(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Numerators and denominators of the F1 scores."""
        first = 1 if self.columns else 0
        twice_right = 2 * counts.diagonal(dim1=1, dim2=2)[:, first:]
        return twice_right, (counts.sum(1) + counts.sum(2))[:, first:]


class F1Micro(F1Macro):
    """The F1 score of all classes, or of the classes 1 of all columns, counted together; of one label the accuracy."""

    name = "f1_micro"

    def of(self, counts: Tensor) -> Tensor:
        twice_right, all_named = self.sums(counts)
        return twice_right.sum() / all_named.sum().clamp(min=1)


class BalancedAccuracy(ConfusionMetric):
    """The mean over classes of the share of their examples that are right; of several columns, the mean of theirs."""

    name = "balanced_accuracy"

    def of(self, counts: Tensor) -> Tensor:
        examples = counts.sum(2)
        recall = counts.diagonal(dim1=1, dim2=2) / examples.clamp(min=1)
        return (recall.sum(1) / (examples > 0).sum(1)).mean()


class MatthewsCorrelation(ConfusionMetric):
    """Matthews' correlation coefficient, 0 where one class alone is predicted; of columns the mean of theirs."""

    name = "mcc"
    percent = False

    def of(self, counts: Tensor) -> Tensor:
        labels, predicted, total = counts.sum(2), counts.sum(1), counts.sum((1, 2))
        covariance = counts.diagonal(dim1=1, dim2=2).sum(1) * total - (labels * predicted).sum(1)
        squares = (total.square() - labels.square().sum(1)) * (total.square() - predicted.square().sum(1))
        return torch.where(squares > 0, covariance / squares.clamp(min=1).sqrt(), 0).mean()
