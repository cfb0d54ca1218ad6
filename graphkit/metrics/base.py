"""The contract of a metric, which is that of torchmetrics."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class Metric(ABC):
    r"""One number over an evaluation: ``update`` per batch, ``compute`` at the end, ``reset`` before the next.

    A new metric is one file with a subclass, which tasks find under its :attr:`name`; a user's own counts as soon as it
    is defined. Tasks also take an instance, of torchmetrics too: ``NodeTask(..., metric=MulticlassF1Score(3))``.

    Attributes:
        name: What ``metric=`` and results call it.
        higher_is_better: Whether a larger value is a better one.
        percent: Whether tables print it times 100.
        margin: The largest difference that is of no practical importance, on the metric's own scale: 0.01 is one point.
        cap: The largest half-width of a confidence interval at which a comparison of two values could have failed.
        relative: Whether these two are shares of the value compared with.
        squares: Whether regressions that it judges are trained by squared errors, unless a loss is given.
        targets: The names of the kinds of target that it can judge; empty: all.

    Example:
        >>> import torch
        >>> from graphkit.metrics import Accuracy
        >>> metric = Accuracy()
        >>> metric.update(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 0]))
        >>> metric.compute()
        0.5
    """

    name: str
    higher_is_better: bool = True
    percent: bool = True
    margin: float = 0.01
    cap: float = 0.05
    relative: bool = False
    squares: bool = False
    targets: tuple[str, ...] = ()

    @abstractmethod
    def update(self, out: Tensor, label: Tensor) -> None:
        """Add a batch.

        Args:
            out: The model's raw outputs (logits, scores of pairs, or values of a regression) ``[n, num_outputs]``.
            label: The labels ``[n]`` or ``[n, num_outputs]``: integers are ids of classes, NaN is a missing number.
        """

    @abstractmethod
    def compute(self) -> float:
        """The value over everything since the last :meth:`reset`; NaN if it is not defined."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all batches."""
