"""The mean squared error and its root."""

from __future__ import annotations

from typing import Any

from graphkit.metrics.columns import ErrorMetric


class MeanSquaredError(ErrorMetric):
    """The mean square of the distance between prediction and label."""

    name = "mse"
    squares = True
    squared = True

    def make(self) -> Any:
        from torchmetrics.regression import MeanSquaredError

        return MeanSquaredError(squared=self.squared)


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean squared error."""

    name = "rmse"
    squared = False
