"""k,l-WL: class counts, graph colours and partitions, jointly over the graphs of a file."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms import weisfeiler_leman
from tests.golden.files import GoldenFile

METHODS = ("KLWL",)
ORACLE = "independent computation"

ALGORITHM = re.compile(r"k(\d+)(oblivious|folklore)?_l(\d+)")


def check(file: GoldenFile) -> None:
    graphs = []
    while f"adj{len(graphs)}" in file:
        number = len(graphs)
        adjacency = file.tensor(f"adj{number}")
        edge_index = adjacency.t().nonzero().t().contiguous()  # entry (v, u): v sees u
        graphs.append(Data(edge_index=edge_index, num_nodes=adjacency.size(0)))
        if f"x{number}" in file:
            graphs[-1].x = file.tensor(f"x{number}")
    node_attr = "x" if "x0" in file else None
    names = {key.partition("__")[0] for key in file if "__" in key}
    assert names, f"golden file {file.path} names no algorithm"
    for name in sorted(names):
        k, variant, l = ALGORITHM.fullmatch(name).groups()  # noqa: E741
        found = weisfeiler_leman(graphs, int(k), int(l), variant, node_attr, max_messages=2**28)
        expected = {
            "num_classes": np.array(found.num_classes),
            "iterations": np.array(found.iterations),
            "classes_per_iteration": np.array(found.classes_per_iteration),
            "graph_colour": found.graph_colours,
            "graph_colour_pernode_pool": found.graph_colours_by_node,
        }
        for key, value in expected.items():
            if f"{name}__{key}" in file:
                file.assert_close(f"{name}__{key}", value, 0)
        _check_partitions(file, name, found.partitions)


def _check_partitions(file: GoldenFile, name: str, partitions: tuple[Tensor, ...]) -> None:
    """Equal up to renaming colours, the same in all graphs."""
    ours, theirs = [], []
    for number, partition in enumerate(partitions):
        if (key := f"{name}__partition{number}") in file:
            wanted = file.tensor(key)
            assert wanted.shape == partition.shape, f"golden file {file.path}: {key!r} has shape {wanted.shape}"
            ours.append(partition.reshape(-1))
            theirs.append(wanted.reshape(-1))
    if ours:
        pairs = torch.stack([torch.cat(ours), torch.cat(theirs)])
        sizes = {part.unique(dim=-1).size(-1) for part in (pairs, pairs[0], pairs[1])}
        assert len(sizes) == 1, f"golden file {file.path}: the partition of {name} differs"
