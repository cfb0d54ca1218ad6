"""Tables of nodes and edges as a graph."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.tasks.split import STAGES, Split, part_of
from graphkit.tasks.tables.columns import Column, Impute, numbers_of, texts_of
from graphkit.tasks.tables.sources import check_columns, ends_of, index_of, read_folder


class Made(NamedTuple):
    """What two tables became.

    Attributes:
        data: The graph, without labels.
        ids: The ids of its nodes.
        rows: The row of the edge table that each edge of the graph comes from ``[num_edges]``.
        counted: The row that counts for each row, which is another one where rows repeat one another ``[num_rows]``.
        pairs: The ends of each row, or the pairs that were asked for ``[2, num_rows]``.
        features: The features of each row ``[num_rows, num_features]``, if there are any.
    """

    data: Data
    ids: Any
    rows: Tensor
    counted: Tensor
    pairs: Tensor
    features: Tensor | None

    def masks(self, split: Split) -> list[Tensor]:
        """Which edges of the graph are in each part of a split of rows.

        Raises:
            ValueError: If rows that are one edge are in different parts.
        """
        part = part_of(split, self.counted.numel())
        odd = (part != part[self.counted]).nonzero().view(-1)
        if odd.numel():
            row, other = int(odd[0]), int(self.counted[odd[0]])
            raise ValueError(
                f"edges: rows {other} and {row} are the same edge, but in different parts of split {split.name!r}; put "
                "both into one, or leave one out"
            )
        return [part[self.rows] == number for number in range(len(STAGES))]


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
        texts: The columns of nodes that are kept as texts.
    """

    id: str | None
    features: tuple[Column, ...]
    ends: tuple[str, str]
    weight: Column | None
    edge_features: tuple[Column, ...]
    directed: bool
    label: tuple[str, ...] = ()
    classes: tuple[Any, ...] | None = None
    texts: tuple[str, ...] = ()

    @classmethod
    def learned(
        cls,
        nodes: Any,
        edges: Any,
        label: Sequence[str] = (),
        of: Literal["nodes", "edges"] = "nodes",
        split: str | None = None,
        id: str | None = None,
        features: Sequence[str] | None = None,
        categorical: Sequence[str] = (),
        texts: Sequence[str] = (),
        impute: Impute | None = None,
        standardize: bool = False,
        ends: Sequence[str] | None = None,
        edge_weight: str | None = None,
        edge_features: Sequence[str] = (),
        directed: bool = False,
    ) -> Tables:
        """What the columns of two tables hold; arguments are those of ``NodeTask.from_pandas``.

        The columns ``label`` and ``split`` are ``of`` nodes or edges.

        Raises:
            ValueError: If a column does not exist, is repeated, or does not hold what it should.
        """
        _check_tables(nodes, edges)
        told = {of: [*label, *([] if split is None else [split])]}
        apart = {id, *told.get("nodes", []), *texts}
        names = [name for name in nodes.columns if name not in apart] if features is None else list(features)
        others = [*edge_features, *told.get("edges", []), *([] if edge_weight is None else [edge_weight])]
        chosen = tuple(ends_of(edges.columns, others) if ends is None else ends)
        if len(chosen) != 2 or len(set(chosen)) != 2:
            raise ValueError(f"edges: the ends are {list(chosen)}, must be two columns, source and target")
        check_columns(nodes, [*names, *texts, *told.get("nodes", []), *([] if id is None else [id])], "nodes")
        check_columns(edges, [*chosen, *others], "edges")
        unknown = [name for name in categorical if name not in (*names, *edge_features)]
        if unknown:
            raise ValueError(f"categorical names {unknown[0]!r}, which is no feature; the features are {names}")
        twice = [name for name in texts if name in (id, *names, *told.get("nodes", []))]
        if twice:
            raise ValueError(f"nodes: column {twice[0]!r} is named in texts and as something else; choose one")
        both = set(names if of == "nodes" else edge_features) & set(label)
        if both:
            raise ValueError(f"{of}: column {sorted(both)[0]!r} is label and feature; choose one")
        unused = [name for name in edges.columns if name not in (*chosen, *others)]
        if ends is None:
            _check_ends(nodes.index if id is None else nodes[id], edges, chosen, unused)
        if unused:
            warnings.warn(
                f"edges: no use is made of column {', '.join(repr(str(n)) for n in unused)}; name it in edge_features, "
                "as edge_weight, or leave it out of the table",
                stacklevel=4,
            )
        weight = None if edge_weight is None else Column.learned(edges, edge_weight, False, None, "edges")
        if weight is not None and weight.categories is not None:
            raise ValueError(f"edges: column {edge_weight!r} holds texts, but weights are numbers")
        made = cls(
            id,
            tuple(Column.learned(nodes, name, name in categorical, impute, "nodes", standardize) for name in names),
            (chosen[0], chosen[1]),
            weight,
            tuple(
                Column.learned(edges, name, name in categorical, impute, "edges", standardize) for name in edge_features
            ),
            directed,
            texts=tuple(texts),
        )
        if id is None:
            _warn_of_ids(nodes, edges[list(chosen)], names)
        return made

    def read(self, folder: str | Path, names: Sequence[str] = ("nodes", "edges")) -> list[Any]:
        """The tables of these names in a folder, see :func:`~graphkit.tasks.tables.read_folder`."""
        return read_folder(folder, self.id, self.ends, self.read_as_text, names=names)

    def graph(self, nodes: Any, edges: Any, pairs: Any = None, labels: Tensor | None = None) -> Made:
        """The graph, without labels, and the ids of its nodes.

        Args:
            nodes: A row per node.
            edges: A row per edge.
            pairs: A row per pair that is asked for (default: the edges).
            labels: What tells edges between the same nodes apart, too ``[num_rows, ...]`` (default: nothing).

        Raises:
            TypeError: If these are no tables.
            ValueError: If ids are missing, repeated or unknown, or a value is not what the column held in training.
        """
        _check_tables(nodes, edges)
        ids = self._ids(nodes)
        x = numbers_of(self.features, nodes, ids, "nodes")
        source, target = (self._end(edges, name, ids, "edges") for name in self.ends)
        asked = [source, target] if pairs is None else [self._end(pairs, name, ids, "pairs") for name in self.ends]
        weight = None
        if self.weight is not None:
            weight = self.weight.numbers(edges, edges.index, "edges", "fill them, or leave these edges out")
        features = numbers_of(self.edge_features, edges, edges.index, "edges")
        told = None if labels is None else labels.view(len(edges), -1).double().numpy()
        edge_index, rows, counted = _joined(source, target, [weight, features, told], self.directed)
        data = Data(edge_index=edge_index, num_nodes=len(ids))
        if x is not None:
            data.x = torch.from_numpy(x)
        if weight is not None:
            data.edge_weight = torch.from_numpy(weight)[rows].view(-1)
        if features is not None:
            data.edge_attr = torch.from_numpy(features)[rows]
        for name in self.texts:
            data[name] = texts_of(nodes, name, ids)
        ends = torch.from_numpy(np.stack(asked).astype(np.int64))
        return Made(data, ids, rows, counted, ends, None if features is None else torch.from_numpy(features))

    def _ids(self, nodes: Any) -> Any:
        import pandas as pd

        check_columns(nodes, [] if self.id is None else [self.id], "nodes")
        ids = nodes.index if self.id is None else pd.Index(nodes[self.id], name=self.id)
        ids = index_of(list(ids)) if ids.nlevels > 1 else ids
        if ids.hasnans:
            raise ValueError(f"nodes: row {int(np.asarray(ids.isna()).argmax())} has no id")
        _check_exact(ids, f"nodes: column {self.id!r}")
        if not ids.is_unique:
            repeated = ids[ids.duplicated()]
            raise ValueError(
                f"nodes: id {repeated[0]!r} is repeated ({len(repeated)} such rows); give each node one row"
            )
        return ids

    def _end(self, table: Any, name: str, ids: Any, where: str) -> np.ndarray:
        """The number of the node that each row names in a column."""
        check_columns(table, [name], where)
        named = table[name]
        if named.isna().any():
            raise ValueError(f"{where}: row {int(named.isna().to_numpy().argmax())} has no {name!r}")
        _check_exact(named.infer_objects(), f"{where}: column {name!r}")
        found = ids.get_indexer(named) if len(named) else np.empty(0, dtype=np.int64)
        if (found < 0).any():
            bad = named.iloc[int((found < 0).argmax())]
            kinds = (
                "" if type(bad) is type(ids[0]) else f", a {type(bad).__name__}, but ids are {type(ids[0]).__name__}"
            )
            raise ValueError(
                f"{where}: {(found < 0).sum()} rows name a {name!r} that is no node, e.g. {bad!r}{kinds}; give it a "
                f"row among the nodes, or leave the {where.removesuffix('s')} out"
            )
        return found

    @property
    def read_as_text(self) -> list[str]:
        """The columns that are texts, which a file of numbers alone would not tell."""
        columns = (*self.features, *self.edge_features)
        words = [column.name for column in columns if any(isinstance(c, str) for c in column.categories or ())]
        return [*words, *self.texts]

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
            "texts": list(self.texts),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Tables:
        """The tables that :meth:`config` describes."""
        columns = {key: tuple(map(Column.from_config, config[key])) for key in ("features", "edge_features")}
        weight = None if config["weight"] is None else Column.from_config(config["weight"])
        given = {"texts": (), **config}  # older runs have none
        keys = ("ends", "label", "classes", "texts")
        tuples = {key: None if given[key] is None else tuple(given[key]) for key in keys}
        return cls(id=config["id"], weight=weight, directed=config["directed"], **columns, **tuples)  # type: ignore[arg-type]


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


