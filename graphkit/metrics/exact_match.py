"""Exact match: the share of rows in which every column is right."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.metrics.accuracy import Accuracy


class ExactMatch(Accuracy):
    """The share of rows in which every known label is right."""

    name = "exact_match"
    targets = ("multilabel",)

    def prepare(self, out: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        predictions, labels = super().prepare(out, label)
        right = (((predictions > 0.5) == (labels > 0.5)) | torch.isnan(labels)).all(1, keepdim=True)
        return right.float(), torch.ones_like(labels[:, :1])
