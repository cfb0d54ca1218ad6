"""Parsers of molecule sets."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.core.validate import check_choice
from graphkit.datasets.parsed import Collated, ends, from_dataset, joined
from graphkit.datasets.raw import RawFiles


def peptides_npz(raw: RawFiles) -> Collated:
    """Peptides-func from a compact file of all graphs in the order of the official table."""
    with np.load(next(iter(raw.files.values()))) as content:
        arrays = {key: torch.from_numpy(content[key]) for key in content}
    count = arrays["y"].size(0)
    tensors = {
        "x": arrays["x"].float(),
        "edge_index": arrays["edge_index"].long(),
        "edge_attr": arrays["edge_attr"].long(),
        "y": arrays["y"].float(),
    }
    edges = ends(arrays["num_edges"])
    slices = {
        "x": ends(arrays["num_nodes"]), "edge_index": edges, "edge_attr": edges, "y": torch.arange(count + 1)
    }  # fmt: skip
    return Collated(tensors, slices, [(arrays["train_idx"], arrays["val_idx"], arrays["test_idx"])])


def lrgb(raw: RawFiles, *, name: str) -> Collated:
    """The long-range graph benchmark of Dwivedi et al. (2022)."""
    raw.place(f"{name.lower()}/raw")
    raw.scan_pickles()
    return joined([from_dataset(raw.parse("LRGBDataset", name, part)) for part in ("train", "val", "test")])


def zinc(raw: RawFiles, *, subset: bool, features: str = "onehot") -> Collated:
    """The official ZINC; ``features`` is ``onehot`` (28 atom types) or ``ids`` (one column)."""
    raw.place("raw")
    raw.scan_pickles()
    for part in ("train", "val", "test"):
        (raw.scratch / "raw" / f"official_{part}.index").rename(raw.scratch / "raw" / f"{part}.index")
    parts = [from_dataset(raw.parse("ZINC", subset, part)) for part in ("train", "val", "test")]
    return _atom_types(joined(parts), features)


def zinc_npz(raw: RawFiles, *, features: str = "onehot") -> Collated:
    """The rebuilt ZINC subset; ``features`` is ``onehot`` (28 atom types) or ``ids`` (one column)."""
    parts = []
    with np.load(next(iter(raw.files.values()))) as content:
        for part in ("train", "val", "test"):
            arrays = {
                key.removeprefix(f"{part}_"): torch.from_numpy(content[key])
                for key in content
                if key.startswith(f"{part}_")
            }
            tensors = {
                "x": arrays["x"].float().view(-1, 1),
                "edge_index": arrays["edge_index"].long(),
                "edge_attr": arrays["edge_attr"].long(),
                "y": arrays["y"],
            }
            edges = ends(arrays["num_edges"])
            slices = (ends(arrays["num_nodes"]), edges, edges, torch.arange(arrays["y"].numel() + 1))
            parts.append(Collated(tensors, dict(zip(tensors, slices))))
    return _atom_types(joined(parts), features)


def _atom_types(parsed: Collated, features: str) -> Collated:
    check_choice(features, ("onehot", "ids"), "atom features")
    if features == "onehot":
        parsed.tensors["x"] = torch.nn.functional.one_hot(parsed.tensors["x"].view(-1).long(), 28).float()
    return parsed


def qm9_ggnn(raw: RawFiles, *, target: int = 0) -> Collated:
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
        links_of = ends(torch.tensor([len(part_edges) for part_edges in edges]))
        nodes_of = ends(torch.tensor([len(part_nodes) for part_nodes in features]))
        slices = (nodes_of, links_of, links_of, torch.arange(len(rows) + 1))
        parts.append(Collated(tensors, dict(zip(tensors, slices))))
    return joined(parts)


def _both_directions(links: np.ndarray) -> np.ndarray:
    """Rows (source, type, target) followed by the same bonds backwards."""
    return np.concatenate([links, links[:, ::-1]])
