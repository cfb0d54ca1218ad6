"""Links and splits of them, for tests."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from graphkit import LinkSplit

STAGES = ("train", "val", "test")


def pairs(*listed):
    return torch.tensor(listed).t()


def by_hand(**changes):
    """The path 0-1-2-3-4: two links to train on, one to validate, one to test."""
    parts = {
        "train": pairs((0, 1), (1, 2)),
        "val": pairs((2, 3)),
        "test": pairs((3, 4)),
        "val_negatives": pairs((0, 2), (0, 3)),
        "test_negatives": pairs((0, 4)),
    }
    return LinkSplit("s", **parts | changes)


def path(**changes):
    edge_index = to_undirected(pairs((0, 1), (1, 2), (2, 3), (3, 4)))
    return Data(**{"x": torch.arange(10.0).view(5, 2), "edge_index": edge_index} | changes)


def as_set(edge_index):
    return set(map(tuple, edge_index.t().tolist()))


def undirected_set(edge_index):
    return {tuple(sorted(pair)) for pair in as_set(edge_index)}
