"""Hit@k of predicted classifiers: how often the right class is among the k best."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.constraints import Checked, Count
from graphkit.metrics.base import Metric


class ClassHitsAt(Checked, Metric):
    """The share of classes whose look is classified right, or within the first K: hit@k of zero-shot learning.

    Outputs are classifiers of the classes that are judged, labels the right ones, which stand for the features of an
    image of each class: it gets the K classes whose classifiers have the largest inner product with it. Of equal
    products, those of other classes count as larger.

    Args:
        k: K (default: 1).

    Example:
        >>> metric = ClassHitsAt(k=1)
        >>> metric.update(torch.eye(3)[[0, 2, 1]], torch.eye(3))
        >>> round(metric.compute(), 2)
        0.33
    """

    name = "class_hits@K"
    squares = True
    targets = ("regression",)

    def __init__(self, k: Count = 1) -> None:
        self.k = k
        self.name = f"class_hits@{k}"
        self.reset()

    def update(self, out: Tensor, label: Tensor) -> None:
        self.classifiers.append(out.detach())
        self.looks.append(label)

    def compute(self) -> float:
        if not self.looks:
            return float("nan")
        classifiers, looks = torch.cat(self.classifiers), torch.cat(self.looks)
        products = looks.to(classifiers.dtype) @ classifiers.t()
        known = ~looks.isnan().any(1)
        before = (products >= products.diagonal()[:, None]).sum(1)[known]  # itself included
        return float((before <= self.k).double().mean())

    def reset(self) -> None:
        self.classifiers: list[Tensor] = []
        self.looks: list[Tensor] = []
