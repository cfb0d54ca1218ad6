"""Where tables come from: folders of files, and graphs of networkx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def pandas_needed(what: str) -> Any:
    """The package pandas.

    Args:
        what: What needs it, as a message begins.

    Raises:
        ImportError: If it is not installed; the message says how to get it.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"{what} needs pandas, an optional package: pip install 'graphkit-pyg[tables]'") from error
    return pandas


def check_columns(table: Any, names: Sequence[str], where: str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        ValueError: Naming the table, the column and those that there are.
    """
    for name in names:
        if name not in table:
            has = ", ".join(map(repr, table.columns))
            other = next((sep for sep in ";\t|" if len(table.columns) == 1 and sep in str(table.columns[0])), None)
            remedy = "" if other is None else f": columns seem to be separated by {other!r}, must be by ','"
            raise ValueError(f"{where} has no column {name!r}; it has {has}{remedy}")


def ends_of(columns: Sequence[str], others: Sequence[str | None]) -> list[str]:
    """The columns of the ends of an edge: ``source`` and ``target``, else the first two that are not ``others``."""
    if {"source", "target"} <= set(columns):
        return ["source", "target"]
    return [name for name in columns if name not in others][:2]


def read_folder(
    path: str | Path,
    id: str | None = None,
    ends: Sequence[str] | None = None,
    texts: Sequence[str] = (),
    others: Sequence[str | None] = (),
    names: Sequence[str] = ("nodes", "edges"),
) -> list[Any]:
    """``nodes.csv``, ``edges.csv`` and the like in a folder; ids as texts, as they stand there.

    Args:
        path: The folder.
        id: The column of node ids (default: the first one).
        ends: The columns of source and target of an edge (default: as :func:`ends_of` says).
        texts: Other columns that are texts, whatever they look like (default: none).
        others: The columns of edges that are something else (default: not known).
        names: The tables (default: nodes and edges).

    Raises:
        FileNotFoundError: If one is missing.
    """
    pd = pandas_needed("a folder of tables")
    tables = []
    for name in names:
        given = ends if name != "nodes" else None if id is None else [id]
        file = Path(path).expanduser() / f"{name}.csv"
        if not file.is_file():
            wanted = " and ".join(f"{table}.csv" for table in names)
            raise FileNotFoundError(f"{file} is missing; a folder of tables has {wanted}")
        header = list(pd.read_csv(file, nrows=0).columns)
        ids = given or (header[:1] if name == "nodes" else ends_of(header, others))
        tables.append(pd.read_csv(file, dtype=dict.fromkeys([*ids, *texts], str)))
    return tables


def from_graph(graph: Any) -> tuple[Any, Any]:
    """The tables of a networkx graph: attributes of nodes with the nodes as index, and edges ``source``, ``target``.

    Args:
        graph: The graph.

    Raises:
        ValueError: If an attribute of an edge is called as an end.
    """
    pd = pandas_needed("a networkx graph")
    nodes = pd.DataFrame.from_records(
        [attributes for _, attributes in graph.nodes(data=True)], index=index_of(list(graph.nodes))
    )
    for u, v, attributes in graph.edges(data=True):
        if {"source", "target"} & attributes.keys():
            raise ValueError(
                f"edge {u!r} -> {v!r} has an attribute called 'source' or 'target', as its ends; rename it"
            )
    rows = [{**attributes, "source": u, "target": v} for u, v, attributes in graph.edges(data=True)]
    edges = pd.DataFrame(rows, columns=None if rows else ["source", "target"])
    return nodes, edges[["source", "target", *(name for name in edges.columns if name not in ("source", "target"))]]


def index_of(ids: Sequence[Any]) -> Any:
    """An index of ids of any type; tuples stay tuples."""
    import pandas as pd

    values = np.empty(len(ids), dtype=object)
    values[:] = ids
    return pd.Index(values, dtype=object, tupleize_cols=False)
