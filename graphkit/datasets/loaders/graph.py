"""Parsers of graph classification sets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from graphkit.datasets.parsed import Collated, collate, from_dataset
from graphkit.datasets.raw import DamagedFileError, RawFiles, open_archive, unpack
from graphkit.ops.indices import starts


def tu(
    raw: RawFiles,
    *,
    name: str,
    features: Literal["labels", "degree", "constant"] = "labels",
    use_node_attr: bool = False,
) -> Collated:
    """The TU collection of Morris et al. (2020); ``features`` is ``labels``, ``degree`` (one-hot) or ``constant``."""
    if len(raw.files) == 1:
        _extract_tu(raw.only, raw.scratch / name / "raw", name)
    else:
        raw.place(f"{name}/raw")
    dataset = raw.parse("TUDataset", name, use_node_attr=use_node_attr)
    sizes = dataset._data.to_dict().get("_num_nodes")
    parsed = from_dataset(dataset)
    if sizes is not None:
        parsed.slices["x"] = starts(torch.as_tensor(sizes))
    return _with_features(parsed, features, name)


def _extract_tu(path: Path, folder: Path, name: str) -> None:
    parts = ("A", "graph_indicator", "graph_labels", "node_labels", "node_attributes", "edge_labels", "edge_attributes")
    folder.mkdir(parents=True)
    with open_archive(path) as archive:
        names = set(archive.namelist())
        for part in parts:
            member = f"{name}/{name}_{part}.txt"
            if member in names:
                unpack(archive, member, folder / f"{name}_{part}.txt")
            elif part in parts[:3]:
                raise DamagedFileError(f"{path} holds no file {member}")


def collab_npz(raw: RawFiles, *, features: Literal["degree", "constant"] = "degree") -> Collated:
    """COLLAB from a compact file: each undirected edge once, ids local to the graph."""
    arrays = {key: array.long() for key, array in raw.arrays().items()}
    nodes, edges = arrays["num_nodes"], arrays["num_edges"]
    graph = torch.arange(nodes.numel()).repeat_interleave(edges)
    both = torch.cat([arrays["edges"], arrays["edges"].flip(0)], dim=1)
    # sort by graph, source, target, as PyG does
    key = (graph.repeat(2) * 1024 + both[0]) * 1024 + both[1]
    tensors = {"edge_index": both[:, key.argsort()], "y": arrays["y"], "x": torch.ones(int(nodes.sum()), 1)}
    return _with_features(collate(tensors, nodes, 2 * edges), features, "COLLAB")


def _with_features(parsed: Collated, features: str, name: str) -> Collated:
    if features == "labels":
        if "x" not in parsed.tensors:
            raise ValueError(f"{name} has no node labels; choose features='degree' or 'constant'")
        return parsed
    x = torch.ones(int(parsed.slices["x"][-1]), 1)
    if features == "degree":
        offsets = parsed.slices["x"][:-1].repeat_interleave(parsed.slices["edge_index"].diff())
        degrees = torch.bincount(parsed.tensors["edge_index"][0] + offsets, minlength=x.size(0))
        x = torch.nn.functional.one_hot(degrees).float()
    parsed.tensors["x"] = x
    return parsed
