"""Edges from nodes of few neighbours to similar nodes of many."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.transforms.rewiring import Densify


def graph(n: int = 60) -> Data:
    edges = torch.tensor(list(nx.barabasi_albert_graph(n - 2, 2, seed=1).edges)).T  # two isolated nodes
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=n)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_new_edges_are_the_nearest_ones_that_are_new(metric):
    data = graph()
    out = Densify(k=3, low=0.4, high=0.8, metric=metric)(data)
    n = data.num_nodes
    adjacency = np.zeros((n, n), bool)
    adjacency[tuple(data.edge_index.numpy())] = True
    degree = adjacency.sum(1)
    x = data.x.numpy()
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    distance = np.linalg.norm(x[:, None] - x, axis=2)
    rich = np.flatnonzero(degree > np.quantile(degree, 0.8))
    expected = set()
    for v in np.flatnonzero(degree < np.quantile(degree, 0.4)):
        free = [u for u in rich if not adjacency[v, u]]
        expected |= {(int(v), int(u)) for u in sorted(free, key=lambda u: distance[v, u])[:3]}
    new = {tuple(pair) for pair in out.edge_index[:, out.edge_type == 1].T.tolist()}
    assert new == expected | {(u, v) for v, u in expected}
    assert {n - 1, n - 2} <= {v for v, _ in new}
    kept = {tuple(pair) for pair in out.edge_index[:, out.edge_type == 0].T.tolist()}
    assert kept == {tuple(pair) for pair in data.edge_index.T.tolist()}


def test_another_embedding_and_refusals():
    data = graph()
    data.emb = torch.eye(60)[:, :5] + 0.1
    assert not torch.equal(Densify("emb", k=2)(data).edge_index, Densify(k=2)(data).edge_index)
    with pytest.raises(ValueError, match=r"'missing' has shape None, must be \[60, channels\]"):
        Densify("missing")(data)
    data.none = torch.empty(60, 0)
    with pytest.raises(ValueError, match=r"'none' has shape \[60, 0\], must be \[60, channels\]"):
        Densify("none")(data)
    with pytest.raises(ValueError, match=r"low=0\.9, must be at most high=0\.5"):
        Densify(low=0.9, high=0.5)
    task = gk.load("karate").transform(gk.features.FastRP(dim=8, cat=False)).transform(Densify(k=2))
    assert task.data.edge_type.sum() > 0
