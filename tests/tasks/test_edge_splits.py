"""Splits of edges: both directions together, shares of classes, and by time with ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import TemporalData

from graphkit import Split
from tests import tiny

STAGES = ("train", "val", "test")


def part_of(split, count):
    parts = torch.full((count,), -1)
    for number, stage in enumerate(STAGES):
        parts[getattr(split, stage)] = number
    return parts.tolist()


@pytest.mark.parametrize("undirected", [True, False])
def test_edges_between_the_same_nodes_stay_together(undirected):
    edge_index = tiny.graph(8, 60).edge_index  # with repeated edges and loops
    split = Split.random_edges(edge_index, 0.25, 0.25, undirected=undirected)
    found: dict[tuple, set] = {}
    for pair, part in zip(edge_index.t().tolist(), part_of(split, edge_index.size(1))):
        found.setdefault(tuple(sorted(pair)) if undirected else tuple(pair), set()).add(part)
    assert all(len(parts) == 1 for parts in found.values())
    counts = np.bincount([parts.pop() for parts in found.values()])
    assert abs(counts[1] - 0.25 * counts.sum()) <= 1
    assert abs(counts[2] - 0.25 * counts.sum()) <= 1
    assert Split.random_edges(edge_index, 0.25, 0.25, undirected=undirected).hash == split.hash
    assert Split.random_edges(edge_index, 0.25, 0.25, 1, undirected=undirected).hash != split.hash


def test_parts_have_their_share_of_each_class():
    there = torch.stack([torch.arange(100), torch.arange(100) + 1])
    edge_index, label = torch.cat([there, there.flip(0)], dim=1), (torch.arange(100) % 10 == 0).long().repeat(2)
    split = Split.random_edges(edge_index, stratify=label)
    assert [int(label[getattr(split, stage)].sum()) for stage in STAGES] == [12, 4, 4]
    with pytest.raises(ValueError, match="stratify has 5 labels for 200 edges"):
        Split.random_edges(edge_index, stratify=range(5))
    with pytest.raises(ValueError, match="stratify has rows of several labels; give one label per example"):
        Split.random_edges(edge_index, stratify=torch.ones(200, 1))


@pytest.mark.parametrize("seed", range(4))
def test_time_divides_as_pyg_does_and_never_a_tie(seed):
    draw = np.random.default_rng(seed)
    time = np.sort(draw.integers(0, 30, 200))
    events = TemporalData(torch.arange(200), torch.arange(200), torch.from_numpy(time))
    theirs = events.train_val_test_split(0.2, 0.3)
    order = draw.permutation(200)
    split = Split.by_time(torch.from_numpy(time[order]), 0.2, 0.3)
    assert [sorted(order[getattr(split, stage)]) for stage in STAGES] == [part.src.tolist() for part in theirs]
    last = [time[order[getattr(split, stage)]].max() for stage in STAGES]
    first = [time[order[getattr(split, stage)]].min() for stage in STAGES]
    assert last[0] < first[1]
    assert last[1] < first[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"time": [1.0, 2.0, float("nan")]}, "split 'time': time is missing or infinite at row"),
        ({"time": [[1.0], [2.0]]}, r"split 'time': time has the shape \[2, 1\]; give each one number"),
        ({"time": [1, 1, 1, 1, 2]}, "the (val|test) part is empty, as of 5 times many are equal and stay together"),
        ({"time": range(9), "val": 0.5, "test": 0.5}, "val=0.5 and test=0.5 leave nothing for training"),
    ],
)
def test_bad_times(arguments, message):
    with pytest.raises(ValueError, match=message):
        Split.by_time(**arguments)
