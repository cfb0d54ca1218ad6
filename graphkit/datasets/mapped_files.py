"""Tables and OGB's files as mapped graphs, read in blocks."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graphkit.core.constraints import checked
from graphkit.core.mapped_graph import MappedGraph
from graphkit.datasets.mapping import ROWS, map_graph
from graphkit.tasks.split import STAGES
from graphkit.tasks.tables.sources import check_columns, ends_of, pandas_needed

Block = dict[str, Any]


@checked
def map_files(
    source: str | Path,
    folder: str | Path,
    label: str | None = None,
    id: str | None = None,
    features: Sequence[str] | None = None,
    split: str | None = None,
    ends: Sequence[str] | None = None,
    undirected: bool = True,
    dtype: Literal["float16", "float32"] = "float32",
) -> MappedGraph:
    """Write files that may be larger than memory as a :class:`~graphkit.MappedGraph`; ``graphkit map`` calls it.

    ===================================================  ============================================================
    files below ``source``                               what they are
    ===================================================  ============================================================
    ``nodes.csv`` and ``edges.csv``                      tables as of :meth:`NodeTask.from_csv`; or ``.parquet``, which
                                                         needs pyarrow
    ``raw/edge.csv.gz``, ``raw/node-feat.csv.gz``, ...   a node property prediction set of OGB, unpacked
    ``raw/data.npz``, ``raw/node-label.npz``             a large one, such as ogbn-papers100M
    ===================================================  ============================================================

    Of tables memory holds a block and all ids. Split columns, and OGB's split, become ``train_mask``, ``val_mask`` and
    ``test_mask``.

    Args:
        source: The folder of the files.
        folder: The new folder.
        label: The column of labels of nodes, numbers: classes from 0, -1 where missing (default: none).
        id: The column of node ids (default: the first one).
        features: The columns of features, numbers or truth values (default: all others).
        split: The column that says ``train``, ``val`` or ``test`` (default: none).
        ends: The columns of source and target (default: those called so, else the first two).
        undirected: Whether each edge leads in both directions (default: ``True``).
        dtype: Of which type features are in the file (default: ``"float32"``).

    Raises:
        ImportError: If pandas, or pyarrow for parquet, is not installed.
        FileNotFoundError: If ``source`` has no such files.
        ValueError: If a column is missing, or holds texts, or an id is unknown or repeated, or a column is named for
            OGB's files; and as :func:`map_graph`.
    """
    source = Path(source).expanduser()
    if (source / "raw").is_dir():
        given = {"label": label, "id": id, "features": features, "split": split, "ends": ends}
        if named := [name for name, value in given.items() if value is not None]:
            raise ValueError(
                f"map_files: OGB's files have no columns by name; leave out {named[0]}={given[named[0]]!r}"
            )
        nodes, edges = _ogb(source, dtype)
        return map_graph(folder, edges, nodes, undirected)
    tables = _Tables(source, label, id, features, split, ends, dtype)
    return map_graph(folder, tables.edges(), tables.nodes(), undirected)


class _Tables:
    """Blocks of two tables; nodes are to be read first, as edges name them."""

    def __init__(
        self,
        source: Path,
        label: str | None,
        id: str | None,
        features: Sequence[str] | None,
        split: str | None,
        ends: Sequence[str] | None,
        dtype: str,
    ) -> None:
        self.source, self.label, self.id, self.features = source, label, id, features
        self.split, self.ends, self.dtype = split, ends, dtype
        self._ids: list[Any] = []

    def nodes(self) -> Iterator[Block]:
        for table in _read(self.source, "nodes"):
            id = self.id or table.columns[0]
            told = [name for name in (self.label, self.split) if name is not None]
            check_columns(table, [id, *(self.features or ()), *told], "map_files: nodes")
            self._ids.append(table[id])
            others = [name for name in table.columns if name not in (id, *told)]
            columns = others if self.features is None else self.features
            block: Block = {"x": _numbers(table, columns).astype(self.dtype)} if columns else {}
            if self.label is not None:
                block["y"] = _numbers(table, [self.label])[:, 0]
            if self.split is not None:
                block |= {f"{stage}_mask": (table[self.split] == stage).to_numpy() for stage in STAGES}
            yield block

    def edges(self) -> Iterator[np.ndarray]:
        import pandas as pd

        index = pd.Index(pd.concat(self._ids, ignore_index=True))
        if not index.is_unique:
            raise ValueError(f"map_files: nodes: the id {index[index.duplicated()][0]} is repeated")
        for number, table in enumerate(_read(self.source, "edges")):
            ends = list(self.ends or ends_of(list(table.columns), []))
            if number == 0 and (dropped := [name for name in table.columns if name not in ends]):
                warnings.warn(
                    f"map_files: edges of a mapped graph have no attributes; {', '.join(dropped)} is left out",
                    stacklevel=4,
                )
            check_columns(table, ends, "map_files: edges")
            found = [index.get_indexer(table[name]) for name in ends]
            for name, ids in zip(ends, found, strict=True):
                if (ids < 0).any():
                    bad = table[name].iloc[int((ids < 0).argmax())]
                    raise ValueError(f"map_files: edges: {name} names {bad}, which is no id of a node")
            yield np.stack(found)


def _read(source: Path, name: str) -> Iterator[Any]:
    """Blocks of a table."""
    pd = pandas_needed("map_files")
    if (source / f"{name}.csv").is_file():
        yield from pd.read_csv(source / f"{name}.csv", chunksize=ROWS)
    elif (source / f"{name}.parquet").is_file():
        try:
            from pyarrow.parquet import ParquetFile
        except ImportError as error:
            raise ImportError("parquet needs pyarrow, an optional package: pip install pyarrow") from error
        with ParquetFile(source / f"{name}.parquet") as file:
            yield from (batch.to_pandas() for batch in file.iter_batches(ROWS))
    else:
        raise FileNotFoundError(
            f"map_files: {source} has neither {name}.csv nor {name}.parquet, nor raw/, as OGB's sets have"
        )


def _numbers(table: Any, columns: Sequence[str]) -> np.ndarray:
    """Columns ``[rows, columns]`` of numbers."""
    for name in columns:
        if table[name].dtype.kind not in "biuf":
            raise ValueError(
                f"map_files: nodes: column {name!r} is {table[name].dtype}, must hold numbers; number the classes or "
                "categories, or leave it out of features"
            )
    return table[list(columns)].to_numpy()


def _ogb(source: Path, dtype: str) -> tuple[Iterator[Block], Iterator[np.ndarray]]:
    """Blocks of nodes and edges of OGB's files."""
    pd, raw = pandas_needed("map_files"), source / "raw"

    x: Iterator[np.ndarray] | None
    y: Iterator[np.ndarray]
    edges: Iterator[np.ndarray]

    def rows(name: str) -> Iterator[np.ndarray]:
        return (block.to_numpy() for block in pd.read_csv(raw / f"{name}.csv.gz", header=None, chunksize=ROWS))

    if (raw / "data.npz").is_file():
        x, y = _stored(raw / "data.npz", "node_feat"), _stored(raw / "node-label.npz", "node_label")
        ends = (_stored(raw / "data.npz", "edge_index", row) for row in range(2))
        edges = map(np.stack, zip(*ends, strict=True))
    elif (raw / "edge.csv.gz").is_file() and (raw / "node-label.csv.gz").is_file():
        x = rows("node-feat") if (raw / "node-feat.csv.gz").is_file() else None
        y, edges = rows("node-label"), (block.T for block in rows("edge"))
    else:
        raise FileNotFoundError(f"map_files: {raw} has neither data.npz nor edge.csv.gz and node-label.csv.gz")
    ids = _ogb_split(source / "split")

    def nodes() -> Iterator[Block]:
        start = 0
        for labels in y:
            block: Block = {} if x is None else {"x": next(x).astype(dtype)}
            if labels.shape[1] == 1:  # a class; NaN, -1 here, where there is none
                block["y"] = np.nan_to_num(labels[:, 0], nan=-1).astype(np.int64)
            else:
                block["y"] = labels.astype(np.float32)
            for stage, part in ids.items():
                block[f"{stage}_mask"] = np.zeros(len(labels), bool)
                block[f"{stage}_mask"][part[(part >= start) & (part < start + len(labels))] - start] = True
            start += len(labels)
            yield block

    return nodes(), edges


