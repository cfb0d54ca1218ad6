"""Tables of nodes and edges as a graph."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.tasks.tables.columns import Column, Impute, numbers_of


@dataclass(frozen=True)
class Tables:
    """How two tables become a graph: learned from the ones that a task was made of, and applied to new ones alike.

    Attributes:
        id: The column of the nodes' ids; ``None`` for the index of the table.
        features: The columns of node features.
        ends: The columns of edges with the ids of source and target.
        weight: The column of edge weights, if there are any.
        edge_features: The columns of edge features.
        directed: Whether an edge leads from source to target only.
        label: The columns of labels.
        classes: What the classes stand for, of labels that are classes.
    """

    id: str | None
    features: tuple[Column, ...]
    ends: tuple[str, str]
    weight: Column | None
    edge_features: tuple[Column, ...]
    directed: bool
    label: tuple[str, ...] = ()
    classes: tuple[Any, ...] | None = None

    @classmethod
    def learned(
        cls,
        nodes: Any,
        edges: Any,
        label: Sequence[str],
        id: str | None,
        features: Sequence[str] | None,
        categorical: Sequence[str],
        impute: Impute | None,
        standardize: bool,
        ends: Sequence[str] | None,
        edge_weight: str | None,
        edge_features: Sequence[str],
        directed: bool,
        left_out: Sequence[str],
    ) -> Tables:
        """What the columns of two tables hold; arguments are those of ``NodeTask.from_pandas``.

        Raises:
            ValueError: If a column does not exist, is repeated, or does not hold what it should.
        """
        _check_tables(nodes, edges)
        ends = tuple(edges.columns[:2]) if ends is None else tuple(ends)
        if len(set(ends)) != 2:
            raise ValueError(f"edges: the ends are {list(ends)}, must be two columns, source and target")
        apart = {id, *label, *left_out}
        names = [name for name in nodes.columns if name not in apart] if features is None else list(features)
        _check_names("nodes", nodes, [*names, *label, *([] if id is None else [id]), *left_out])
        _check_names("edges", edges, [*ends, *edge_features, *([] if edge_weight is None else [edge_weight])])
        unknown = [name for name in categorical if name not in (*names, *edge_features)]
        if unknown:
            raise ValueError(f"categorical names {unknown[0]!r}, which is no feature; the features are {names}")
        if set(names) & set(label):
            raise ValueError(f"nodes: column {sorted(set(names) & set(label))[0]!r} is label and feature; choose one")
        unused = [str(n) for n in edges.columns if n not in (*ends, *edge_features, edge_weight)]
        if unused:
            warnings.warn(
                f"edges: no use is made of column {', '.join(map(repr, unused))}; name it in edge_features, as "
                "edge_weight, or leave it out of the table",
                stacklevel=4,
            )
        weight = None if edge_weight is None else Column.learned(edges, edge_weight, False, None, "edges")
        if weight is not None and weight.categories is not None:
            raise ValueError(f"edges: column {edge_weight!r} holds texts, but weights are numbers")
        made = cls(
            id,
            tuple(Column.learned(nodes, name, name in categorical, impute, "nodes", standardize) for name in names),
            (ends[0], ends[1]),
            weight,
            tuple(
                Column.learned(edges, name, name in categorical, impute, "edges", standardize) for name in edge_features
            ),
            directed,
        )
        if id is None:
            _warn_of_ids(nodes, edges[list(ends)], names)
        return made

    def graph(self, nodes: Any, edges: Any) -> tuple[Data, Any]:
        """The graph, without labels, and the ids of its nodes.

        Raises:
            TypeError: If these are no tables.
            ValueError: If ids are missing, repeated or unknown, or a value is not what the column held in training.
        """
        _check_tables(nodes, edges)
        ids = self._ids(nodes)
        x = numbers_of(self.features, nodes, ids, "nodes")
        source, target = (self._end(edges, name, ids) for name in self.ends)
        attributes = {
            "edge_weight": numbers_of(() if self.weight is None else (self.weight,), edges, edges.index, "edges"),
            "edge_attr": numbers_of(self.edge_features, edges, edges.index, "edges"),
        }
        edge_index, kept = _joined(source, target, attributes, self.directed)
        data = Data(edge_index=edge_index, num_nodes=len(ids))
        if x is not None:
            data.x = torch.from_numpy(x)
        for key, value in attributes.items():
            if value is not None:
                data[key] = torch.from_numpy(value)[kept].view(kept.numel(), -1)
        if self.weight is not None:
            data.edge_weight = data.edge_weight.view(-1)
        return data, ids

    def _ids(self, nodes: Any) -> Any:
        import pandas as pd

        if self.id is not None and self.id not in nodes:
            raise ValueError(f"nodes has no column {self.id!r}; it has {', '.join(map(repr, nodes.columns))}")
        ids = nodes.index if self.id is None else pd.Index(nodes[self.id], name=self.id)
        ids = _index(list(ids)) if ids.nlevels > 1 else ids
        if ids.hasnans:
            raise ValueError(f"nodes: row {int(np.asarray(ids.isna()).argmax())} has no id")
        _check_exact(ids, f"nodes: column {self.id!r}")
        if not ids.is_unique:
            repeated = ids[ids.duplicated()]
            raise ValueError(
                f"nodes: id {repeated[0]!r} is repeated ({len(repeated)} such rows); give each node one row"
            )
        return ids

    def _end(self, edges: Any, name: str, ids: Any) -> np.ndarray:
        """The number of the node that each edge names in a column."""
        if name not in edges:
            raise ValueError(f"edges has no column {name!r}; it has {', '.join(map(repr, edges.columns))}")
        named = edges[name]
        if named.isna().any():
            raise ValueError(f"edges: row {int(named.isna().to_numpy().argmax())} has no {name!r}")
        _check_exact(named.infer_objects(), f"edges: column {name!r}")
        found = ids.get_indexer(named) if len(named) else np.empty(0, dtype=np.int64)
        if (found < 0).any():
            bad = named.iloc[int((found < 0).argmax())]
            kinds = (
                "" if type(bad) is type(ids[0]) else f", a {type(bad).__name__}, but ids are {type(ids[0]).__name__}"
            )
            raise ValueError(
                f"edges: {(found < 0).sum()} rows name a {name!r} that is no node, e.g. {bad!r}{kinds}; give it a row "
                "among the nodes, or leave the edge out"
            )
        return found

    @property
    def texts(self) -> list[str]:
        """The columns of features that are texts, which a file of numbers alone would not tell."""
        columns = (*self.features, *self.edge_features)
        return [column.name for column in columns if any(isinstance(c, str) for c in column.categories or ())]

    def config(self) -> dict[str, Any]:
        """This as plain values, from which :meth:`from_config` makes it again."""
        return {
            "id": self.id,
            "features": [column.config() for column in self.features],
            "ends": list(self.ends),
            "weight": None if self.weight is None else self.weight.config(),
            "edge_features": [column.config() for column in self.edge_features],
            "directed": self.directed,
            "label": list(self.label),
            "classes": None if self.classes is None else list(self.classes),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Tables:
        """The tables that :meth:`config` describes."""
        columns = {key: tuple(map(Column.from_config, config[key])) for key in ("features", "edge_features")}
        weight = None if config["weight"] is None else Column.from_config(config["weight"])
        tuples = {key: None if config[key] is None else tuple(config[key]) for key in ("ends", "label", "classes")}
        return cls(id=config["id"], weight=weight, directed=config["directed"], **columns, **tuples)  # type: ignore[arg-type]


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


def _check_tables(nodes: Any, edges: Any) -> None:
    import pandas as pd

    for table, name in ((nodes, "nodes"), (edges, "edges")):
        if not isinstance(table, pd.DataFrame):
            raise TypeError(f"{name} is a {type(table).__name__}, must be a pandas DataFrame")
        if not table.columns.is_unique:
            repeated = table.columns[table.columns.duplicated()][0]
            raise ValueError(f"{name}: two columns are called {repeated!r}; rename one")
    if nodes.empty and not len(nodes.index):
        raise ValueError("nodes has no rows")


def _check_names(table: str, given: Any, names: Sequence[str]) -> None:
    for name in names:
        if name not in given:
            raise ValueError(f"{table} has no column {name!r}; it has {', '.join(map(repr, given.columns))}")


def _check_exact(ids: Any, place: str) -> None:
    """Refuse ids that have become floats, as columns with gaps do, and are rounded to those of others."""
    import pandas as pd

    if len(ids) and pd.api.types.is_float_dtype(ids.dtype):
        exact = 2.0 ** (np.finfo(f"f{ids.dtype.itemsize}").nmant + 1)
        if np.abs(ids.to_numpy(dtype=float)).max() >= exact:
            raise ValueError(
                f"{place} holds ids as {ids.dtype}, which names whole numbers up to {exact:.0f} only; read it as "
                "integers or texts"
            )


def _warn_of_ids(nodes: Any, ends: Any, names: Sequence[str]) -> None:
    """Warn of a feature that is rather the id: rows that are merely numbered would be taken for others."""
    import pandas as pd

    if not isinstance(nodes.index, pd.RangeIndex) or not len(ends):
        return
    for name in names:
        if nodes[name].is_unique and ends.isin(set(nodes[name])).all(axis=None):
            _warn(
                f"all ends stand in the column {name!r} of nodes, too, but are taken for row numbers; pass "
                f"id={name!r}, or features=[...] without it"
            )


def _joined(
    source: np.ndarray, target: np.ndarray, attributes: Mapping[str, np.ndarray | None], directed: bool
) -> tuple[Tensor, Tensor]:
    """Edges ``[2, num_edges]`` without repetitions, in both directions unless directed, and the row of each."""
    import pandas as pd

    given = [value for value in attributes.values() if value is not None]
    columns = np.concatenate([np.empty((source.size, 0)), *given], axis=1)
    named = pd.DataFrame(columns).assign(source=source, target=target)
    repeated = named.duplicated()
    if repeated.any():
        _warn(f"{repeated.sum()} rows repeat another one; each edge counts once")
    if not directed:
        named = named.assign(source=np.minimum(source, target), target=np.maximum(source, target))
    kept = np.flatnonzero(~named.duplicated().to_numpy())
    several = int(named.iloc[kept].duplicated(["source", "target"]).sum())
    if several:
        _warn(f"{several} pairs of nodes have several edges with other numbers; all of them count")
    edges = torch.from_numpy(np.stack([source[kept], target[kept]]).astype(np.int64))
    rows = torch.from_numpy(kept)
    if directed:
        return edges, rows
    back = edges[0] != edges[1]
    return torch.cat([edges, edges[:, back].flip(0)], dim=1), torch.cat([rows, rows[back]])


def _warn(text: str) -> None:
    warnings.warn(f"edges: {text}", stacklevel=6)


def read_folder(
    path: str | Path, id: str | None = None, ends: Sequence[str] | None = None, texts: Sequence[str] = ()
) -> tuple[Any, Any]:
    """``nodes.csv`` and ``edges.csv`` of a folder; ids as texts, as they stand there.

    Args:
        path: The folder.
        id: The column of node ids (default: the first one).
        ends: The columns of source and target of an edge (default: the first two).
        texts: Other columns that are texts, whatever they look like (default: none).

    Raises:
        FileNotFoundError: If one is missing.
    """
    pd = pandas_needed("a folder of tables")
    tables = []
    for name, given in (("nodes", None if id is None else [id]), ("edges", ends)):
        file = Path(path).expanduser() / f"{name}.csv"
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; a folder of tables has nodes.csv and edges.csv")
        header = list(pd.read_csv(file, nrows=0).columns)
        ids = header[: 1 if name == "nodes" else 2] if given is None else given
        tables.append(pd.read_csv(file, dtype=dict.fromkeys([*ids, *texts], str)))
    return tables[0], tables[1]


def from_graph(graph: Any) -> tuple[Any, Any]:
    """The tables of a networkx graph: attributes of nodes with the nodes as index, and edges ``source``, ``target``.

    Args:
        graph: The graph.

    Raises:
        ValueError: If an attribute of an edge is called as an end.
    """
    pd = pandas_needed("a networkx graph")
    nodes = pd.DataFrame.from_records(
        [attributes for _, attributes in graph.nodes(data=True)], index=_index(list(graph.nodes))
    )
    for u, v, attributes in graph.edges(data=True):
        if {"source", "target"} & attributes.keys():
            raise ValueError(
                f"edge {u!r} -> {v!r} has an attribute called 'source' or 'target', as its ends; rename it"
            )
    rows = [{**attributes, "source": u, "target": v} for u, v, attributes in graph.edges(data=True)]
    edges = pd.DataFrame(rows, columns=None if rows else ["source", "target"])
    return nodes, edges[["source", "target", *(name for name in edges.columns if name not in ("source", "target"))]]


def _index(ids: Sequence[Any]) -> Any:
    import pandas as pd

    index = pd.Index(np.empty(len(ids), dtype=object))
    values = np.empty(len(ids), dtype=object)
    values[:] = ids  # tuples stay tuples
    return pd.Index(values, dtype=object, tupleize_cols=False) if len(ids) else index
