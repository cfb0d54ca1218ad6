"""Exact match: the share of rows in which every column is right."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.metrics.accuracy import Accuracy
from graphkit.metrics.columns import squash


class ExactMatch(Accuracy):
    """The share of rows in which every known label is right; rows without one are left out."""

    name = "exact_match"
    targets = ("multilabel",)

    def update(self, out: Tensor, label: Tensor) -> None:
        label = label.view(out.size(0), -1)
        missing = torch.isnan(label)
        right = (((squash(out) > 0.5) == (label > 0.5)) | missing).all(1)[~missing.all(1)]
        super().update(right.float(), torch.ones_like(right, dtype=label.dtype))
