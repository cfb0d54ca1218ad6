"""Targets of one or several columns of numbers, of which some may be missing."""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.metrics.columns import RankMetric
from graphkit.tasks.split import Split
from graphkit.tasks.targets.base import Target
from graphkit.tasks.targets.class_weight import positive_weights

RAREST = 1e-12  # the frequency of what never occurs in training: its logit is finite


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
            raise ValueError(f"{place}: a {self.name} label is {bad}, expected 0 or 1, or NaN for a missing one")
        if self.zero_or_one and not isinstance(self.metric, RankMetric):  # which leaves such columns out
            columns = values.view(values.size(0), -1)
            alike = torch.nan_to_num(columns, nan=0).amax(0) <= torch.nan_to_num(columns, nan=1).amin(0)
            for column in alike.nonzero().view(-1).tolist():
                value = columns[:, column].nan_to_num(nan=0).amax()
                warn_of_one_class(f"{place}: all labels of column {column}", int(value))

    def fit(self, labels: Tensor, place: str) -> None:
        if self.pos_weight is not None and self.zero_or_one:
            self._of_ones = positive_weights(self.pos_weight, self.num_outputs or 1, place)
        super().fit(labels, place)

    def count(self, label: Tensor) -> float | Tensor:
        return super().count(label) if self._of_class is not None else (~torch.isnan(label)).sum()

    def weighed(self, prediction: Tensor, label: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        label = label.view_as(prediction).to(prediction.dtype)
        known = ~torch.isnan(label)
        if weight is not None:
            weight = (weight[:, None] / known.sum(1, keepdim=True).clamp(min=1)).expand_as(label)
        if self._of_ones is not None:
            factor = torch.where(label > 0, self._of_ones.to(label), 1)
            weight = factor / known.sum() if weight is None else factor * weight
        return label, known, weight

    def loss(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        label, known, weight = self.weighed(prediction, label, weight)
        if not known.all():
            prediction, label, weight = prediction[known], label[known], None if weight is None else weight[known]
            if prediction.numel() == 0:  # the mean of nothing would be NaN
                return prediction.sum()
        if weight is None:
            return self.of_numbers(prediction, label, "mean")
        return (self.of_numbers(prediction, label, "none") * weight).sum()

    def constant(self, labels: Tensor) -> Tensor:
        """The mean of each column's known labels; of 0 and 1, which is the frequency of 1, its logit.

        Of a column without a known label it is 0.
        """
        mean = labels.view(labels.size(0), -1).double().nanmean(0)
        outputs = torch.logit(mean, eps=RAREST) if self.zero_or_one else mean
        return outputs.nan_to_num(nan=0).to(torch.get_default_dtype())

    def of_numbers(self, prediction: Tensor, label: Tensor, reduction: str) -> Tensor:
        """The loss of known labels (default: binary cross-entropy on logits)."""
        return F.binary_cross_entropy_with_logits(prediction, label, reduction=reduction)


def missing_class(place: str, missing: int, total: int, stage: str, split: str) -> str:
    """What is said where a part of the split lacks a class."""
    return (
        f"{place}: class {missing} of {total} has no {stage} example in split {split!r}; use another split, or "
        "allow_missing_classes=True if the split is meant to be so"
    )


def warn_of_one_class(what: str, value: int) -> None:
    """Say that labels which are all alike are no test of a model."""
    text = f"{what} are of class {value}, so that every answer is right that is always the same"
    warnings.warn(text, stacklevel=1)  # from one place, so that a task which is changed later does not repeat it
