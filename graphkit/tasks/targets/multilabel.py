"""Several labels at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from graphkit.tasks.targets.columns import ColumnTarget


class Multilabel(ColumnTarget):
    """Columns of 0 and 1, NaN where missing; binary cross-entropy over the known labels."""

    name = "multilabel"

    def answers(self, prediction: Tensor, names: Sequence[Any] | None) -> dict[str, Any]:
        """The probability of each label."""
        return super().answers(prediction.sigmoid(), names)
