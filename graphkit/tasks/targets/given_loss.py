"""A loss that a user gives to a task."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.text import callable_name


class GivenLoss:
    """A callable on predictions and labels; in torch's convention, where it has a ``reduction``.

    It is called as it is where all labels are known and count alike. Otherwise it is asked for values of single rows or
    labels (``reduction="none"``), of which the known ones are averaged, or summed with their weights.

    Args:
        loss: The callable, or a class of modules that needs no arguments.
        place: What messages begin with, e.g. ``"task 'cora'"``.

    Raises:
        TypeError: If it is not callable.
        ValueError: If it has weights to train, or another reduction than mean and none.
    """

    def __init__(self, loss: Any, place: str) -> None:
        self.loss: Callable[..., Any] = loss() if isinstance(loss, type) else loss
        self.name = callable_name(self.loss)
        self.place = f"{place}: loss {self.name}"
        if not callable(self.loss):
            raise TypeError(
                f"{place}: loss={loss!r} cannot be called; give a function of predictions and labels or a module, "
                "e.g. torch.nn.CrossEntropyLoss(label_smoothing=0.1)"
            )
        if isinstance(self.loss, nn.Module) and any(p.requires_grad for p in self.loss.parameters()):
            raise ValueError(
                f"{self.place} has weights of its own, which no optimizer would train; make them a part of the model, "
                "or freeze them by loss.requires_grad_(False)"
            )
        reduction = getattr(self.loss, "reduction", "mean")
        if reduction not in ("mean", "none"):
            raise ValueError(f"{self.place} has reduction={reduction!r}, but losses are averaged; use 'mean' or 'none'")

    def __call__(self, prediction: Tensor, label: Tensor, known: Tensor | None, weight: Tensor | None) -> Tensor:
        """The mean over known labels, or the sum with the weights of rows ``[n]`` or of labels ``[n, columns]``."""
        complete = known is None or bool(known.all())
        if weight is None and complete:
            return self._on_device(self.loss, prediction)(prediction, label).mean()
        values = self._each(prediction, label if complete else torch.where(known, label, 0))  # type: ignore[arg-type]
        shape = list(values.shape)
        if values.numel() == label.numel():
            values = values.view_as(label)
        elif shape != [label.size(0)] or not complete:
            unit = "row" if complete else "label, as some are missing"
            raise ValueError(
                f"{self.place} returns the shape {shape}, but this task needs its value of each {unit}; take an "
                f"argument reduction='none', or return {list(label.shape)}"
            )
        elif weight is not None and weight.dim() > 1:
            weight = weight.sum(1)
        if weight is None:
            return values[known].mean()
        return (values * weight).sum() if complete else (values * weight)[known].sum()

    def _each(self, prediction: Tensor, label: Tensor) -> Tensor:
        loss = self.loss
        if hasattr(loss, "reduction"):
            loss = copy.copy(loss)
            loss.reduction = "none"
        elif not isinstance(loss, nn.Module) and "reduction" in inspect.signature(loss).parameters:
            loss = partial(loss, reduction="none")
        return self._on_device(loss, prediction)(prediction, label)

    @staticmethod
    def _on_device(loss: Any, prediction: Tensor) -> Any:
        return loss.to(prediction) if isinstance(loss, nn.Module) else loss

    def check(self, prediction: Tensor, label: Tensor) -> None:
        """Try it once.

        Raises:
            ValueError: If it fails, returns neither one value nor one per row or label, or has no gradient.
        """
        try:
            value = self._on_device(self.loss, prediction)(prediction, label)
        except Exception as error:
            raise ValueError(
                f"{self.place} fails for predictions {list(prediction.shape)} and labels {list(label.shape)} of "
                f"{label.dtype}: {error}"
            ) from error
        if not isinstance(value, Tensor) or not value.requires_grad:
            raise ValueError(f"{self.place} returns {value!r}, must be a tensor with a gradient to the predictions")
        if value.numel() not in (1, label.numel(), label.size(0)):
            raise ValueError(
                f"{self.place} returns the shape {list(value.shape)}, must be one number or one for each of "
                f"{label.size(0)} rows"
            )
