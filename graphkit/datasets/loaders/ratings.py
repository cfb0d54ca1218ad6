"""Parsers of ratings that users have given to items."""

from __future__ import annotations

import torch

from graphkit.datasets.parsed import Collated
from graphkit.datasets.raw import RawFiles


def movielens(raw: RawFiles, *, sep: str, threshold: float = 3.0) -> Collated:
    """Lines of user, item, rating and time; ratings of at least ``threshold`` are interactions."""
    import pandas as pd

    from graphkit.tasks.tables.interactions import interactions_of

    names = ["user", "item", "rating", "time"]
    table = pd.read_csv(raw.only, sep=sep, names=names, engine="c" if len(sep) == 1 else "python")
    made = interactions_of(table, "user", "item", "rating", threshold, ["time"], "the ratings")
    time = torch.from_numpy(made.table["time"].to_numpy(dtype="int64"))
    return Collated({**made.data.to_dict(), "edge_time": time})
