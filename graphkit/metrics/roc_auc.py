"""The area under the ROC curve."""

from __future__ import annotations

from typing import Any

from graphkit.metrics.columns import RankMetric


class RocAUC(RankMetric):
    """The area under the receiver operating characteristic: how often a positive example scores above a negative."""

    name = "roc_auc"
    margin, cap = 0.005, 0.025

    def make(self) -> Any:
        from torchmetrics.classification import BinaryAUROC

        return BinaryAUROC(validate_args=False)
