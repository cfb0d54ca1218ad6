"""MRR: the mean reciprocal rank of links among negatives of their own."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.metrics.base import Metric


class MeanReciprocalRank(Metric):
    """The mean over links of one over its rank among its own negatives, which come after it.

    It stores a sum and a count; ranks are computed some links at a time, so memory stays small.

    Raises:
        ValueError: If the first pair of a batch is no link.
    """

    name = "mrr"
    targets = ("link",)
    block = 1 << 22  # pairs at a time

    def __init__(self) -> None:
        self.reset()

    def update(self, out: Tensor, label: Tensor) -> None:
        score, label = out.detach().view(-1), label.view(-1)
        first = (label > 0).nonzero().view(-1)
        if first.numel() == 0 or int(first[0]) > 0:
            raise ValueError("mrr needs each link before its own negatives; the first pair is no link")
        ends = torch.cat([first[1:], first.new_tensor([label.numel()])])
        start = 0
        while start < first.numel():
            stop = max(start + 1, int(torch.searchsorted(ends, first[start] + self.block, right=True)))
            self._add(score[first[start] : ends[stop - 1]], (ends - first)[start:stop])
            start = stop

    def _add(self, score: Tensor, sizes: Tensor) -> None:
        group = torch.repeat_interleave(torch.arange(sizes.numel(), device=score.device), sizes)
        link = score[sizes.cumsum(0) - sizes][group]
        # the link ties with itself: half a place too many
        worse = (score > link).double() + 0.5 * (score == link).double()
        rank = torch.zeros(sizes.numel(), dtype=torch.double, device=score.device).index_add_(0, group, worse) + 0.5
        self.total += float(rank.reciprocal().sum())
        self.count += sizes.numel()

    def compute(self) -> float:
        return self.total / self.count if self.count else float("nan")

    def reset(self) -> None:
        self.total, self.count = 0.0, 0
