"""Metrics of torchmetrics, column by column."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from graphkit.metrics.base import Metric


class ColumnMetric(Metric):
    """The mean over columns of a metric of torchmetrics; missing labels (NaN) are left out, as OGB does."""

    def __init__(self) -> None:
        self._columns: list[Any] = []

    @abstractmethod
    def make(self) -> Any:
        """The metric of one column."""

    def compared(self, out: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and known labels of one column ``[n]`` as its metric takes them (default: in (0, 1), and 0 or 1)."""
        return squash(out), label.long()

    def is_defined(self, metric: Any) -> bool:
        """Whether a column has a value: it has not where all labels are missing."""
        return metric.update_called

    def update(self, out: Tensor, label: Tensor) -> None:
        outputs, labels = (values.view(out.size(0), -1).unbind(1) for values in (out.detach(), label))
        if not self._columns:
            self._columns = [self.make().to(out.device) for _ in labels]
        for metric, output, values in zip(self._columns, outputs, labels, strict=True):
            known = ~torch.isnan(values)
            if known.any():
                metric.update(*self.compared(output[known], values[known]))

    def compute(self) -> float:
        values = [float(metric.compute()) for metric in self._columns if self.is_defined(metric)]
        return sum(values) / len(values) if values else float("nan")

    def reset(self) -> None:
        for metric in self._columns:
            metric.reset()


class RankMetric(ColumnMetric):
    """A metric of the order of scores; a column in which only one class occurs has none."""

    targets = ("binary", "multilabel", "link")

    def is_defined(self, metric: Any) -> bool:
        if not super().is_defined(metric):
            return False
        labels = torch.cat([chunk.view(-1) for chunk in metric.target])
        return bool(labels.min() != labels.max())


class ErrorMetric(ColumnMetric):
    """An error of a regression."""

    higher_is_better = False
    percent = False
    margin, cap, relative = 0.05, 0.25, True
    targets = ("regression",)

    def compared(self, out: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        return out, label


def squash(logits: Tensor) -> Tensor:
    """Map logits to (0, 1), 0 to 1/2, keeping their order: a sigmoid makes ties of confident predictions."""
    logits = logits.double()
    return 0.5 + 0.5 * logits / (1 + logits.abs())
