"""Parsers of the Open Graph Benchmark's sets, through ogb's own classes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch

from graphkit.datasets.cache import Collated
from graphkit.datasets.loaders.base import RawFiles, from_dataset


@contextmanager
def _ogb() -> Iterator[Any]:
    """The package ogb, with the names that its own caches need allowed to ``torch.load`` for the time of the block."""
    import warnings

    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    # ogb prints its progress in prose; the bars on stderr are enough
    with (
        redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        torch.serialization.safe_globals([DataEdgeAttr, DataTensorAttr, GlobalStorage]),
    ):
        warnings.simplefilter("ignore")
        _import_without_version_check()
        import ogb.graphproppred
        import ogb.nodeproppred

        yield ogb


def _import_without_version_check() -> None:
    """Keep ``import ogb`` from asking the network for its newest version, which it does through this package."""
    import sys

    if "ogb" not in sys.modules and "outdated" not in sys.modules:
        sys.modules["outdated"] = None  # type: ignore[assignment]
        try:
            import ogb  # noqa: F401
        finally:
            del sys.modules["outdated"]


def ogb_graph(raw: RawFiles, *, name: str) -> Collated:
    """A graph property prediction set; the integer atom codes become floating point, bond codes stay integers."""
    folder = name.replace("-", "_")
    raw.place(folder, strip=folder)
    with _ogb() as ogb:
        dataset = ogb.graphproppred.PygGraphPropPredDataset(name, root=str(raw.scratch))
        ids = dataset.get_idx_split()
    parsed = from_dataset(dataset)
    parsed.tensors.pop("num_nodes", None)
    parsed.slices = {key: value for key, value in parsed.slices.items() if key in parsed.tensors}
    y = parsed.tensors["y"]
    parsed.tensors["y"] = (y if y.size(1) > 1 else y.view(-1)).float()
    parsed.splits = [(ids["train"], ids["valid"], ids["test"])]
    return parsed


def ogb_node(raw: RawFiles, *, name: str) -> Collated:
    """A node property prediction set with one label per node, edges as ogb gives them."""
    folder = name.replace("-", "_")
    raw.place(folder, strip=folder)
    with _ogb() as ogb:
        dataset = ogb.nodeproppred.PygNodePropPredDataset(name, root=str(raw.scratch))
        ids = dataset.get_idx_split()
    data = dataset[0]
    return Collated(
        {"x": data.x, "edge_index": data.edge_index, "y": data.y.view(-1)},
        splits=[(ids["train"], ids["valid"], ids["test"])],
    )
