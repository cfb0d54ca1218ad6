"""Parsers of sets of links without node features."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.core.validate import check_choice
from graphkit.datasets.parsed import Collated
from graphkit.datasets.raw import RawFiles


def seal(raw: RawFiles, *, features: str = "id") -> Collated:
    """A network of Zhang and Chen (2018); ``features`` is ``id`` (one-hot, which makes embeddings) or ``constant``."""
    from scipy.io import loadmat

    adjacency = loadmat(raw.only)["net"].tocoo()
    edge_index = torch.stack([torch.from_numpy(ids).long() for ids in (adjacency.row, adjacency.col)])
    return Collated({"x": node_features(adjacency.shape[0], features), "edge_index": edge_index})


def node_features(num_nodes: int, features: str) -> Tensor:
    """Features for nodes that have none: one-hot ids, whose first linear map is a table of embeddings, or ones."""
    check_choice(features, ("id", "constant"), "node features")
    return torch.eye(num_nodes) if features == "id" else torch.ones(num_nodes, 1)
