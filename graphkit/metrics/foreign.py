"""Metrics of other libraries, such as torchmetrics."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from graphkit.metrics.base import Metric


class ForeignMetric(Metric):
    """An object with ``update``, ``compute``, ``reset`` and ``higher_is_better``, called with outputs and labels.

    Args:
        metric: The object; it is copied.

    Raises:
        TypeError: If it has no such methods, or does not say whether a larger value is a better one.
    """

    percent = False

    def __init__(self, metric: Any) -> None:
        self.name = type(metric).__name__
        if not all(hasattr(metric, method) for method in ("update", "compute", "reset")):
            raise TypeError(
                f"metric is of type {self.name}, which has no update, compute and reset; give a name such as "
                "'accuracy', a subclass of graphkit.metrics.Metric, or a metric of torchmetrics"
            )
        if getattr(metric, "higher_is_better", None) is None:
            raise TypeError(
                f"metric {self.name} does not say whether a larger value is a better one; set its higher_is_better"
            )
        self.metric, self.higher_is_better = copy.deepcopy(metric), metric.higher_is_better

    def update(self, out: Tensor, label: Tensor) -> None:
        if hasattr(self.metric, "to"):
            self.metric = self.metric.to(out.device)
        self.metric.update(out.detach(), label)

    def compute(self) -> float:
        return float(self.metric.compute())

    def reset(self) -> None:
        self.metric.reset()
