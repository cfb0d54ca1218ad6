"""The contract of a target: what labels mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from graphkit.core.deprecation import warn_renamed
from graphkit.metrics import Metric
from graphkit.tasks.split import Split


class Target(ABC):
    r"""What the labels of a task mean: their check, the number of outputs, the loss, and what hides them.

    A new kind of label is one file with a subclass, which tasks find under its :attr:`name`; a user's own counts as
    soon as it is defined. A task takes a name, a class or an instance, of which it makes a copy of its own.

    Attributes:
        name: What ``target=`` calls it.
        default_metric: The metric where none is given.
        hidden: What stands in place of a label that may not be seen.
        num_outputs: The number of columns that a model must return; ``None`` before the check, or if any will do.
        num_classes: The number of classes that labels tell apart; 0 of labels that are no classes.
        allow_missing_classes: Whether a part of the split may lack a class.
        metric: The metric that the task is judged by.
    """

    name: ClassVar[str]
    default_metric: ClassVar[str] = "accuracy"
    hidden: ClassVar[float] = float("nan")
    num_outputs: int | None = None
    num_classes: int = 0
    allow_missing_classes: bool = False
    metric: Metric

    def check(self, labels: Tensor, rows: Split, kind: str, place: str) -> Tensor:
        """Check the labels and set the number of outputs, which may be given; returns them as the loss takes them.

        Args:
            labels: The labels of all nodes, graphs or events.
            rows: Which rows belong to each part of the split.
            kind: What a row is called in messages, e.g. ``"node"``.
            place: What messages begin with, e.g. ``"task 'cora'"``.
        """
        self.num_outputs = labels.size(1) if labels.dim() == 2 else 1
        return labels

    def hide(self, labels: Tensor, rows: Tensor) -> Tensor:
        """The labels without those of some rows."""
        labels = labels.clone()
        labels[rows] = self.hidden
        return labels

    @abstractmethod
    def loss(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean loss of predictions ``[n, num_outputs]``, or with weights ``[n]`` the weighted sum.

        Args:
            prediction: The model's outputs for what is judged.
            label: Their labels, as :meth:`check` returned them.
            weight: How much each row counts (default: equally).
        """

    def class_ids(self, labels: Tensor) -> Tensor:
        """The classes ``[n]`` of labels, -1 where hidden."""
        return torch.nan_to_num(labels.view(-1), nan=-1.0).long() if labels.is_floating_point() else labels.view(-1)

    def numbers(self, labels: Tensor) -> Tensor:
        """Labels as rows of numbers ``[n, num_outputs]``, NaN where missing."""
        return labels.view(labels.size(0), -1)

    def outputs(self, scores: Tensor) -> Tensor:
        """Scores per class ``[n, K]`` as the outputs that loss and metric expect (default: of two classes)."""
        return scores[:, 1:] - scores[:, :1]

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):  # what a task's target was
            warn_renamed(f"task.target == {other!r}", f"task.target.name == {other!r}")
            return self.name == other
        return self is other

    __hash__ = object.__hash__
