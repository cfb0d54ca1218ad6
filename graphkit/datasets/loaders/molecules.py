"""Parsers of molecule sets."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch

from graphkit.core.constraints import Interval
from graphkit.datasets.parsed import Collated, collate, from_dataset, joined
from graphkit.datasets.raw import RawFiles


def peptides_npz(raw: RawFiles) -> Collated:
    """Peptides-func from a compact file of all graphs in the order of the official table."""
    arrays = raw.arrays()
    tensors = {
        "x": arrays["x"].float(),
        "edge_index": arrays["edge_index"].long(),
        "edge_attr": arrays["edge_attr"].long(),
        "y": arrays["y"].float(),
    }
    parsed = collate(tensors, arrays["num_nodes"], arrays["num_edges"])
    parsed.splits = [(arrays["train_idx"], arrays["val_idx"], arrays["test_idx"])]
    return parsed


def lrgb(raw: RawFiles, *, name: str) -> Collated:
    """The long-range graph benchmark of Dwivedi et al. (2022)."""
    raw.place(f"{name.lower()}/raw")
    raw.scan_pickles()
    return joined([from_dataset(raw.parse("LRGBDataset", name, part)) for part in ("train", "val", "test")])


def zinc(raw: RawFiles, *, subset: bool, features: Literal["onehot", "ids"] = "onehot") -> Collated:
    """The official ZINC; ``features`` is ``onehot`` (28 atom types) or ``ids`` (one column)."""
    raw.place("raw")
    raw.scan_pickles()
    for part in ("train", "val", "test"):
        (raw.scratch / "raw" / f"official_{part}.index").rename(raw.scratch / "raw" / f"{part}.index")
    parts = [from_dataset(raw.parse("ZINC", subset, part)) for part in ("train", "val", "test")]
    return _atom_types(joined(parts), features)


def zinc_npz(raw: RawFiles, *, features: Literal["onehot", "ids"] = "onehot") -> Collated:
    """The rebuilt ZINC subset; ``features`` is ``onehot`` (28 atom types) or ``ids`` (one column)."""
    arrays = raw.arrays()
    parts = []
    for part in ("train", "val", "test"):
        tensors = {
            "x": arrays[f"{part}_x"].float().view(-1, 1),
            "edge_index": arrays[f"{part}_edge_index"].long(),
            "edge_attr": arrays[f"{part}_edge_attr"].long(),
            "y": arrays[f"{part}_y"],
        }
        parts.append(collate(tensors, arrays[f"{part}_num_nodes"], arrays[f"{part}_num_edges"]))
    return _atom_types(joined(parts), features)


def _atom_types(parsed: Collated, features: str) -> Collated:
    if features == "onehot":
        parsed.tensors["x"] = torch.nn.functional.one_hot(parsed.tensors["x"].view(-1).long(), 28).float()
    return parsed


def qm9_ggnn(raw: RawFiles, *, target: Annotated[int, Interval(0, 12, "both")] = 0) -> Collated:
    """QM9 in the form of the gated graph networks' code: 13 regression targets, one of them at a time."""
    import gzip
    import json

    parts = []
    for part in ("train", "valid", "test"):
        with gzip.open(raw[f"{part}.jsonl.gz"], "rt") as file:
            rows = [json.loads(line) for line in file]
        edges = [_both_directions(np.asarray(row["graph"], dtype=np.int64).reshape(-1, 3)) for row in rows]
        features = [np.asarray(row["node_features"], dtype=np.float32) for row in rows]
        both = torch.from_numpy(np.concatenate(edges))
        tensors = {
            "x": torch.from_numpy(np.concatenate(features)),
            "edge_index": both[:, [0, 2]].t().contiguous(),
            "edge_attr": both[:, 1].contiguous(),
            "y": torch.tensor([row["targets"][target][0] for row in rows]),
        }
        parts.append(collate(tensors, list(map(len, features)), list(map(len, edges))))
    return joined(parts)


def _both_directions(links: np.ndarray) -> np.ndarray:
    """Rows (source, type, target) followed by the same bonds backwards."""
    return np.concatenate([links, links[:, ::-1]])
