"""Metrics that are not graphkit's: objects such as those of torchmetrics, and functions."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphkit.core.text import callable_name
from graphkit.metrics.base import Metric


class GivenMetric(Metric):
    """What is not graphkit's: it sees known labels only, and a single column as ``[n]``.

    Args:
        metric: What a task was given as ``metric=``.
    """

    percent = False

    def __init__(self, metric: Any) -> None:
        self.name = callable_name(metric).strip("<>")

    def known(self, out: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and labels that a metric can compare.

        Raises:
            ValueError: If a label of several columns is missing.
        """
        out = out.detach()
        if not label.is_floating_point():
            return out, label
        label = label.view_as(out)
        if out.size(1) == 1:
            known = ~torch.isnan(label)
            return out[known], label[known]
        if torch.isnan(label).any():
            raise ValueError(
                f"metric {self.name} is not of graphkit and would see missing labels (NaN) of several columns; write a "
                "subclass of graphkit.metrics.Metric that leaves them out"
            )
        return out, label

    def number(self, value: Any) -> float:
        """The value as a number.

        Raises:
            TypeError: If it is none.
        """
        if isinstance(value, bool | dict | str) or getattr(value, "numel", lambda: 1)() != 1:
            raise TypeError(f"metric {self.name} gives {value!r}, must be one number, e.g. by average='macro'")
        return float(value)


class ForeignMetric(GivenMetric):
    """An object with ``update``, ``compute``, ``reset`` and ``higher_is_better``, called with outputs and labels.

    A metric of ``torchmetrics.classification`` gets what it expects: probabilities, and classes as integers.

    Args:
        metric: The object; it is copied.

    Raises:
        TypeError: If it has no such methods, or does not say whether a larger value is a better one.
    """

    def __init__(self, metric: Any) -> None:
        super().__init__(metric)
        if not all(hasattr(metric, method) for method in ("update", "compute", "reset")):
            raise TypeError(
                f"metric is of type {self.name}, which has no update, compute and reset; give a name such as "
                "'accuracy', a subclass of graphkit.metrics.Metric, a metric of torchmetrics, or a function of "
                "predictions and labels"
            )
        if getattr(metric, "higher_is_better", None) is None:
            raise TypeError(
                f"metric {self.name} does not say whether a larger value is a better one; set its higher_is_better"
            )
        self.metric, self.higher_is_better = copy.deepcopy(metric), metric.higher_is_better
        self.classifies = type(metric).__module__.startswith("torchmetrics.classification")

    def update(self, out: Tensor, label: Tensor) -> None:
        out, label = self.known(out, label)
        if self.classifies:
            out = out.double().sigmoid() if label.is_floating_point() else out.softmax(-1)
            label = label.long()
        if hasattr(self.metric, "to"):
            self.metric = self.metric.to(out.device)
        self.metric.update(out, label)

    def compute(self) -> float:
        return self.number(self.metric.compute())

    def reset(self) -> None:
        self.metric.reset()


class FunctionMetric(GivenMetric):
    """A function of all predictions and labels of an evaluation, which are kept until its end.

    Larger values are better, unless the function has an attribute ``higher_is_better`` that is false. One whose first
    argument is ``y_true``, as in ``sklearn.metrics``, gets arrays, the labels first; of these, smaller values of what
    is called ``..._error``, ``..._loss`` or ``..._deviance`` are better.

    Args:
        function: Called with the raw outputs ``[n, num_outputs]`` and labels, both ``[n]`` for a single column of
            numbers; returns a number.

    Example:
        >>> metric = FunctionMetric(lambda prediction, label: (prediction.argmax(1) == label).float().mean())
        >>> metric.update(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 0]))
        >>> metric.compute()
        0.5
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.function, self.labels_first = function, _takes_labels_first(function)
        falls = self.labels_first and self.name.partition("(")[0].endswith(("_error", "_loss", "_deviance"))
        self.higher_is_better = bool(getattr(function, "higher_is_better", not falls))
        self.reset()

    def update(self, out: Tensor, label: Tensor) -> None:
        self.batches.append(self.known(out, label))

    def compute(self) -> float:
        out, label = (torch.cat(parts) for parts in zip(*self.batches, strict=True))
        if self.labels_first:
            return self.number(self.function(label.cpu().numpy(), out.cpu().numpy()))
        return self.number(self.function(out, label))

    def reset(self) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []


def _takes_labels_first(function: Callable[..., Any]) -> bool:
    try:
        return next(iter(inspect.signature(function).parameters), "") == "y_true"
    except ValueError:  # some that are written in C tell nothing
        return False
