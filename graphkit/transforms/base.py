"""Deterministic transforms: applied once, in parallel, and cached by content."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, Dataset
from torch_geometric.transforms import BaseTransform

from graphkit.core.attributes import with_shared_kinds
from graphkit.core.config import Configurable
from graphkit.core.constraints import Jobs, checked
from graphkit.core.data_folder import cached_tensors, results_folder
from graphkit.core.deprecation import RenamedAttribute
from graphkit.core.devices import CPU, device_of, moved
from graphkit.core.display import progress_bar
from graphkit.core.graph_input import as_graph, check_edges
from graphkit.core.hashing import hash_config, hash_data
from graphkit.core.object_hash import hash_object
from graphkit.core.parallel import parallel
from graphkit.core.reads import Reads, UnreadWarning, unread
from graphkit.core.validate import check_features

_CHUNK = 64
_UNREAD = {
    "edge_weight": "edge_weight: heavy edges are edges as any other",
    "direction": "the direction of edges: each counts in both",
}


def has_own_space(transform: BaseTransform) -> bool:
    """Whether columns that a transform makes of one graph cannot be compared with those of another (``own_space``)."""
    return any(getattr(part, "own_space", False) for part in getattr(transform, "transforms", [transform]))


class Precompute(Configurable, BaseTransform):
    r"""A PyG transform whose result depends on the graph, its own arguments and its code alone.

    So a result is computed once and cached; it counts no more when a class is edited, or what the class uses: what
    counts is told at :meth:`cache_key`.

    Subclasses write ``forward(data) -> data`` without changing their input, and keep each constructor argument under
    its own name. Randomness must come from a ``seed`` argument.

    Attributes:
        expensive: Whether a result is worth a file on disk (see :func:`apply`).
        reads: What of a graph the result depends on. Where that is edges, a graph must have sound ones; where it is not
            the weight or direction of edges, a graph that has them is warned about (default: everything).
    """

    expensive: bool = False
    reads: Reads = Reads(edge_weight=True, edge_attr=True)

    fingerprint = RenamedAttribute("cache_key")

    def __call__(self, data: Data) -> Data:
        """The transformed graph; :meth:`forward` gets a checked shallow copy on the CPU, with ids in int64.

        The result is on the device of the graph, and the same on every device.

        Of a batch, each graph is transformed.

        Raises:
            TypeError, ValueError, IndexError: If it is no sound graph; the message names the transform.
        """
        where = type(self).__name__
        if isinstance(data, Batch) and hasattr(data, "_slice_dict"):  # made of graphs, not by hand
            added = set(data.keys()).difference(data._slice_dict, ("batch", "ptr", "num_nodes"))
            if added:
                raise ValueError(
                    f"{where}: {', '.join(sorted(added))} of the batch is not of its graphs, each of which is "
                    "transformed; set it on the graphs before they become a batch"
                )
            return Batch.from_data_list([self(graph) for graph in data.to_data_list()])
        graph = as_graph(data, where)
        if isinstance(graph.x, Tensor):
            check_features(graph.x, where, graph.get("num_nodes"), codes=True)
        if self.reads.edge_index:
            check_edges(graph, where)
            for name in unread(self.reads, graph):
                warnings.warn(f"{where} does not read {_UNREAD[name]}", UnreadWarning, stacklevel=2)
        device = device_of([graph])
        if device != CPU:
            return moved(self.forward(moved(graph, CPU)), device)
        return self.forward(copy.copy(graph) if graph is data else graph)

    def cache_key(self) -> str:
        """A digest of the arguments and of the code that is run, see :func:`~graphkit.core.object_hash.hash_object`.

        Raises:
            TypeError: If the transform holds something that cannot be pickled; the message names the transform.
        """
        try:
            return hash_object(self)
        except Exception as error:
            name = type(self).__name__
            raise TypeError(f"{name}: its results cannot be cached ({error}); make what it holds in forward") from error


def float_dtype(data: Data) -> torch.dtype:
    """The dtype of numbers that join ``data.x``: its own, or torch's default where it is missing or holds codes."""
    x = data.get("x")
    return x.dtype if x is not None and x.is_floating_point() else torch.get_default_dtype()


@checked
def apply(
    transform: BaseTransform | Callable[[Data], Data],
    graphs: Sequence[Data] | Dataset,
    jobs: Jobs | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> list[Data]:
    r"""Apply a transform to every graph.

    Results of an ``expensive`` :class:`Precompute` are cached in files, 64 graphs each. A file is named by the content
    of its graphs and the transform's :meth:`~Precompute.cache_key`, so it is never stale; one that cannot be read is
    made again. Interrupted work goes on where it stopped.

    Args:
        transform: Any PyG transform, or a function.
        graphs: The graphs; they are not changed.
        jobs: The number of parallel processes (default: one per core for an expensive transform of many graphs).
        cache_dir: The folder of the files (default: ``transforms`` in graphkit's data folder).
        progress: Show a bar (default: on a terminal, when there are many graphs).

    Returns:
        The new graphs, in the order of the old.

    Raises:
        TypeError: If ``transform`` is a class instead of an instance.
        OSError: If the disk is full; the message names the file.
    """
    if isinstance(transform, type):
        raise TypeError(
            f"apply: transform={transform.__name__} is a class, must be an instance: {transform.__name__}(...)"
        )
    folder = _cache_folder(transform, cache_dir) if isinstance(transform, Precompute) and transform.expensive else None
    graphs = with_shared_kinds(graphs)
    starts = range(0, len(graphs), _CHUNK)
    # Graphs of a dataset are views of the tensors of all graphs, which would go along into every file and process.
    chunks = ([graph.clone() for graph in graphs[start : start + _CHUNK]] for start in starts)
    if jobs is None:
        jobs = 1 if folder is None else -1
    if jobs == 1 or len(starts) == 1:
        done: Iterable[list[Data]] = (_apply_chunk(transform, chunk, folder) for chunk in chunks)
    else:
        from joblib import delayed

        done = parallel((delayed(_apply_chunk)(transform, chunk, folder) for chunk in chunks), jobs, ordered=True)
    return [graph for chunk in _bar(done, len(starts), transform, progress) for graph in chunk]


def _cache_folder(transform: Precompute, cache_dir: str | os.PathLike[str] | None) -> Path:
    root = results_folder("transforms") if cache_dir is None else Path(cache_dir)
    return root / f"{type(transform).__name__}-{transform.cache_key()}"


def _bar(
    done: Iterable[list[Data]], total: int, transform: BaseTransform, progress: bool | None
) -> Iterable[list[Data]]:
    show = False if progress is None and total == 1 else progress
    return progress_bar(done, total=total, desc=type(transform).__name__, unit=f"x{_CHUNK} graphs", show=show)


def _apply_chunk(transform: BaseTransform, graphs: list[Data], folder: Path | None) -> list[Data]:
    if folder is None:
        return [transform(graph) for graph in graphs]
    path = folder / f"{hash_config([hash_data(graph, 64) for graph in graphs], length=24)}.pt"
    return cached_tensors(
        path,
        lambda: [transform(graph).to_dict() for graph in graphs],
        lambda content: [type(graph).from_dict(fields) for graph, fields in zip(graphs, content, strict=True)],
    )
