"""Parsers of sets of links without node features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphkit.datasets.parsed import Collated
from graphkit.datasets.raw import RawFiles


def seal(raw: RawFiles, *, features: Literal["id", "constant"] = "id") -> Collated:
    """A network of Zhang and Chen (2018); ``features`` is ``id`` (one-hot, which makes embeddings) or ``constant``."""
    from scipy.io import loadmat

    adjacency = loadmat(raw.only)["net"].tocoo()
    edge_index = torch.stack([torch.from_numpy(ids).long() for ids in (adjacency.row, adjacency.col)])
    return Collated({"x": node_features(adjacency.shape[0], features), "edge_index": edge_index})


def node_features(num_nodes: int, features: str) -> Tensor:
    """Features for nodes that have none: one-hot ids, whose first linear map is a table of embeddings, or ones."""
    return torch.eye(num_nodes) if features == "id" else torch.ones(num_nodes, 1)
