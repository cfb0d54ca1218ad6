"""How good the first K of a ranking are: one number per row, averaged over rows that have something to find."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

import torch
from torch import Tensor

from graphkit.core.constraints import Checked, Count
from graphkit.metrics.base import Metric


class RankingMetric(Checked, Metric):
    """A metric of PyG's for recommendations, of the ``k`` candidates with the largest scores in each row.

    Args:
        k: How many candidates count (default: 10).
    """

    targets = ("ranking",)
    of: ClassVar[str]  # in torch_geometric.metrics, whose import brings torchmetrics along

    def __init__(self, k: Count = 10) -> None:
        self.k = k
        self.name = self.name.replace("K", str(k))
        self._metric = getattr(import_module("torch_geometric.metrics"), self.of)(k)

    def update(self, out: Tensor, label: Tensor) -> None:
        """Add rows of scores ``[n, num_candidates]``, with labels of 1 for what is to be found.

        Args:
            out: The scores; -inf for what is no candidate.
            label: The labels, of the same shape.
        """
        top = out.detach().topk(min(self.k, out.size(1))).indices
        found = label if label.dtype == torch.bool else label > 0
        self._metric.update(top.cpu(), found.nonzero().t().cpu())

    def compute(self) -> float:
        return float(self._metric.compute()) if self._metric.total else float("nan")

    def reset(self) -> None:
        self._metric.reset()


class RecallAt(RankingMetric):
    """Which share of what is to be found is among the first K (PyG's ``LinkPredRecall``)."""

    name = "recall@K"
    of = "LinkPredRecall"


class PrecisionAt(RankingMetric):
    """Which share of the first K was to be found (PyG's ``LinkPredPrecision``)."""

    name = "precision@K"
    of = "LinkPredPrecision"


class F1At(RankingMetric):
    """The harmonic mean of precision and recall of the first K (PyG's ``LinkPredF1``)."""

    name = "f1@K"
    of = "LinkPredF1"


class NDCGAt(RankingMetric):
    r"""The normalised discounted cumulative gain of the first K (PyG's ``LinkPredNDCG``).

    A hit at rank :math:`r` gains :math:`1 / \log_2(r + 1)`; the sum is divided by the best possible one.
    """

    name = "ndcg@K"
    of = "LinkPredNDCG"


class MRRAt(RankingMetric):
    """The reciprocal rank of the first hit, 0 if it is not among the first K (PyG's ``LinkPredMRR``)."""

    name = "mrr@K"
    of = "LinkPredMRR"


class MAPAt(RankingMetric):
    """The precision at the rank of each hit among the first K, averaged (PyG's ``LinkPredMAP``)."""

    name = "map@K"
    of = "LinkPredMAP"
