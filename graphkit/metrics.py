"""Metrics by name, computed over all batches of an evaluation, by torchmetrics where it has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
    "roc_auc": MetricInfo(True, True, ("binary", "multilabel", "link")),
    "average_precision": MetricInfo(True, True, ("binary", "multilabel", "link")),
    **{f"hits@{k}": MetricInfo(True, True, ("link",)) for k in (1, 3, 10, 20, 50, 100)},
    "mrr": MetricInfo(True, True, ("link",)),
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
        target: The kind of target: ``"multiclass"``, ``"binary"``, ``"multilabel"``, ``"regression"`` or ``"link"``.
        num_classes: The number of classes, for ``"multiclass"`` (default: 0).

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
        elif self.name in _RANKINGS:
            columns = [(out.view(-1), target.view(-1))]
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
        if self.name in _RANKINGS:
            return _RANKINGS[self.name]()
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


class _HitsAt:
    """Keeps the scores of all links and of the best K negatives."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.reset()

    def to(self, device: torch.device) -> _HitsAt:
        """Does nothing: the state lives where the scores come from."""
        return self

    def reset(self) -> None:
        self.links: list[Tensor] = []
        self.best: Tensor | None = None

    @property
    def update_called(self) -> bool:
        return len(self.links) > 0

    def update(self, score: Tensor, label: Tensor) -> None:
        self.links.append(score[label > 0])
        negatives = score[label == 0] if self.best is None else torch.cat([self.best, score[label == 0]])
        self.best = negatives.topk(min(self.k, negatives.numel())).values

    def compute(self) -> float:
        links = torch.cat(self.links)
        if links.numel() == 0:
            return float("nan")
        if self.best is None or self.best.numel() < self.k:
            return 1.0
        return float((links > self.best[-1]).double().mean())


class _MeanReciprocalRank:
    """Keeps a sum and a count; ranks are found some links at a time, so memory stays small."""

    block = 1 << 22  # pairs at a time

    def __init__(self) -> None:
        self.reset()

    def to(self, device: torch.device) -> _MeanReciprocalRank:
        """Does nothing: the state is two numbers."""
        return self

    def reset(self) -> None:
        self.total, self.count = 0.0, 0

    @property
    def update_called(self) -> bool:
        return self.count > 0

    def update(self, score: Tensor, label: Tensor) -> None:
        first = (label > 0).nonzero().view(-1)
        if first.numel() == 0 or int(first[0]) > 0:
            raise ValueError("mrr needs each link before its own negatives; the first pair is no link")
        ends = torch.cat([first[1:], first.new_tensor([label.numel()])])
        start = 0
        while start < first.numel():
            stop = max(start + 1, int(torch.searchsorted(ends, first[start] + self.block, right=True)))
            self._add(score[first[start] : ends[stop - 1]], (ends - first)[start:stop])
            start = stop

    def _add(self, score: Tensor, sizes: Tensor) -> None:
        group = torch.repeat_interleave(torch.arange(sizes.numel(), device=score.device), sizes)
        own = score[sizes.cumsum(0) - sizes][group]
        # the link ties with itself: half a place too many
        worse = (score > own).double() + 0.5 * (score == own).double()
        rank = torch.zeros(sizes.numel(), dtype=torch.double, device=score.device).index_add_(0, group, worse) + 0.5
        self.total += float(rank.reciprocal().sum())
        self.count += sizes.numel()

    def compute(self) -> float:
        return self.total / self.count


_RANKINGS: dict[str, Callable[[], Any]] = {
    name: partial(_HitsAt, int(name.removeprefix("hits@"))) for name in METRICS if name.startswith("hits@")
} | {"mrr": _MeanReciprocalRank}


def _squash(logits: Tensor) -> Tensor:
    """Map logits to (0, 1), 0 to 1/2, keeping their order: a sigmoid makes ties of confident predictions."""
    logits = logits.double()
    return 0.5 + 0.5 * logits / (1 + logits.abs())
