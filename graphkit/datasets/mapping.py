"""Writing graphs that are larger than memory: blocks of nodes and edges become a folder of numpy's files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphkit.core.constraints import checked
from graphkit.core.mapped_graph import STRUCTURE, MappedGraph

ROWS = 1 << 20  # edges that are read at once
ENTRIES = 1 << 26  # edges that are sorted at once


@checked
def map_graph(
    folder: str | Path, edges: Iterable[Any], nodes: Iterable[Mapping[str, Any]], undirected: bool = True
) -> MappedGraph:
    """Write a graph in blocks, and open it; memory holds a block and 2**26 edges, whatever the size of the graph.

    Edges are sorted in as many passes over a temporary file as that takes; repeated ones count once.

    Args:
        folder: The new folder; it is there when all of it is written.
        edges: Blocks of edges ``[2, num]``, sources and targets, such as a list with the only one.
        nodes: Blocks of nodes, the attributes with a row per node by name: ``{"x": ..., "y": ...}``; all blocks have
            the same ones. Node ids are the numbers of rows over all blocks.
        undirected: Whether each edge leads in both directions (default: ``True``).

    Raises:
        FileExistsError: If the folder is there.
        ValueError: If a block does not fit the first one, or a number is not finite.
        IndexError: If an edge names a node that does not exist.

    Example:
        >>> blocks = ({"x": np.full((2, 3), i, np.float16)} for i in range(4))
        >>> map_graph(tempfile.mkdtemp() + "/new", [np.array([[0, 0], [7, 7]])], blocks)
        MappedGraph(num_nodes=8, x=[8, 3])
    """
    folder = Path(folder).expanduser()
    if folder.exists():
        raise FileExistsError(f"map_graph: {folder} is there; name a new folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent) as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        num_nodes = _write_nodes(whole, nodes)
        _write_edges(whole, Path(scratch) / "pairs.npy", edges, num_nodes, undirected)
        shutil.move(whole, folder)
    return MappedGraph(folder)


class Rows:
    """An ``.npy`` file that grows by blocks of rows.

    Args:
        path: The file.
        first: The first block, whose dtype and width all have.
    """

    def __init__(self, path: Path, first: np.ndarray) -> None:
        self.path, self.dtype, self.shape = path, first.dtype, first.shape
        self.size = 0
        self._file = path.open("wb")
        self._write_header()
        self.append(first)

    def _write_header(self) -> None:  # numpy leaves room for more rows
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.size, *self.shape[1:])}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, block: np.ndarray) -> None:
        """Write further rows."""
        if block.dtype != self.dtype or block.shape[1:] != self.shape[1:]:
            raise ValueError(
                f"map_graph: after {self.size} rows {self.path.stem} is {block.dtype} of shape {list(block.shape)}, "
                f"but began as {self.dtype} of shape {list(self.shape)}; all blocks need the same dtype and width"
            )
        self._file.write(np.ascontiguousarray(block).data)
        self.size += len(block)

    def close(self) -> int:
        """Write how many rows there are, and return it."""
        self._file.seek(0)
        self._write_header()
        self._file.close()
        return self.size


def _write_nodes(folder: Path, blocks: Iterable[Mapping[str, Any]]) -> int:
    """The number of nodes."""
    files: dict[str, Rows] = {}
    for number, block in enumerate(blocks):
        arrays = {name: np.asarray(value) for name, value in block.items()}
        _check_nodes(number, arrays, files)
        for name, array in arrays.items():
            if name in files:
                files[name].append(array)
            else:
                files[name] = Rows(folder / f"{name}.npy", array)
    if not files:
        raise ValueError("map_graph: there are no nodes; give at least one block, such as {'x': features}")
    return max([file.close() for file in files.values()])


def _check_nodes(number: int, arrays: dict[str, np.ndarray], files: dict[str, Rows]) -> None:
    place = f"map_graph: block {number} of nodes"
    if files and arrays.keys() != files.keys():
        raise ValueError(f"{place} has {', '.join(arrays)}, but the first one {', '.join(files)}")
    if reserved := {*STRUCTURE, "num_nodes", "edge_index"} & arrays.keys():
        raise ValueError(f"{place} has {sorted(reserved)[0]!r}, which names a part of the graph; give it another name")
    if len({array.shape[:1] for array in arrays.values()}) != 1 or not all(a.ndim for a in arrays.values()):
        rows = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"{place} has unlike numbers of rows: {rows}")
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{place}: {name} is {array.dtype}, must be numbers or truth values")
        if name == "x" and (array.ndim != 2 or array.dtype.kind != "f"):
            raise ValueError(f"{place}: x is {array.dtype} of shape {list(array.shape)}, must be floats [num, width]")
        if name == "x" and not np.isfinite(array).all():
            row = int((~np.isfinite(array)).any(1).argmax()) + (files["x"].size if files else 0)
            raise ValueError(f"{place}: a feature of node {row} is not finite; replace missing values before")


def _write_edges(folder: Path, spool: Path, edges: Iterable[Any], num_nodes: int, undirected: bool) -> None:
    from graphkit.algorithms.kernels import sorted_rows

    narrow = np.int32 if num_nodes < 2**31 else np.int64
    pairs = Rows(spool, np.empty((0, 2), narrow))
    degree = np.zeros(num_nodes, np.int64)
    for number, block in enumerate(edges):
        checked_pairs = _pairs(number, block, num_nodes).astype(narrow)
        pairs.append(checked_pairs)
        sorted_rows.count(checked_pairs, undirected, degree)
    pairs.close()
    col = Rows(folder / "col.npy", np.empty(0, narrow))
    for first, last in _ranges(degree):
        stop = np.concatenate([[0], degree[first:last].cumsum()])
        part, cursor = np.empty(stop[-1], narrow), stop[:-1].copy()
        for block in _blocks(spool):
            sorted_rows.scatter(block, undirected, first, cursor, part)
        size = sorted_rows.sort(cursor, part)  # which stands at the ends of rows now
        degree[first:last] = cursor
        col.append(part[:size])
    rowptr = np.concatenate([[0], degree.cumsum()])
    np.save(folder / "rowptr.npy", rowptr.astype(narrow if col.close() < 2**31 else np.int64))


def _pairs(number: int, block: Any, num_nodes: int) -> np.ndarray:
    """A block of edges ``[2, num]`` as rows, checked."""
    pairs, place = np.asarray(block), f"map_graph: block {number} of edges"
    if pairs.ndim != 2 or len(pairs) != 2 or pairs.dtype.kind not in "iu":
        raise ValueError(f"{place} is {pairs.dtype} of shape {list(pairs.shape)}, must be integers [2, num]")
    if pairs.size and (pairs.min() < 0 or pairs.max() >= num_nodes):
        bad = pairs.min() if pairs.min() < 0 else pairs.max()
        raise IndexError(f"{place} names node {bad}, but there are {num_nodes} nodes (ids 0..{num_nodes - 1})")
    return pairs.T


def _ranges(degree: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of nodes with no more than so many edges, but for a node with more."""
    ends, first = degree.cumsum(), 0
    while first < degree.size:
        before = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, before + ENTRIES, side="right")), first + 1)
        yield first, last
        first = last


def _blocks(spool: Path) -> Iterator[np.ndarray]:
    pairs = np.load(spool, mmap_mode="r")
    for start in range(0, len(pairs), ROWS):
        yield np.array(pairs[start : start + ROWS])  # read, so that the compiled code sees one kind of array
