"""Accuracy: the share of right classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphkit.metrics.columns import ColumnMetric


class Accuracy(ColumnMetric):
    """The share of right classes; of several columns of 0 and 1, the mean of their shares."""

    name = "accuracy"
    targets: tuple[str, ...] = ("multiclass", "binary", "multilabel")

    def make(self) -> Any:
        from torchmetrics.classification import BinaryAccuracy

        return BinaryAccuracy(validate_args=False)

    def update(self, out: Tensor, label: Tensor) -> None:
        if label.is_floating_point():
            super().update(out, label)
            return
        if not self._columns:
            from torchmetrics.classification import MulticlassAccuracy

            self._columns = [MulticlassAccuracy(out.size(1), average="micro", validate_args=False).to(out.device)]
        self._columns[0].update(out.detach(), label)