def _ogb_split(folder: Path) -> dict[str, np.ndarray]:
    """The ids of each part, where there is one split."""
    import pandas as pd

    splits = [path for path in folder.glob("*") if path.is_dir()]
    if len(splits) != 1:
        warnings.warn(f"map_files: {folder} holds {len(splits)} splits, so the graph gets no masks", stacklevel=5)
        return {}
    files = {"train": "train", "val": "valid", "test": "test"}
    return {
        stage: pd.read_csv(splits[0] / f"{name}.csv.gz", header=None).to_numpy()[:, 0] for stage, name in files.items()
    }


def _stored(path: Path, name: str, row: int | None = None) -> Iterator[np.ndarray]:
    """Blocks of an array of an ``.npz`` file, or of one of its rows."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        major, _ = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        if fortran and len(shape) > 1:
            raise ValueError(f"map_files: {name} of {path} is in Fortran's order, must be in C's")
        if row is not None:
            shape = shape[1:]
            file.seek(row * dtype.itemsize * int(np.prod(shape)), 1)
        size = dtype.itemsize * int(np.prod(shape[1:]))
        for start in range(0, shape[0], ROWS):
            block = file.read(size * min(ROWS, shape[0] - start))
            yield np.frombuffer(block, dtype).reshape(-1, *shape[1:])
