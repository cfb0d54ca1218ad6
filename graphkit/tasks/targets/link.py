"""Links between pairs of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from graphkit.tasks.targets.columns import ColumnTarget


class Link(ColumnTarget):
    """1 for a link, 0 for none; binary cross-entropy on a score per pair of nodes, whatever the number of outputs."""

    name = "link"
    default_metric = "roc_auc"

    def answers(self, prediction: Tensor, names: Sequence[Any] | None) -> dict[str, Any]:
        """The probability of a link."""
        return {"p(link)": prediction[:, 0].sigmoid().tolist()}

    def class_ids(self, labels: Tensor) -> Tensor:
        return labels.long()
