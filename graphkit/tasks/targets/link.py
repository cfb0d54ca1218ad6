"""Links between pairs of nodes."""

from __future__ import annotations

from torch import Tensor

from graphkit.tasks.targets.columns import ColumnTarget


class Link(ColumnTarget):
    """1 for a link, 0 for none; binary cross-entropy on a score per pair of nodes, whatever the number of outputs."""

    name = "link"
    default_metric = "roc_auc"

    def class_ids(self, labels: Tensor) -> Tensor:
        return labels.long()
