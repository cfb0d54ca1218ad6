"""Hits@K: how many links score above the best pairs without one."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.constraints import Checked, Count
from graphkit.metrics.base import Metric


class HitsAt(Checked, Metric):
    """The share of links that score above the K-th best pair without a link, as OGB's ``hits@20``.

    It stores the scores of all links and of the best K negatives.

    Args:
        k: K (default: 20).
    """

    name = "hits@K"
    targets = ("link",)

    def __init__(self, k: Count = 20) -> None:
        self.k = k
        self.name = f"hits@{k}"
        self.links: list[Tensor] = []
        self.best: Tensor | None = None

    def update(self, out: Tensor, label: Tensor) -> None:
        score, label = out.detach().view(-1), label.view(-1)
        self.links.append(score[label > 0])
        negatives = score[label == 0] if self.best is None else torch.cat([self.best, score[label == 0]])
        self.best = negatives.topk(min(self.k, negatives.numel())).values

    def compute(self) -> float:
        links = torch.cat(self.links) if self.links else torch.empty(0)
        if links.numel() == 0:
            return float("nan")
        if self.best is None or self.best.numel() < self.k:
            return 1.0
        return float((links > self.best[-1]).double().mean())

    def reset(self) -> None:
        self.links, self.best = [], None
