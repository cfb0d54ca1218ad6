"""How well predictions follow labels: the coefficient of determination, and Spearman's rank correlation."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from graphkit.metrics.base import Metric


class FollowingMetric(Metric):
    """A function of all predictions and known labels of a column, of several the mean; it keeps them in memory.

    A column whose known labels are all alike has no value.
    """

    percent = False
    targets = ("regression",)

    def __init__(self) -> None:
        self.reset()

    def update(self, out: Tensor, label: Tensor) -> None:
        self.batches.append((out.detach().cpu().double(), label.cpu().view_as(out)))

    def compute(self) -> float:
        out, label = (torch.cat(parts).unbind(1) for parts in zip(*self.batches, strict=True))
        values = []
        for prediction, truth in zip(out, label, strict=True):
            known = ~torch.isnan(truth)
            if truth[known].unique().numel() > 1:
                values.append(float(self.of(prediction[known], truth[known].double())))
        return sum(values) / len(values) if values else float("nan")

    def reset(self) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []

    @abstractmethod
    def of(self, out: Tensor, label: Tensor) -> Tensor:
        """The value from predictions and labels ``[n]``."""


class R2(FollowingMetric):
    r"""The coefficient of determination :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2`.

    That of torchmetrics is 0 or 1 where squared errors are below 1e-4.
    """

    name = "r2"
    squares = True

    def of(self, out: Tensor, label: Tensor) -> Tensor:
        return 1 - (label - out).square().sum() / (label - label.mean()).square().sum()


class Spearman(FollowingMetric):
    """Spearman's rank correlation; equal values have the mean of their ranks, and predictions all alike give 0."""

    name = "spearman"

    def of(self, out: Tensor, label: Tensor) -> Tensor:
        first, second = (ranks - ranks.mean() for ranks in (_ranks(out), _ranks(label)))
        return (first @ second) / (first.norm() * second.norm()) if first.any() else first.sum()


def _ranks(values: Tensor) -> Tensor:
    _, position, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2).double()[position]
