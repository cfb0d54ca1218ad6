"""Metrics by name, computed by torchmetrics over all batches of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphkit.core.validate import check_choice


@dataclass(frozen=True)
class MetricInfo:
    """What a metric's number means.

    Attributes:
        higher_is_better: Whether a larger value is a better one.
        percent: Whether tables print it times 100.
        targets: The kinds of target it can judge.
    """

    higher_is_better: bool
    percent: bool
    targets: tuple[str, ...]


METRICS: dict[str, MetricInfo] = {
    "accuracy": MetricInfo(True, True, ("multiclass", "binary", "multilabel")),
    "exact_match": MetricInfo(True, True, ("multilabel",)),
    "roc_auc": MetricInfo(True, True, ("binary", "multilabel")),
    "average_precision": MetricInfo(True, True, ("binary", "multilabel")),
    "mae": MetricInfo(False, False, ("regression",)),
    "mse": MetricInfo(False, False, ("regression",)),
    "rmse": MetricInfo(False, False, ("regression",)),
}


class Metric:
    r"""One metric: :meth:`update` per batch, :meth:`compute` at the end, :meth:`reset` before the next evaluation.

    Several columns (multilabel) are judged one by one and averaged, as OGB does: a missing label (NaN) is left out, and
    for the rank metrics so is a column in which only one class occurs.

    Args:
        name: A key of ``METRICS``.
        target: The kind of target: ``"multiclass"``, ``"binary"``, ``"multilabel"`` or ``"regression"``.
        num_classes: The number of classes, for ``"multiclass"``.

    Raises:
        ValueError: If the name is unknown or does not fit the target.

    Example:
        >>> metric = Metric("accuracy", "multiclass", num_classes=2)
        >>> metric.update(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 0]))
        >>> metric.compute()
        0.5
    """

    def __init__(self, name: str, target: str, num_classes: int = 0) -> None:
        check_choice(name, METRICS, "metric")
        if target not in METRICS[name].targets:
            fitting = [other for other, info in METRICS.items() if target in info.targets]
            raise ValueError(f"metric {name!r} cannot judge a {target} target; choose from: {', '.join(fitting)}")
        self.name = name
        self.target = target
        self.num_classes = num_classes
        self.info = METRICS[name]
        self._columns: list[Any] = []

    def update(self, out: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            out: The model's raw outputs (logits, or values of a regression), of shape ``[n, num_outputs]``.
            target: The labels, of shape ``[n]`` or ``[n, num_outputs]``.
        """
        out = out.detach()
        if self.target == "multiclass":
            columns = [(out, target)]
        else:
            labels = target.view(out.size(0), -1)
            predictions = out if self.target == "regression" else _squash(out)
            if self.name == "exact_match":
                right = (((predictions > 0.5) == (labels > 0.5)) | torch.isnan(labels)).all(1, keepdim=True)
                predictions, labels = right.float(), torch.ones_like(labels[:, :1])
            columns = list(zip(predictions.view(out.size(0), -1).unbind(1), labels.unbind(1), strict=True))
        if not self._columns:
            self._columns = [self._new().to(out.device) for _ in columns]
        for metric, (prediction, label) in zip(self._columns, columns, strict=True):
            if self.target == "multiclass":
                metric.update(prediction, label)
                continue
            known = ~torch.isnan(label)
            if not known.any():
                continue
            known_label = label[known] if self.target == "regression" else label[known].long()
            metric.update(prediction[known], known_label)

    def reset(self) -> None:
        """Forget all batches."""
        for metric in self._columns:
            metric.reset()

    def compute(self) -> float:
        """The value over everything since the start; NaN if no column has a defined value."""
        values = [float(metric.compute()) for metric in self._columns if self._defined(metric)]
        return sum(values) / len(values) if values else float("nan")

    def _new(self) -> Any:
        import torchmetrics.classification as classification
        import torchmetrics.regression as regression

        if self.target == "multiclass":
            return classification.MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)
        return {
            "accuracy": lambda: classification.BinaryAccuracy(validate_args=False),
            "exact_match": lambda: classification.BinaryAccuracy(validate_args=False),
            "roc_auc": lambda: classification.BinaryAUROC(validate_args=False),
            "average_precision": lambda: classification.BinaryAveragePrecision(validate_args=False),
            "mae": regression.MeanAbsoluteError,
            "mse": regression.MeanSquaredError,
            "rmse": lambda: regression.MeanSquaredError(squared=False),
        }[self.name]()

    def _defined(self, metric: Any) -> bool:
        if not metric.update_called:  # every label of the column was missing
            return False
        if self.name not in ("roc_auc", "average_precision"):
            return True
        labels = torch.cat([chunk.view(-1) for chunk in metric.target])
        return bool(labels.min() != labels.max())


def _squash(logits: Tensor) -> Tensor:
    """Map logits to (0, 1), 0 to 1/2, keeping their order: a sigmoid makes ties of confident predictions."""
    logits = logits.double()
    return 0.5 + 0.5 * logits / (1 + logits.abs())
