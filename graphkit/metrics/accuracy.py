"""Accuracy: the share of right classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.metrics.columns import ColumnMetric


class Accuracy(ColumnMetric):
    """The share of right classes; of several columns of 0 and 1, the mean of their shares."""

    name = "accuracy"
    targets: tuple[str, ...] = ("multiclass", "binary", "multilabel")

    def __init__(self) -> None:
        super().__init__()
        self._right, self._count = torch.zeros((), dtype=torch.long), 0

    def make(self) -> Any:
        from torchmetrics.classification import BinaryAccuracy

        return BinaryAccuracy(validate_args=False)

    def update(self, out: Tensor, label: Tensor) -> None:
        if label.is_floating_point():
            super().update(out, label)
            return
        # As torchmetrics' MulticlassAccuracy, which takes longer than a small model.
        self._right = self._right + (out.detach().argmax(1) == label).sum()
        self._count += label.numel()

    def compute(self) -> float:
        return float(self._right.float() / self._count) if self._count else super().compute()

    def reset(self) -> None:
        super().reset()
        self._right, self._count = torch.zeros_like(self._right), 0
