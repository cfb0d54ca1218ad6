"""Classes: one of several per label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.tasks.split import Split
from graphkit.tasks.targets.base import Target
from graphkit.tasks.targets.columns import RAREST, missing_class, warn_of_one_class


class Multiclass(Target):
    """One of several classes: ids in ``0..num_classes-1``, -1 where missing; cross-entropy on a logit per class.

    Raises:
        ValueError: If labels are no integers, one of the split is missing, or training lacks a class.
    """

    name = "multiclass"
    hidden = -1

    def check(self, labels: Tensor, rows: Split, kind: str, place: str) -> Tensor:
        used = torch.cat([rows.train, rows.val, rows.test])
        labels = labels.squeeze(1) if labels.dim() == 2 and labels.size(1) == 1 else labels
        if labels.is_floating_point() or labels.dtype == torch.bool or labels.dim() != 1:
            raise ValueError(
                f"{place}: multiclass labels must be integers of shape [n], got {labels.dtype} of shape "
                f"{list(labels.shape)}; use {_as_ids(labels)}, or another target"
            )
        labels = labels.long()
        if labels[used].min() < 0:
            first = int(used[(labels[used] < 0).nonzero()[0, 0]])
            raise ValueError(
                f"{place}: {kind} {first} is in the split but has the label {int(labels[first])} (missing); take it "
                "out of the split"
            )
        largest, given = int(labels.max()), self.num_outputs
        if given is not None and largest >= given:
            raise ValueError(f"{place}: a label is {largest}, but num_outputs={given} (labels 0..{given - 1})")
        self.num_outputs = self.num_classes = given or largest + 1
        if not self.allow_missing_classes and (absent := _first_gap(labels[rows.train])) < self.num_classes:
            if _first_gap(labels) == absent and given is None:
                raise ValueError(
                    f"{place}: no {kind} has class {absent} of {self.num_classes}, as the largest label is {largest}; "
                    "number the classes from 0, y = torch.unique(y, return_inverse=True)[1], or give num_outputs and "
                    "allow_missing_classes=True"
                )
            raise ValueError(missing_class(place, absent, self.num_classes, "train", rows.name))
        if labels[used].min() == labels[used].max():
            warn_of_one_class(f"{place}: all labels", int(labels[used[0]]))
        return labels

    def loss(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        if weight is None:
            return F.cross_entropy(prediction, label)
        return F.cross_entropy(prediction, label, reduction="none") @ weight

    def constant(self, labels: Tensor) -> Tensor:
        """The classes' frequencies as logits; the largest, 0, is that of the class that occurs most often."""
        counts = torch.bincount(labels[labels >= 0], minlength=self.num_classes).double()
        return (counts / counts.max()).clamp(min=RAREST).log().to(torch.get_default_dtype())

    def numbers(self, labels: Tensor) -> Tensor:
        return F.one_hot(labels.view(-1).clamp(min=0), self.num_classes)

    def answers(self, prediction: Tensor, names: Sequence[Any] | None) -> dict[str, Any]:
        """The most probable class, and the probability of each."""
        names = range(prediction.size(1)) if names is None else names
        chosen = [names[i] for i in prediction.argmax(1).tolist()]
        shares = prediction.softmax(1)
        return {"prediction": chosen} | {f"p({name})": shares[:, i].tolist() for i, name in enumerate(names)}

    def outputs(self, scores: Tensor) -> Tensor:
        return scores


def _as_ids(labels: Tensor) -> str:
    """What makes ids of labels that are none."""
    if labels.dim() == 2 and labels.size(1) > 1:
        return "y.argmax(1) if rows are one-hot"
    return "y.nan_to_num(-1).long().view(-1)" if torch.isnan(labels).any() else "y.long().view(-1)"


def _first_gap(labels: Tensor) -> int:
    """The smallest class that no label has; memory grows with the classes that are there, not with the largest."""
    present = labels[labels >= 0].unique()
    gaps = (present != torch.arange(present.numel())).nonzero()
    return int(gaps[0, 0]) if gaps.numel() else present.numel()
