"""Parsers of the Open Graph Benchmark's sets, through ogb's own classes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, Literal

import numpy as np
import torch
from torch_geometric.utils import scatter

from graphkit.datasets.loaders.link import node_features
from graphkit.datasets.parsed import Collated, from_dataset
from graphkit.datasets.raw import RawFiles


@contextmanager
def _ogb() -> Iterator[Any]:
    """The package ogb, with the names that its own caches need allowed to ``torch.load`` for the time of the block."""
    import warnings

    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    reconstruct: Any = np.empty(0).__reduce__()[0]
    arrays: list[Any] = [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in (np.int64, np.float32, np.float64))]
    old_name = (reconstruct, "numpy.core.multiarray._reconstruct")  # in files written by numpy 1
    # ogb prints its progress in prose; the bars on stderr are enough
    with (
        redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        torch.serialization.safe_globals([DataEdgeAttr, DataTensorAttr, GlobalStorage, *arrays, reconstruct, old_name]),
    ):
        warnings.simplefilter("ignore")
        _import_without_version_check()
        import ogb.graphproppred
        import ogb.linkproppred
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


def _parsed(raw: RawFiles, name: str, kind: str) -> tuple[Any, dict[str, Any]]:
    """The dataset of properties of graphs, nodes or links by the package itself, and its split."""
    folder = name.replace("-", "_")
    raw.place(folder, strip=folder)
    with _ogb() as ogb:
        cls = getattr(getattr(ogb, f"{kind.lower()}proppred"), f"Pyg{kind}PropPredDataset")
        dataset = cls(name, root=str(raw.scratch))
        return dataset, dataset.get_edge_split() if kind == "Link" else dataset.get_idx_split()


def ogb_graph(raw: RawFiles, *, name: str) -> Collated:
    """A graph property prediction set; the integer atom codes become floating point, bond codes stay integers."""
    dataset, ids = _parsed(raw, name, "Graph")
    parsed = from_dataset(dataset)
    parsed.tensors.pop("num_nodes", None)
    parsed.slices = {key: value for key, value in parsed.slices.items() if key in parsed.tensors}
    y = parsed.tensors["y"]
    parsed.tensors["y"] = (y if y.size(1) > 1 else y.view(-1)).float()
    parsed.splits = [(ids["train"], ids["valid"], ids["test"])]
    return parsed


def ogb_node(raw: RawFiles, *, name: str) -> Collated:
    """A node property prediction set, edges as ogb gives them.

    Nodes without features get the mean features of their incoming edges, as in OGB's examples.
    """
    dataset, ids = _parsed(raw, name, "Node")
    data = dataset[0]
    x = data.x
    if x is None:
        x = scatter(data.edge_attr, data.edge_index[1], dim_size=data.num_nodes, reduce="mean")
    y = data.y.view(-1) if data.y.size(1) == 1 else data.y.float()
    parts = (ids["train"], ids["valid"], ids["test"])
    return Collated({"x": x, "edge_index": data.edge_index, "y": y}, splits=[parts])


def ogb_link(raw: RawFiles, *, name: str, features: Literal["id", "constant"] = "id") -> Collated:
    """A link property prediction set with shared negatives.

    ``features`` of nodes without any are made as in ``seal``; the weights of edges go along.
    """
    dataset, parts = _parsed(raw, name, "Link")
    data = dataset[0]
    x = node_features(data.num_nodes, features) if data.x is None else data.x.float()
    tensors = {"x": x, "edge_index": data.edge_index}
    if "edge_weight" in data:
        tensors["edge_weight"] = data.edge_weight.view(-1).float()
    for stage, part in zip(("train", "val", "test"), (parts["train"], parts["valid"], parts["test"]), strict=True):
        tensors[stage] = torch.as_tensor(part["edge"]).t().contiguous()
        if stage != "train":
            tensors[f"{stage}_negatives"] = torch.as_tensor(part["edge_neg"]).t().contiguous()
    return Collated(tensors)
