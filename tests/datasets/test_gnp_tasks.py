from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_networkx

import graphkit as gk

SMALL = {"num_train": 20, "num_val": 5, "num_test": 5, "num_extrapolation": 10}


def graphs(name: str, **options: object) -> list[Data]:
    return gk.datasets.load_graphs(name, **SMALL, **options)


@pytest.mark.parametrize("values", ["uniform", "mixture"])
@pytest.mark.parametrize(
    ("target", "oracle"),
    [
        ("sum", lambda x: x.sum()),
        ("mean", lambda x: x.mean()),
        ("max", lambda x: x.max()),
        ("min", lambda x: x.min()),
        ("cardinality", lambda x: x.numel()),
        ("std", lambda x: x.std(correction=0)),
    ],
)
def test_statistics_of_sets(values: str, target: str, oracle: object) -> None:
    for graph in graphs("gnp-sets", target=target, values=values):
        assert (graph.x >= 0).all()
        assert graph.y.item() == pytest.approx(float(oracle(graph.x)), rel=1e-5)


def test_functions_of_graphs() -> None:
    for target, oracle in (
        ("max_degree", lambda graph: torch.bincount(graph.edge_index[1]).max()),
        ("harmonic", lambda graph: 1 / (1 / graph.x[:, 1]).mean()),
        ("inverse_size", lambda graph: 1 / graph.num_nodes),
    ):
        for graph in graphs("gnp-graphs", target=target):
            assert graph.y.item() == pytest.approx(float(oracle(graph)), rel=1e-5)
            assert not graph.has_isolated_nodes()


def test_functions_of_nodes() -> None:
    for graph in graphs("gnp-nodes"):
        source = int(graph.x[:, 0].argmax())
        lengths = nx.single_source_shortest_path_length(to_networkx(graph, to_undirected=True), source)
        assert graph.y[:, 0].tolist() == [lengths.get(v, 0) for v in range(graph.num_nodes)]
    for graph in graphs("gnp-nodes", target="neighbourhood"):
        near = to_networkx(graph, to_undirected=True).adj
        expected = torch.stack([graph.x[list(near[v]), 1].mean() for v in range(graph.num_nodes)])
        assert torch.allclose(graph.y[:, 0], expected)


@pytest.mark.parametrize("name", ["gnp-sets", "gnp-graphs", "gnp-nodes"])
def test_the_further_test_part_is_larger(name: str) -> None:
    near, far = (gk.load(name, split) for split in ("in-distribution", "extrapolation"))
    sizes = torch.tensor([graph.num_nodes for graph in near.graphs])
    assert (sizes[:3000].min(), sizes[:3000].max()) == (20, 40)
    assert (sizes[far.split.test].min(), sizes[far.split.test].max()) == (50, 100)
    assert torch.equal(near.split.train, far.split.train)
    assert torch.equal(near.split.val, far.split.val)
    with pytest.raises(ValueError, match=r"target='maxx', .*choose from: "):
        gk.load(name, target="maxx")
