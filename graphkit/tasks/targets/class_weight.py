"""How much rows count by their class, and labels of 1 by their column."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.core.validate import check_choice


def class_weights(given: Any, classes: Tensor, num_classes: int, place: str) -> Tensor:
    """The weight of each class ``[num_classes]``, scaled so that its mean over the training rows is 1.

    Args:
        given: ``"balanced"``, as scikit-learn computes it from the training labels, or a number per class.
        classes: The class of each training row.
        num_classes: The number of classes.
        place: What messages begin with.

    Raises:
        ValueError: If labels are no classes, a class has no or a negative weight, or cannot be balanced.
    """
    place = f"{place}: class_weight={given!r}"
    if num_classes == 0:
        raise ValueError(f"{place} is of classes, but this target has none; columns of 0 and 1 take pos_weight")
    counts = torch.bincount(classes, minlength=num_classes)
    if isinstance(given, str):
        check_choice(given, ["balanced"], "class_weight")
        if bool((counts == 0).any()):
            raise ValueError(f"{place}, but class {int(counts.argmin())} has no training example; give numbers")
        given = classes.numel() / (num_classes * counts)
    weights = _numbers(given, place)
    if weights.shape != (num_classes,) or bool((weights < 0).any()) or not bool((weights[classes] > 0).any()):
        raise ValueError(f"{place}, must be {num_classes} numbers, one per class, none negative, not all 0 in training")
    return weights / weights[classes].mean()


def positive_weights(given: Any, num_columns: int, place: str) -> Tensor:
    """How much labels of 1 count ``[num_columns]`` or ``[1]``.

    Args:
        given: A number, or one per column.
        num_columns: The number of columns of labels.
        place: What messages begin with.

    Raises:
        ValueError: If these are no such numbers.
    """
    weights = _numbers(given, f"{place}: pos_weight={given!r}").view(-1)
    if weights.numel() not in (1, num_columns) or not bool((weights > 0).all()):
        raise ValueError(f"{place}: pos_weight={given!r}, must be a positive number, or one per column ({num_columns})")
    return weights


def _numbers(given: Any, place: str) -> Tensor:
    try:
        numbers = torch.as_tensor(given, dtype=torch.get_default_dtype()).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{place}, must be numbers ({error})") from error
    if not bool(torch.isfinite(numbers).all()):
        raise ValueError(f"{place}, must be finite")
    return numbers
