"""Which candidates of a row are chosen."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from graphkit.tasks.targets.link import Link

_OTHERS = 128  # of a row that a loss looks at: all of a training batch, and evenly many of a whole catalogue


class Ranking(Link):
    r"""Rows of candidates, 1 for those that were chosen; Bayesian personalised ranking, whatever the number of outputs.

    From `"BPR: Bayesian Personalized Ranking from Implicit Feedback" <https://arxiv.org/abs/1205.2618>`_ (Rendle et
    al., UAI 2009).

    .. math::
        \mathrm{mean}_{(r, i, j)} \, \log\bigl(1 + e^{s_{rj} - s_{ri}}\bigr)

    over rows :math:`r`, their chosen candidates :math:`i` and others :math:`j`: all of a training batch, and in an
    evaluation up to 128 of all candidates, evenly spaced. Candidates of the score :math:`-\infty` do not count.
    """

    name = "ranking"
    default_metric = "ndcg@10"
    hidden: ClassVar[float] = 0.0

    def loss(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        step = -(-label.size(1) // _OTHERS)
        others, chosen = prediction[:, ::step], label > 0
        counts = (others > float("-inf")) & ~chosen[:, ::step]
        row, column = chosen.nonzero().unbind(1)
        losses = F.softplus(others[row] - prediction[row, column, None])
        counts = counts[row]
        return losses.where(counts, 0).sum() / counts.sum().clamp(min=1)

    def count(self, label: Tensor) -> Tensor:
        return (label > 0).sum()

    def constant(self, labels: Tensor) -> Tensor | None:  # type: ignore[override]
        return None
