"""The contract of a target: what labels mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphkit.core.deprecation import warn_renamed
from graphkit.metrics import Metric
from graphkit.tasks.split import Split
from graphkit.tasks.targets.class_weight import class_weights
from graphkit.tasks.targets.given_loss import GivenLoss


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
        given_loss: The loss that a user gave in place of :meth:`loss`.
        class_weight: How much rows count by their class, as the task was told.
        pos_weight: How much labels of 1 count by their column, as the task was told.
    """

    name: ClassVar[str]
    default_metric: ClassVar[str] = "accuracy"
    hidden: ClassVar[float] = float("nan")
    num_outputs: int | None = None
    num_classes: int = 0
    allow_missing_classes: bool = False
    metric: Metric
    given_loss: GivenLoss | None = None
    class_weight: Any = None
    pos_weight: Any = None
    _of_class: Tensor | None = None
    _of_ones: Tensor | None = None

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

    def hide(self, labels: Tensor, rows: Tensor | slice) -> Tensor:
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

    def fit(self, labels: Tensor, place: str) -> None:
        """Take the labels of training: weigh their classes, and try the user's loss on random predictions.

        Args:
            labels: The labels of some rows, as :meth:`check` returned them.
            place: What messages begin with.

        Raises:
            ValueError: If loss or weights do not fit the labels.
        """
        if self.class_weight is not None:
            self._of_class = class_weights(self.class_weight, self.class_ids(labels), self.num_classes, place)
        if self.pos_weight is not None and self._of_ones is None:
            raise ValueError(f"{place}: pos_weight={self.pos_weight!r} is of labels 0 and 1, but the target is {self}")
        if self.pos_weight is not None and self.class_weight is not None:
            raise ValueError(f"{place}: class_weight and pos_weight both weigh the classes 0 and 1; give one of them")
        if self.given_loss is not None:
            out, some = random_outputs(self.num_outputs or 1, labels)
            self.given_loss.check(out, self.weighed(out, some, None)[0])
            self.objective(out, some)

    def objective(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """:meth:`loss`, or that of the user, with the weights of classes; arguments are the same.

        Raises:
            RuntimeError: If there are weights, but :meth:`fit` was never called.
        """
        if (self.class_weight is not None and self._of_class is None) or (
            self.pos_weight is not None and self._of_ones is None
        ):
            raise RuntimeError(
                "class_weight and pos_weight need the training labels; call fit_target(labels) in set_data"
            )
        if self._of_class is not None:
            of_class = self._of_class.to(prediction)[self.class_ids(label)]
            weight = of_class / of_class.sum() if weight is None else of_class * weight
        if self.given_loss is None:
            return self.loss(prediction, label, weight)
        return self.given_loss(prediction, *self.weighed(prediction, label, weight))

    def weighed(
        self, prediction: Tensor, label: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Labels as a user's loss takes them, which are known (``None``: all), and how much each counts in a sum."""
        return label, None, weight

    def count(self, label: Tensor) -> float | Tensor:
        """How much their mean counts in a mean over batches: as many as are known, or their classes' weights."""
        return label.numel() if self._of_class is None else self._of_class.to(label.device)[self.class_ids(label)].sum()

    def describe_loss(self) -> str:
        """What a task's description says of a user's loss and weights (nothing without)."""
        parts = [] if self.given_loss is None else [f"loss {self.given_loss.name}"]
        for name in ("class_weight", "pos_weight"):
            given = getattr(self, name)
            if given is not None:
                parts.append(f"{name} {given if isinstance(given, str) else torch.as_tensor(given).tolist()}")
        return "".join(f", {part}" for part in parts)

    @property
    def customised(self) -> bool:
        """Whether the loss is not what graphkit has for this kind of label."""
        theirs = [vars(cls) for cls in type(self).__mro__ if not cls.__module__.startswith("graphkit.")]
        overridden = any(name in names for names in theirs for name in ("loss", "of_numbers"))
        return overridden or any(told is not None for told in (self.given_loss, self.class_weight, self.pos_weight))

    def class_ids(self, labels: Tensor) -> Tensor:
        """The classes ``[n]`` of labels, -1 where hidden."""
        return torch.nan_to_num(labels.view(-1), nan=-1.0).long() if labels.is_floating_point() else labels.view(-1)

    def numbers(self, labels: Tensor) -> Tensor:
        """Labels as rows of numbers ``[n, num_outputs]``, NaN where missing."""
        return labels.view(labels.size(0), -1)

    def answers(self, prediction: Tensor, names: Sequence[Any] | None) -> dict[str, Any]:
        """Outputs ``[n, num_outputs]`` as named columns for people (default: the numbers).

        Args:
            prediction: What a model returned, before any softmax or sigmoid.
            names: What classes or columns of labels are called (``None``: by number).
        """
        names = range(prediction.size(1)) if names is None else names
        if prediction.size(1) == 1:
            return {"prediction": prediction[:, 0].tolist()}
        return {str(name): prediction[:, column].tolist() for column, name in enumerate(names)}

    def outputs(self, scores: Tensor) -> Tensor:
        """Scores per class ``[n, K]`` as the outputs that loss and metric expect (default: of two classes)."""
        return scores[:, 1:] - scores[:, :1]

    def constant(self, labels: Tensor) -> Tensor | None:
        """What a predictor answers to everything that knows nothing but the labels of training (default: nothing).

        Args:
            labels: The labels of training, as :meth:`check` returned them.

        Returns:
            Raw outputs ``[num_outputs]`` as those of a model, so that the metric can judge them.
        """
        return None

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):  # what a task's target was
            warn_renamed(f"task.target == {other!r}", f"task.target.name == {other!r}")
            return self.name == other
        return self is other

    __hash__ = object.__hash__


def without_label(labels: Tensor) -> Tensor:
    """Which rows of labels are missing altogether: NaN, or -1 of classes.

    Args:
        labels: Labels ``[n]`` or ``[n, columns]``.

    Example:
        >>> without_label(torch.tensor([0, -1, 2]))
        tensor([False,  True, False])
    """
    missing = labels.isnan() if labels.is_floating_point() else labels < 0
    return missing.reshape(labels.size(0), -1).all(1)


def random_outputs(num_outputs: int, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs to try a user's loss or metric on before training, and a few thousand of the labels."""
    some = labels[:: 1 + labels.size(0) // 4096]
    while some.size(0) in (1, num_outputs):  # with as many rows as columns, labels of classes would be broadcast
        some = torch.cat([some, some[:1]])
    out = torch.randn(some.size(0), num_outputs, generator=torch.Generator().manual_seed(0))
    return out.requires_grad_(), some
