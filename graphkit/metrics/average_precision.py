"""Average precision: the area under the precision-recall curve."""

from __future__ import annotations

from typing import Any

from graphkit.metrics.columns import RankMetric


class AveragePrecision(RankMetric):
    """The mean precision over recalls, also called the area under the precision-recall curve."""

    name = "average_precision"

    def make(self) -> Any:
        from torchmetrics.classification import BinaryAveragePrecision

        return BinaryAveragePrecision(validate_args=False)
