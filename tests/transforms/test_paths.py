"""Paths as attributes: batches, caches, limits."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from graphkit.algorithms import enumerate_paths
from graphkit.algorithms.paths.enumeration import PATHS
from graphkit.testing import random_graph
from graphkit.transforms import Paths, apply

# 5 nodes and 5 edges: as many of one as of the other, where PyG cannot tell attributes of nodes and edges apart
GRAPHS = [random_graph(7, 20), random_graph(1, 0), random_graph(5, 5, seed=1), random_graph(6, 9, num_isolated=2)]


@pytest.mark.parametrize("paths", PATHS)
def test_batches_hold_the_paths_of_the_whole_batch(paths):
    transform = Paths(3, paths)
    batch = Batch.from_data_list([transform(graph) for graph in GRAPHS])
    whole = enumerate_paths(batch.edge_index, batch.num_nodes, 3, paths)
    for k, expected in enumerate(whole, 1):
        assert torch.equal(batch[f"path_index_{k}"], expected.nodes)
        assert ("path_distance_1" in batch) == (paths == "simple")
        if paths == "simple":
            assert torch.equal(batch[f"path_distance_{k}"], expected.distances)
    for graph, again in zip(GRAPHS, batch.to_data_list(), strict=True):
        assert torch.equal(again.path_index_2, transform(graph).path_index_2)


def test_results_are_kept_in_files(tmp_path, monkeypatch):
    first = apply(Paths(3, "simple"), GRAPHS, cache_dir=tmp_path)
    monkeypatch.setattr("graphkit.transforms.paths.enumerate_paths", None)  # must not be needed again
    again = apply(Paths(3, "simple"), GRAPHS, cache_dir=tmp_path)
    for before, after in zip(first, again, strict=True):
        assert torch.equal(before.path_index_3, after.path_index_3)
        assert torch.equal(before.path_distance_3, after.path_distance_3)


def test_the_limit_is_one_per_graph():
    graph = random_graph(12, 132)
    with pytest.raises(ValueError, match=r"12 nodes, 132 edges\) has more than max_paths=1000 simple paths of length"):
        Paths(3, "simple", max_paths=1000)(graph)
    assert Paths(3, "simple", max_paths=20_000)(graph).path_index_3.size(1) == 12 * 11 * 10 * 9


@pytest.mark.parametrize(
    ("options", "message"), [({"length": 0}, "length=0"), ({"paths": "short"}, "did you mean 'shortest'")]
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        Paths(**options)
