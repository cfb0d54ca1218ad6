"""Parsers of node-level sets."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.datasets.parsed import Collated, from_dataset, masks_to_ids
from graphkit.datasets.raw import RawFiles


def planetoid(raw: RawFiles, *, name: str) -> Collated:
    """Cora, CiteSeer and PubMed as in Yang et al. (2016)."""
    raw.scan_pickles()
    return pyg(raw, "Planetoid", f"{name}/raw", name=name)


def pyg(raw: RawFiles, dataset: str, folder: str, **arguments: object) -> Collated:
    """What PyG's class ``dataset`` makes of the files, which it wants in ``folder``."""
    raw.place(folder)
    return from_dataset(raw.parse(dataset, **arguments))


def wikics(raw: RawFiles) -> Collated:
    """WikiCS, made undirected."""
    parsed = pyg(raw, "WikiCS", "raw", is_undirected=True)
    parsed.tensors.pop("stopping_mask", None)
    return parsed


def heterophilous_npz(raw: RawFiles, *, undirected: bool) -> Collated:
    """The cleaned sets of Platonov et al. (2023), in the same file layout but without a PyG class.

    A class that no split contains is taken out: its nodes have the label -1.
    """
    from torch_geometric.utils import coalesce, to_undirected

    arrays = raw.arrays()
    edge_index = arrays["edges"].t().contiguous()
    edge_index = to_undirected(edge_index) if undirected else coalesce(edge_index)
    splits = masks_to_ids(*(arrays[f"{stage}_masks"].t() for stage in ("train", "val", "test")))
    old = arrays["node_labels"]
    used = torch.cat([old[ids] for ids in splits[0]]).unique()
    y = torch.where(torch.isin(old, used), torch.searchsorted(used, old), -1)
    return Collated({"x": arrays["node_features"].float(), "edge_index": edge_index, "y": y}, splits=splits)


def structure_npz(raw: RawFiles) -> Collated:
    """A graph without features: every node gets the constant 1."""
    arrays = {key: array.long() for key, array in raw.arrays().items()}
    y = arrays["y"]
    ids = (arrays["train_idx"], arrays["val_idx"], arrays["test_idx"])
    return Collated({"x": torch.ones(y.numel(), 1), "edge_index": arrays["edge_index"], "y": y}, splits=[ids])


def musae(raw: RawFiles, *, name: str, regression: bool) -> Collated:
    """MUSAE's own files: edges, active features per node, and a page type or a traffic count."""
    import csv
    import json

    from torch_geometric.utils import to_undirected

    with raw[f"{name}_target.csv"].open(encoding="utf-8", newline="") as file:
        rows = {int(row["id"]): row["target" if regression else "page_type"] for row in csv.DictReader(file)}
    values = [rows[node] for node in range(len(rows))]
    if regression:
        y = torch.tensor([float(value) for value in values])
    else:
        y = torch.tensor([sorted(set(values)).index(value) for value in values])
    active = json.loads(raw[f"{name}_features.json"].read_text())
    columns = np.concatenate([np.asarray(ids, dtype=np.int64) for ids in active.values()])
    nodes = np.repeat(np.asarray([int(node) for node in active]), [len(ids) for ids in active.values()])
    x = torch.zeros(len(rows), int(columns.max()) + 1)
    x[torch.from_numpy(nodes), torch.from_numpy(columns)] = 1.0
    edges = torch.from_numpy(np.loadtxt(raw[f"{name}_edges.csv"], dtype=np.int64, delimiter=",", skiprows=1))
    return Collated({"x": x, "edge_index": to_undirected(edges.t().contiguous(), num_nodes=len(rows)), "y": y})


def network_mat(raw: RawFiles) -> Collated:
    """A network without features whose nodes belong to groups, as authors of embeddings hand it out for MATLAB."""
    from scipy.io import loadmat

    content = loadmat(raw.only)
    network = content["network"].tocoo()
    edge_index = torch.from_numpy(np.stack([network.row, network.col]).astype(np.int64))
    weight = torch.from_numpy(network.data).float()
    labels = torch.from_numpy(content["group"].toarray()).float()
    weighted = {} if weight.eq(1).all() else {"edge_weight": weight}
    return Collated({"edge_index": edge_index, "y": labels, **weighted})
