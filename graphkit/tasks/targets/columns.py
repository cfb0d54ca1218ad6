"""Targets of one or several columns of numbers, of which some may be missing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.tasks.split import Split
from graphkit.tasks.targets.base import Target


class ColumnTarget(Target):
    """Columns of numbers, NaN where missing; missing ones do not count in the loss."""

    zero_or_one: bool = True  # whether the numbers are

    def check(self, labels: Tensor, rows: Split, kind: str, place: str) -> Tensor:
        if not labels.is_floating_point():
            labels = labels.to(torch.get_default_dtype())
        labels = self.shaped(labels)
        columns = labels.size(1) if labels.dim() == 2 else 1
        if self.num_outputs is not None and self.num_outputs != columns:
            raise ValueError(f"{place}: num_outputs={self.num_outputs}, but the labels have {columns} columns")
        self.num_outputs = columns
        self.check_values(labels, torch.cat([rows.train, rows.val, rows.test]), kind, place)
        return labels

    def shaped(self, labels: Tensor) -> Tensor:
        """The labels in the shape that batches hold."""
        return labels.view(labels.size(0), -1)

    def check_values(self, labels: Tensor, used: Tensor, kind: str, place: str) -> None:
        """Check the labels of the rows that are ``used``."""
        values = labels[used]
        known = values[~torch.isnan(values)]
        if known.numel() == 0:
            raise ValueError(f"{place}: every label of the split is missing (NaN)")
        if not torch.isfinite(known).all():
            raise ValueError(f"{place}: a label is infinite; replace it, or NaN for a missing one")
        if self.zero_or_one and not ((known == 0) | (known == 1)).all():
            bad = known[(known != 0) & (known != 1)][0].item()
            raise ValueError(f"{place}: a {self.name} label is {bad}, expected 0 or 1")

    def loss(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        label = label.view_as(prediction).to(prediction.dtype)
        known = ~torch.isnan(label)
        if weight is not None:
            weight = (weight[:, None] / known.sum(1, keepdim=True).clamp(min=1)).expand_as(label)
        if not known.all():
            prediction, label, weight = prediction[known], label[known], None if weight is None else weight[known]
            if prediction.numel() == 0:  # the mean of nothing would be NaN
                return prediction.sum()
        if weight is None:
            return self.of_numbers(prediction, label, "mean")
        return (self.of_numbers(prediction, label, "none") * weight).sum()

    def of_numbers(self, prediction: Tensor, label: Tensor, reduction: str) -> Tensor:
        """The loss of known labels (default: binary cross-entropy on logits)."""
        return F.binary_cross_entropy_with_logits(prediction, label, reduction=reduction)


def missing_class(place: str, missing: int, total: int, stage: str, split: str) -> str:
    """What is said where a part of the split lacks a class."""
    return (
        f"{place}: class {missing} of {total} has no {stage} example in split {split!r}; use another split, or "
        "allow_missing_classes=True if the split is meant to be so"
    )