def _check_ends(ids: Any, edges: Any, ends: tuple[str, ...], unused: Sequence[str]) -> None:
    """Refuse to guess where a column that numbers the edges comes before the two that name nodes."""
    known = set(map(str, ids))
    if not unused or not len(edges) or not edges[ends[0]].is_unique or ends == ("source", "target"):
        return
    if all(edges[name].astype(str).isin(known).all() for name in (ends[1], unused[0])):
        raise ValueError(
            f"edges: column {ends[0]!r} has another value in every row, as ids of edges have, and columns {ends[1]!r} "
            f"and {unused[0]!r} name nodes, too; say which two columns are the ends: ends=[...]"
        )


def names_of_pairs(ids: Any, pairs: Tensor, ends: Sequence[str] = ("source", "target")) -> Any:
    """The ids of the ends of pairs as an index of two levels.

    Args:
        ids: The ids of nodes, or ``None`` for their numbers.
        pairs: The pairs ``[2, n]``.
        ends: What the levels are called (default: ``("source", "target")``).
    """
    import pandas as pd

    columns = [part if ids is None else ids[part] for part in pairs.numpy()]
    return pd.MultiIndex.from_arrays(columns, names=list(ends))


def _joined(
    source: np.ndarray, target: np.ndarray, attributes: Sequence[np.ndarray | None], directed: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Edges ``[2, num_edges]`` without repetitions, in both directions unless directed, and the row of each.

    Besides, the row that counts for each row: the first of those that are one edge.
    """
    import pandas as pd

    given = [value for value in attributes if value is not None]
    columns = np.concatenate([np.empty((source.size, 0)), *given], axis=1)
    named = pd.DataFrame(columns).assign(source=source, target=target)
    repeated = named.duplicated()
    if repeated.any():
        _warn(f"{repeated.sum()} rows repeat another one; each edge counts once")
    if not directed:
        named = named.assign(source=np.minimum(source, target), target=np.maximum(source, target))
    edge = named.groupby(list(named.columns), dropna=False).ngroup().to_numpy()
    _, first, edge = np.unique(edge, return_index=True, return_inverse=True)
    kept = np.sort(first)
    several = int(named.iloc[kept].duplicated(["source", "target"]).sum())
    if several:
        _warn(f"{several} pairs of nodes have several edges with other numbers; all of them count")
    edges = torch.from_numpy(np.stack([source[kept], target[kept]]).astype(np.int64))
    rows, counted = torch.from_numpy(kept), torch.from_numpy(first[edge])
    if directed:
        return edges, rows, counted
    back = edges[0] != edges[1]
    return torch.cat([edges, edges[:, back].flip(0)], dim=1), torch.cat([rows, rows[back]]), counted


def _warn(text: str) -> None:
    warnings.warn(f"edges: {text}", stacklevel=6)
