"""Streams of events from a user's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.tasks.tables import pandas_needed
from graphkit.tasks.tables.sources import index_of
from graphkit.tasks.times import as_times


def read_events(path: str | Path, columns: Sequence[str | None]) -> Any:
    """The table in a file of text: with a line of names, or of numbers alone, whose columns are called 0, 1, ...

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty.
    """
    pd = pandas_needed("EventTask.from_csv")
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; give the file of a table of events")
    with file.open(encoding="utf-8") as lines:
        first = lines.readline().strip()
    if not first:
        raise ValueError(f"{file} is empty; its first line must be names of columns, or an event")
    separator = next((mark for mark in (",", "\t", ";") if mark in first), r"\s+")
    words = first.split(None if separator == r"\s+" else separator)
    options: dict[str, Any] = {"dtype": {column: str for column in columns if column is not None}}
    if all(_is_number(word) for word in words):
        options |= {"header": None, "names": [str(number) for number in range(len(words))]}
    return pd.read_csv(file, sep=separator, **options)


def stream_of(
    table: Any,
    chosen: Sequence[str | None],
    messages: Sequence[str],
    labels: Sequence[str],
    bipartite: bool,
    place: str,
) -> tuple[Data, Any]:
    """The events of a table, and what its nodes are called.

    Raises:
        TypeError: If it is no table, or messages are no numbers.
        ValueError: If a column or an id is missing.
    """
    pd = pandas_needed("EventTask.from_pandas")
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{place}: the events are a {type(table).__name__}, not a pandas DataFrame")
    columns = list(table.columns)
    if len(columns) < 3:
        raise ValueError(f"{place}: the table has the columns {columns}; events need a source, a target and a time")
    found = [columns[i] if name is None else name for i, name in enumerate(chosen)]
    for name in (*found, *messages, *labels):
        if name not in columns:
            raise ValueError(f"{place}: there is no column {name!r}; the table has {', '.join(map(repr, columns))}")
        if columns.count(name) > 1:
            raise ValueError(f"{place}: {columns.count(name)} columns are called {name!r}; rename them")
    ends = [table[name] for name in found[:2]]
    for name, column in zip(found[:2], ends, strict=True):
        if column.isna().any():
            row = int(column.isna().argmax())
            raise ValueError(f"{place}: column {name!r} has no id in row {row}; leave the row out")
    if bipartite:
        (src, sources), (dst, targets) = (pd.factorize(column) for column in ends)
        edges = np.stack([src, dst + len(sources)])
        ids = index_of([*((found[0], one) for one in sources), *((found[1], one) for one in targets)])
    else:
        flat, ids = pd.factorize(pd.concat(ends, ignore_index=True))
        edges = flat.reshape(2, -1)
    data = Data(edge_index=torch.from_numpy(edges.astype(np.int64)), num_nodes=len(ids))
    data.edge_time = torch.from_numpy(as_times(table[found[2]], f"{place}: column {found[2]!r}").copy())
    if messages:
        odd = [name for name in messages if table[name].dtype.kind not in "biuf"]
        if odd:
            raise TypeError(f"{place}: column {odd[0]!r} holds no numbers, but messages are numbers; encode it")
        data.edge_attr = torch.tensor(table[list(messages)].to_numpy(dtype=np.float32))
    return data, ids if bipartite else pd.Index(ids)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
