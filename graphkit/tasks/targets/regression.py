"""Numbers to predict."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from graphkit.tasks.targets.columns import ColumnTarget


class Regression(ColumnTarget):
    """Columns of numbers, NaN where missing; squared error for metrics of squares and class_hits@K, else absolute."""

    name = "regression"
    default_metric = "mae"
    zero_or_one = False

    def of_numbers(self, prediction: Tensor, label: Tensor, reduction: str) -> Tensor:
        return (F.mse_loss if self.metric.squares else F.l1_loss)(prediction, label, reduction=reduction)
