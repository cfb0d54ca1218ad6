"""Parsers of ratings that users have given to items."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from graphkit.datasets.parsed import Collated
from graphkit.datasets.raw import RawFiles


def ratings(raw: RawFiles, *, sep: str, columns: Sequence[str], threshold: float = 3.0) -> Collated:
    """Lines of user, item, rating and perhaps time; ratings of at least ``threshold`` are interactions."""
    import pandas as pd

    from graphkit.tasks.tables.interactions import interactions_of

    table = pd.read_csv(raw.only, sep=sep, names=list(columns), engine="c" if len(sep) == 1 else "python")
    has_time = "time" in columns
    made = interactions_of(table, "user", "item", "rating", threshold, ["time"] * has_time, "the ratings")
    graph = made.data.to_dict()
    if has_time:
        graph["edge_time"] = torch.from_numpy(made.table["time"].to_numpy(dtype="int64"))
    return Collated(graph)
