"""Two classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.targets.columns import ColumnTarget, missing_class


class Binary(ColumnTarget):
    """One of two classes, 0 or 1; binary cross-entropy on a single logit.

    Raises:
        ValueError: If a label of the split is missing or neither 0 nor 1, or a part of it has one class only.
    """

    name = "binary"
    num_classes = 2

    def check(self, labels: Tensor, rows: Split, kind: str, place: str) -> Tensor:
        if labels.dim() > 1 and labels.size(1) != 1:
            raise ValueError(
                f"{place}: binary labels have the shape {list(labels.shape)}, expected [n] or [n, 1]; one-hot rows of "
                "two classes become ids by y.argmax(1), several labels of a row need target='multilabel'"
            )
        labels = super().check(labels, rows, kind, place)
        for stage in () if self.allow_missing_classes else STAGES:
            present = labels[getattr(rows, stage)].unique()
            if present.numel() < 2:
                raise ValueError(missing_class(place, 1 - int(present[0]), 2, stage, rows.name))
        return labels

    def answers(self, prediction: Tensor, names: Sequence[Any] | None) -> dict[str, Any]:
        """The more probable class, and the probability of the second one."""
        names, share = (0, 1) if names is None else names, prediction[:, 0].sigmoid()
        return {"prediction": [names[int(p > 0.5)] for p in share.tolist()], f"p({names[1]})": share.tolist()}

    def shaped(self, labels: Tensor) -> Tensor:
        return labels.view(-1)

    def check_values(self, labels: Tensor, used: Tensor, kind: str, place: str) -> None:
        missing = torch.isnan(labels[used])
        if missing.any():
            first = int(used[missing.nonzero()[0, 0]])
            raise ValueError(f"{place}: {kind} {first} is in the split but has no label; take it out of the split")
        super().check_values(labels, used, kind, place)
