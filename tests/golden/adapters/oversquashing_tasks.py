"""Graph transfer and Tree-NeighborsMatch: edges as multisets, features, labels, source, target and distance."""

from __future__ import annotations

import re
from collections import Counter

import torch
from torch import Tensor

from graphkit.datasets.generators import matching, transfer
from tests.golden.files import GoldenFile

METHODS = ()
ORACLE = "authors' code"

_GRAPHS = {"ring": "ring", "crossedring": "crossed-ring", "cliquepath": "clique-path"}


def check(file: GoldenFile) -> None:
    for group in sorted({key.partition("__")[0] for key in file}):
        if match := re.fullmatch(r"(ring|crossedring|cliquepath)_n(\d+)", group):
            _check_ring(file, group, match[1], int(match[2]))
        elif match := re.fullmatch(r"tree_d(\d+)_a(\d+)", group):
            _check_tree(file, group, int(match[1]), int(match[2]))
        elif match := re.fullmatch(r"treematch_d(\d+)", group):
            _check_matching(file, group, int(match[1]))
        else:
            raise AssertionError(f"golden file {file.path}: unknown group {group!r}")


def _pairs(edge_index: Tensor) -> Counter[tuple[int, int]]:
    return Counter(zip(*edge_index.tolist()))


def _check_ring(file: GoldenFile, group: str, name: str, num_nodes: int) -> None:
    classes = file[f"{group}__x"].shape[1]
    options = {"graph": _GRAPHS[name], "num_classes": classes, "num_train": classes, "num_val": 1, "num_test": 1}
    duplicated = transfer.transfer(num_nodes=num_nodes, duplicate_edges=True, **options)
    _check_sample(file, group, duplicated, exact=True)
    _check_sample(file, group, transfer.transfer(num_nodes=num_nodes, **options), exact=False)


def _check_tree(file: GoldenFile, group: str, depth: int, arity: int) -> None:
    classes = file[f"{group}__x"].shape[1]
    generated = transfer.tree_transfer(
        depth=depth, arity=arity, num_classes=classes, num_train=classes, num_val=1, num_test=1
    )
    _check_sample(file, group, generated, exact=True)


def _check_sample(file: GoldenFile, group: str, generated: object, exact: bool) -> None:
    label = int(file[f"{group}__y"].item())
    graph = generated.graphs[label]
    expected = _pairs(file.tensor(f"{group}__edge_index"))
    assert _pairs(graph.edge_index) == (expected if exact else Counter(set(expected))), f"{group}: edges differ"
    assert torch.equal(graph.x.double(), file.tensor(f"{group}__x").double()), f"{group}: features differ"
    assert graph.y.tolist() == [label]
    assert torch.equal(graph.readout_mask, file.tensor(f"{group}__mask")), f"{group}: source differs"
    assert graph.target == file.scalar(f"{group}__target"), f"{group}: target differs"
    assert _hops(graph.edge_index, graph.num_nodes, graph.target) == file.scalar(f"{group}__distance")


def _hops(edge_index: Tensor, num_nodes: int, target: int) -> int:
    reached = torch.zeros(num_nodes, dtype=torch.bool)
    reached[0] = True
    for distance in range(num_nodes):
        if reached[target]:
            return distance
        reached[edge_index[1][reached[edge_index[0]]]] = True
    raise AssertionError("the target cannot be reached")


def _check_matching(file: GoldenFile, group: str, depth: int) -> None:
    edges, leaves = matching.preorder_tree(depth)
    assert _pairs(edges) == _pairs(file.tensor(f"{group}__edges_child_to_parent")), f"{group}: edges differ"
    assert leaves.tolist() == file[f"{group}__leaves"].tolist(), f"{group}: leaves differ"
