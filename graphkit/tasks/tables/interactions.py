"""A table of interactions as a graph of users and items."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.tasks.tables.sources import check_columns, pandas_needed


@dataclass(frozen=True)
class Interactions:
    """What a table of interactions became.

    Attributes:
        data: The graph, users before items, with an edge per interaction.
        users: What users are called, in the order of nodes.
        items: What items are called.
        table: The rows that became edges.
    """

    data: Data
    users: Any
    items: Any
    table: Any


def interactions_of(
    table: Any, user: str, item: str, rating: str | None, threshold: float | None, others: Sequence[str], place: str
) -> Interactions:
    """The interactions that are liked, each pair of user and item once.

    Args:
        table: A row per interaction.
        user: The column of users.
        item: The column of items.
        rating: The column of ratings, if any.
        threshold: The smallest rating that counts.
        others: Further columns that must be there.
        place: What messages begin with.

    Raises:
        TypeError: If the table is none.
        ValueError: If a column or a value is missing, no row is left, or of rating and threshold one is missing.
    """
    pd = pandas_needed(place)
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{place}: interactions is a {type(table).__name__}, must be a pandas DataFrame")
    if (rating is None) != (threshold is None):
        raise ValueError(f"{place}: rating={rating!r} and threshold={threshold!r} belong together; give both, or none")
    names = [user, item, *([] if rating is None else [rating]), *others]
    for name in names:
        check_columns(table, [name], place)
        if table[name].isna().any():
            row = int(table[name].isna().to_numpy().argmax())
            raise ValueError(f"{place}: row {row} has no {name!r}; fill it in, or leave the row out")
    if rating is not None:
        table = table[table[rating] >= threshold]
    repeated = table.duplicated([user, item])
    if repeated.any():
        warnings.warn(
            f"{place}: {repeated.sum()} rows repeat a user and an item; the first of each counts", stacklevel=4
        )
        table = table[~repeated]
    if table.empty:
        raise ValueError(f"{place}: no row has a {rating!r} of at least {threshold}; lower the threshold")
    (of_user, users), (of_item, items) = (pd.factorize(table[name], sort=True) for name in (user, item))
    edges = np.stack([of_user, of_item + len(users)]).astype(np.int64)
    node_type = torch.tensor([0, 1]).repeat_interleave(torch.tensor([len(users), len(items)]))
    return Interactions(Data(edge_index=torch.from_numpy(edges), node_type=node_type), users, items, table)
