"""Deterministic transforms: applied once, in parallel, and cached by content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.config import Configurable
from graphkit.core.files import atomic_write
from graphkit.core.hashing import hash_config, hash_data


class Precompute(Configurable, BaseTransform):
    r"""A PyG transform whose result depends on the graph and its own arguments alone.

    Subclasses write ``forward(data) -> data`` without changing their input, and keep each constructor argument under
    its own name. Randomness must come from a ``seed`` argument.

    Attributes:
        expensive: Whether a result is worth a file on disk (see :func:`apply`).
        version: Raised whenever the same arguments would give another result, so that old files are not used.
    """

    expensive: bool = False
    version: int = 1

    def fingerprint(self) -> str:
        """A digest of the class, its version and its arguments."""
        cls = type(self)
        return hash_config([cls.__module__, cls.__qualname__, self.version, self.config()])


def apply(
    transform: BaseTransform,
    graphs: Sequence[Data],
    jobs: int = 1,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> list[Data]:
    r"""Apply a transform to every graph.

    Args:
        transform: Any PyG transform.
        graphs: The graphs; they are not changed.
        jobs: The number of parallel processes (default: 1).
        cache_dir: Where results of ``expensive`` transforms are kept (default: ``transforms`` in graphkit's data
            folder). A file is named by the graph's and the transform's content, so it can never be stale; one that
            cannot be read is computed again.
        progress: Show a bar (default: on a terminal, when there are many graphs).

    Returns:
        The new graphs, in the order of the old.
    """
    folder = _cache_folder(transform, cache_dir)
    bar = _bar(graphs, transform, progress)
    if jobs == 1 or len(graphs) == 1:
        return [_apply_one(transform, graph, folder) for graph in bar]
    from joblib import Parallel, delayed

    return Parallel(n_jobs=jobs)(delayed(_apply_one)(transform, graph, folder) for graph in bar)


def _cache_folder(transform: BaseTransform, cache_dir: str | os.PathLike[str] | None) -> Path | None:
    if not (isinstance(transform, Precompute) and transform.expensive):
        return None
    if cache_dir is None:
        from graphkit.core.resources import data_root

        cache_dir = data_root() / "transforms"
    return Path(cache_dir) / f"{type(transform).__name__}-{transform.fingerprint()}"


def _bar(graphs: Sequence[Data], transform: BaseTransform, progress: bool | None) -> Sequence[Data]:
    from tqdm import tqdm

    silent = len(graphs) < 100 if progress is None else not progress
    # disable=None leaves the decision to tqdm: on a terminal only.
    return tqdm(
        graphs,
        desc=type(transform).__name__,
        unit="graph",
        disable=True if silent else (None if progress is None else False),
    )


def _apply_one(transform: BaseTransform, graph: Data, folder: Path | None) -> Data:
    if folder is None:
        return transform(graph)
    path = folder / f"{hash_data(graph, length=24)}.pt"
    try:
        return Data.from_dict(torch.load(path, weights_only=True))
    except FileNotFoundError:
        pass
    except Exception:  # a damaged file: compute again and replace it
        path.unlink(missing_ok=True)
    result = transform(graph)
    with atomic_write(path) as temporary:
        torch.save(result.to_dict(), temporary)
    return result
