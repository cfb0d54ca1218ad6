"""Counts of small patterns against brute force over all choices of nodes."""

from itertools import combinations, permutations

import pytest
import torch
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.datasets.generators.subgraph_counts import PATTERNS

SMALL = {"num_train": 6, "num_val": 2, "num_test": 2}


def brute_force(pattern, graph):
    """Maps of the pattern's nodes to the graph's, over the pattern's symmetries."""
    size, kind = pattern.split("-") if "-" in pattern else ("3", "cycles")
    k = int(size)
    joined = {tuple(edge) for edge in graph.edge_index.T.tolist()}
    if kind == "stars":
        degree = [sum(edge[0] == node for edge in joined) for node in range(graph.num_nodes)]
        return sum(1 for d in degree for _ in combinations(range(d), k))
    length = k if kind == "cycles" else k + 1
    count = 0
    nodes = [node for node in range(graph.num_nodes) if any(edge[0] == node for edge in joined)]
    for chosen in permutations(nodes, 2):
        count += _extended(chosen, joined, nodes, length, kind == "cycles") if chosen in joined else 0
    return count // (2 * k if kind == "cycles" else 2)


def _extended(path, joined, nodes, length, closed):
    if len(path) == length:
        return int(not closed or (path[-1], path[0]) in joined)
    further = [node for node in nodes if node not in path and (path[-1], node) in joined]
    return sum(_extended((*path, node), joined, nodes, length, closed) for node in further)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_counts(pattern):
    graphs = gk.datasets.load_graphs("subgraph-counts", pattern=pattern, **SMALL)
    expected = torch.tensor([brute_force(pattern, graph) for graph in graphs])
    assert torch.equal(PATTERNS[pattern](Batch.from_data_list(graphs)), expected)
    assert expected.max() > 0
    labels = torch.cat([graph.y for graph in graphs])[:, 0]
    torch.testing.assert_close(labels * expected[:6].float().std(correction=0), expected.float())


def test_known_counts():
    """Of the rook's graph and the Petersen graph."""
    rook = gk.datasets.load_graphs("sr16")[0]
    batch = Batch.from_data_list([rook])
    found = {pattern: int(count(batch)) for pattern, count in PATTERNS.items() if pattern != "6-cycles"}
    assert found["triangles"] == 32
    assert found["3-stars"] == 16 * 20
    ring, star, spokes = [(i, (i + 1) % 5) for i in range(5)], [(5 + i, 5 + (i + 2) % 5) for i in range(5)], range(5)
    edges = torch.tensor(ring + star + [(i, i + 5) for i in spokes]).T
    petersen = Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=10)
    batch = Batch.from_data_list([petersen])
    found = [int(PATTERNS[pattern](batch)) for pattern in ("triangles", "4-cycles", "5-cycles", "6-cycles")]
    assert found == [0, 0, 12, 10]
