"""The mean absolute error."""

from __future__ import annotations

from typing import Any

from graphkit.metrics.columns import ErrorMetric


class MeanAbsoluteError(ErrorMetric):
    """The mean distance between prediction and label."""

    name = "mae"

    def make(self) -> Any:
        from torchmetrics.regression import MeanAbsoluteError

        return MeanAbsoluteError()
