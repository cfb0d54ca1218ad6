"""What the experts of a mixture are worth, apart and together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from graphkit.core.constraints import checked
from graphkit.core.evaluating import evaluating
from graphkit.models import Mowst, MowstStar
from graphkit.models.base import required_by
from graphkit.models.mixture.mowst import two_columns


@dataclass(frozen=True)
class Experts:
    r"""Scores of the experts and of their mixture.

    Attributes:
        weak: The metric of the weak expert alone.
        strong: The metric of the strong one alone.
        mixture: The metric of the model.
        expected_accuracy: How often the expert is right that is drawn for a row, the weak one with the probability c:
            the mean of :math:`c \,[\text{weak is right}] + (1 - c) \,[\text{strong is right}]`.
        confidence: The mean of c.
    """

    weak: float
    strong: float
    mixture: float
    expected_accuracy: float
    confidence: float


@checked
@torch.no_grad()
def experts(model: Mowst | MowstStar, task: Any, stage: Literal["train", "val", "test"] = "test") -> Experts:
    """Judge the experts of a Mowst, in evaluation mode, and how often one that is drawn is right, without drawing.

    Args:
        model: The model.
        task: The task, whose labels are classes.
        stage: What is judged (default: ``"test"``).

    Raises:
        ValueError: If labels are no classes.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> report = experts(gk.models.Mowst.from_task(task), task)
        >>> 0 < report.confidence < 1
        True
    """
    model.check_task(task)
    transform = required_by(model)
    task = task if transform is None else task.transform(transform)
    metrics, rows = [task.fresh_metric() for _ in range(3)], []
    with evaluating(model):
        for batch in task.batches(stage):
            weak, confidence = model.trusted(batch)
            strong = model.strong(batch)
            outputs = weak, strong, model.joined(weak, confidence, strong)
            judged = [task.judged(lambda batch, stage, out=out: out, batch, stage) for out in outputs]
            for metric, one in zip(metrics, judged, strict=True):
                metric.update(*one)
            share = task.select(confidence.expand_as(weak), batch, stage)[0][:, 0]
            right = [two_columns(out).argmax(1) == task.target.class_ids(label) for out, label in judged[:2]]
            rows.append(torch.stack([share * right[0] + (1 - share) * right[1], share]))
    weak_score, strong_score, mixture = (metric.compute() for metric in metrics)
    return Experts(weak_score, strong_score, mixture, *torch.cat(rows, dim=1).mean(1).tolist())
