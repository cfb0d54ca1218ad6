"""Several labels at once."""

from __future__ import annotations

from graphkit.tasks.targets.columns import ColumnTarget


class Multilabel(ColumnTarget):
    """Columns of 0 and 1, NaN where missing; binary cross-entropy over the known labels."""

    name = "multilabel"
