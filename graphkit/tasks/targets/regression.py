"""Numbers to predict."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from graphkit.metrics import R2, MeanSquaredError
from graphkit.tasks.targets.columns import ColumnTarget


class Regression(ColumnTarget):
    """Columns of numbers, NaN where missing; absolute error, or squared error where the metric is mse, rmse or r2."""

    name = "regression"
    default_metric = "mae"
    zero_or_one = False

    def of_numbers(self, prediction: Tensor, label: Tensor, reduction: str) -> Tensor:
        squared = isinstance(self.metric, MeanSquaredError | R2)
        return (F.mse_loss if squared else F.l1_loss)(prediction, label, reduction=reduction)
