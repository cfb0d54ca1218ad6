"""Metrics: one class and file each, found by name, computed by torchmetrics where it has them."""

from __future__ import annotations

from typing import Any

from graphkit.core.registry import Registry
from graphkit.metrics.accuracy import Accuracy
from graphkit.metrics.average_precision import AveragePrecision
from graphkit.metrics.base import Metric
from graphkit.metrics.class_hits import ClassHitsAt
from graphkit.metrics.confusion import BalancedAccuracy, F1Macro, F1Micro, MatthewsCorrelation
from graphkit.metrics.correlation import R2, Spearman
from graphkit.metrics.exact_match import ExactMatch
from graphkit.metrics.foreign import ForeignMetric, FunctionMetric, GivenMetric
from graphkit.metrics.hits import HitsAt
from graphkit.metrics.mean_absolute_error import MeanAbsoluteError
from graphkit.metrics.mean_reciprocal_rank import MeanReciprocalRank
from graphkit.metrics.mean_squared_error import MeanSquaredError, RootMeanSquaredError
from graphkit.metrics.ranking import F1At, MAPAt, MRRAt, NDCGAt, PrecisionAt, RecallAt
from graphkit.metrics.roc_auc import RocAUC

__all__ = [
    "R2",
    "Accuracy",
    "AveragePrecision",
    "BalancedAccuracy",
    "ClassHitsAt",
    "ExactMatch",
    "F1At",
    "F1Macro",
    "F1Micro",
    "GivenMetric",
    "HitsAt",
    "MAPAt",
    "MRRAt",
    "MatthewsCorrelation",
    "MeanAbsoluteError",
    "MeanReciprocalRank",
    "MeanSquaredError",
    "Metric",
    "NDCGAt",
    "PrecisionAt",
    "RecallAt",
    "RocAUC",
    "RootMeanSquaredError",
    "Spearman",
    "find",
    "format_score",
    "is_percent",
    "registry",
    "resolve",
]

registry: Registry[Metric] = Registry("metric", Metric, __name__)


def resolve(metric: str | type | Any) -> Metric:
    """A new metric, by its name, its class or an instance; those of torchmetrics, and functions, are wrapped.

    Args:
        metric: A name such as ``"accuracy"`` or ``"hits@20"``, a class, or an object with ``update``, ``compute``,
            ``reset`` and ``higher_is_better``; or a function of all outputs and labels, of which larger values are
            better unless it has an attribute ``higher_is_better=False``; those of scikit-learn get the labels first.

    Raises:
        ValueError: If there is no metric of this name.
        TypeError: If it is no metric, or a class that needs arguments.

    Example:
        >>> resolve("hits@20").k
        20
    """
    if isinstance(metric, str):
        number, cls = metric.partition("@")[2], find(metric)
        return cls(int(number)) if number.isdigit() else cls()  # type: ignore[call-arg]
    try:
        made = metric() if isinstance(metric, type) else metric
    except TypeError as error:
        raise TypeError(f"metric {metric.__name__} has no default arguments ({error}); give an instance") from error
    if isinstance(made, Metric):
        return made
    return FunctionMetric(made) if callable(made) and not hasattr(made, "update") else ForeignMetric(made)


def find(name: str) -> type[Metric]:
    """The class of a metric's name, which says whether higher is better and whether it is a share.

    Args:
        name: The name; ``"hits@20"`` stands for K = 20.

    Raises:
        ValueError: If there is no metric of this name.
    """
    word, _, number = name.partition("@")
    if number.isdigit() and int(number) > 0 and f"{word}@K" in registry.classes():
        name = f"{word}@K"
    return registry.get(name)


def is_percent(name: str) -> bool:
    """Whether tables print a metric times 100; one that is not of graphkit is printed as it is.

    Args:
        name: The name.
    """
    try:
        return find(name).percent
    except ValueError:
        return False


def format_score(value: float | None, metric: str) -> str:
    """A score as tables print it: shares in percent, errors as they are.

    Args:
        value: The score, if it is known.
        metric: The metric's name.
    """
    if value is None:
        return "unknown"
    return f"{100 * value:.2f} %" if is_percent(metric) else f"{value:.4f}"
