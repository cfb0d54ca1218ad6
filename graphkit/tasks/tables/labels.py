"""Columns of labels, and the split that comes with a table."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.validate import unknown_name
from graphkit.tasks import targets
from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.tables.columns import classes_of, is_text, numbers_from_decimals, plain, warn_if_coarse
from graphkit.tasks.targets import Target
from graphkit.tasks.targets.base import without_label


def labels_of(
    table: Any, names: Sequence[str], target: str | type[Target] | Target | None, place: str
) -> tuple[Tensor, str | type[Target] | Target, tuple[Any, ...] | None]:
    """Labels with -1 or NaN where missing, the kind of target, and what classes stand for.

    Args:
        table: The table.
        names: Its columns of labels.
        target: The kind that the user says (``None``: as the values are).
        place: What messages begin with.

    Raises:
        ValueError: If the kind is not told, and could be either, or values are not of the kind.
    """
    table = table.assign(**{name: numbers_from_decimals(table[name]) for name in names})
    kind = _kind(table, names, place) if target is None else target
    if targets.is_kind(kind, targets.Multiclass, targets.Binary):
        if len(names) != 1:
            raise ValueError(f"{place}: a label of classes stands in one column, got {list(names)}")
        series = table[names[0]]
        _check_plain(series, f"{place}: column {names[0]!r}")
        classes = classes_of(series.dropna().infer_objects())
        blank = next((value for value in classes if isinstance(value, str) and not value.strip()), None)
        if blank is not None:
            raise ValueError(
                f"{place}: column {names[0]!r} has the text {blank!r}, which would be a class; leave unknown labels "
                "empty (None or NaN)"
            )
        if classes[:2] == (-1, 0):
            warnings.warn(
                f"{place}: column {names[0]!r} has -1, a class like others here; leave unknown labels empty",
                stacklevel=4,
            )
        code_of = {value: code for code, value in enumerate(classes)}
        codes = [-1 if missing else code_of[plain(value)] for value, missing in zip(series, series.isna(), strict=True)]
        y = torch.tensor(codes)
        if targets.is_kind(kind, targets.Binary):
            if len(classes) != 2:
                raise ValueError(f"{place}: column {names[0]!r} has {len(classes)} values, a binary label has two")
            y = torch.where(y < 0, float("nan"), y.float())
        return y, kind, classes
    values = _numbers(table, names, kind, place)
    for name, column in zip(names, values.T, strict=True):
        warn_if_coarse(column, f"{place}: column {name!r}", "divide them into classes")
    y = torch.from_numpy(values.astype(np.float32))
    return y if len(names) > 1 else y[:, 0], kind, None


def told_split(table: Any, split: str | Split | None, place: str) -> Split | None:
    """The split of rows that was given, or that a column tells.

    Args:
        table: The table.
        split: A split, the name of the column that tells it, or ``None``.
        place: What messages begin with.

    Raises:
        ValueError: If the column says something else than the parts of a split.
    """
    if not isinstance(split, str):
        return split
    told = table[split].astype(object).where(table[split].notna(), None)
    odd = [value for value in told if value not in (*STAGES, None)]
    if odd:
        raise ValueError(f"{place}: column {split!r}: {unknown_name(odd[0], STAGES, 'part of a split')}, or nothing")
    masks = {stage: torch.tensor([value == stage for value in told]) for stage in STAGES}
    return Split.from_masks(split, masks["train"], masks["val"], masks["test"])


def classes_to_share(y: Tensor, are_classes: bool) -> Tensor:
    """By what a random split is stratified: classes, or whether a label is known; -1 where it is missing.

    Args:
        y: The labels.
        are_classes: Whether they are classes.
    """
    missing = without_label(y)
    return torch.where(missing, -1, torch.nan_to_num(y).long() if are_classes else 0)


def _check_plain(series: Any, place: str) -> None:
    """Refuse what is no name of a class, such as lists and dates."""
    import pandas as pd

    known = series.dropna()
    odd = [value for value in known if not isinstance(value, str | bool | int | float | np.generic)]
    if odd and not isinstance(series.dtype, pd.CategoricalDtype):
        remedy = "give a column for each part: label=[...]" if isinstance(odd[0], Sequence) else "make texts of it"
        raise ValueError(f"{place} holds {odd[0]!r}, a {type(odd[0]).__name__}, which is no class; {remedy}")


def _kind(table: Any, names: Sequence[str], place: str) -> str:
    import pandas as pd

    if len(names) > 1:
        values = _numbers(table, names, "multilabel or regression", place)
        return "multilabel" if np.isin(values[~np.isnan(values)], (0, 1)).all() else "regression"
    known = table[names[0]].dropna().infer_objects()
    if known.empty:
        raise ValueError(f"{place}: column {names[0]!r} has no label at all")
    if is_text(known) or not pd.api.types.is_float_dtype(known.dtype):
        return "multiclass"
    if (known == known.round()).all():  # whole numbers of which some are missing are floats, too
        raise ValueError(
            f"{place}: column {names[0]!r} has whole numbers as floats, which may be classes or amounts; say which by "
            "target='multiclass' or target='regression'"
        )
    return "regression"


def _numbers(table: Any, names: Sequence[str], kind: Any, place: str) -> np.ndarray:
    try:
        return table[list(names)].astype(float).to_numpy()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: a {kind} label is a number, but {list(names)} holds others ({error})") from None
