"""Features: random-walk encodings against dense matrices, sparse features against dense ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphkit.models import GCN, MLP
from graphkit.nn import dropout
from graphkit.ops import SparseMatrix
from graphkit.testing import random_graph
from graphkit.testing.instances import factories
from graphkit.transforms import SparseFeatures, features
from graphkit.transforms.features import RandomWalkPE, random_walk


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_walk_encodings_are_diagonals_of_matrix_powers(data):
    n = data.draw(st.integers(1, 9))
    edges = data.draw(
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20, unique=True).map(sorted)
    )
    edge_index = torch.tensor(edges, dtype=torch.long).view(-1, 2).t()
    undirected = torch.cat([edge_index, edge_index.flip(0)], dim=1).unique(dim=1)
    adjacency = torch.zeros(n, n).index_put(tuple(undirected), torch.ones(undirected.size(1)))
    walk = adjacency / adjacency.sum(0).clamp(min=1)  # A D^-1
    expected = torch.stack([torch.linalg.matrix_power(walk, k).diagonal() for k in range(1, 5)], dim=1)
    out = RandomWalkPE(walk_length=4)(Data(x=torch.ones(n, 2), edge_index=undirected))
    torch.testing.assert_close(out.x, torch.cat([torch.ones(n, 2), expected], dim=1))


@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_walk_encodings_in_blocks_and_in_double_precision(block, monkeypatch):
    graph = random_graph(20, 50, edge_dim=None)
    graph.x = graph.x.double()
    graph.edge_index = torch.cat([graph.edge_index, graph.edge_index[:, :5]], 1)
    dense = RandomWalkPE(6)(graph).x[:, -6:]
    walk = torch.zeros(20, 20, dtype=torch.double)
    walk[graph.edge_index[1], graph.edge_index[0]] = 1.0
    walk = walk / walk.sum(0).clamp(min=1)
    expected = torch.stack([torch.linalg.matrix_power(walk, k).diagonal() for k in range(1, 7)], 1)
    monkeypatch.setattr(random_walk, "_DENSE_NODES", 0)
    monkeypatch.setattr(random_walk, "_BLOCK", block)
    torch.testing.assert_close(dense, expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(RandomWalkPE(6)(graph).x[:, -6:], expected, rtol=0, atol=1e-15)
    for empty in (Data(edge_index=graph.edge_index[:, :0], num_nodes=3), Data(edge_index=graph.edge_index[:, :0])):
        empty.num_nodes = empty.num_nodes or 0
        assert torch.equal(RandomWalkPE(2)(empty).x, torch.zeros(empty.num_nodes, 2))


def test_walk_encodings_refuse_sparse_features():
    data = Data(x=torch.eye(3).to_sparse_csr(), edge_index=torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(ValueError, match="x is sparse; add features before SparseFeatures"):
        RandomWalkPE()(data)


@pytest.mark.parametrize("name", [name for name, cls in features.registry.classes().items() if factories(cls)])
def test_codes_do_not_round_features(name):
    (make, *_) = factories(features.registry.get(name)).values()
    graph = random_graph(9, 22, edge_dim=None)
    coded = Data(x=torch.arange(9).view(-1, 1), edge_index=graph.edge_index)
    real = Data(x=coded.x.to(torch.get_default_dtype()), edge_index=graph.edge_index)
    for (key, coded_value), (_, expected) in zip(make()(coded), make()(real), strict=True):
        assert torch.equal(coded_value.to(expected.dtype), expected), key


def test_features_turn_codes_into_floats_and_keep_float64():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    out = RandomWalkPE(walk_length=2)(Data(x=torch.tensor([[3], [4]]), edge_index=edge_index))
    assert out.x.tolist() == [[3.0, 0.0, 1.0], [4.0, 0.0, 1.0]]
    assert RandomWalkPE()(Data(x=torch.ones(2, 1).double(), edge_index=edge_index)).x.dtype == torch.float64


def words(n=30, width=200, density=0.03, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, width, generator=generator) * (torch.rand(n, width, generator=generator) < density)
    source, target = torch.randint(n, (2, 80), generator=generator)
    return Data(x=x.double(), edge_index=torch.stack([source, target]))


def test_when_features_become_sparse():
    data = words()
    assert SparseFeatures()(data).x.layout == torch.sparse_csr
    assert torch.equal(SparseFeatures()(data).x.to_dense(), data.x)
    assert SparseFeatures(max_density=0.01)(data).x.layout == torch.strided
    assert SparseFeatures(min_channels=300)(data).x.layout == torch.strided
    sparse = SparseFeatures()(data)
    assert torch.equal(SparseFeatures()(sparse).x.to_dense(), data.x), "sparse features stay"


@pytest.mark.parametrize("cls", [GCN, MLP])
@pytest.mark.parametrize("arguments", [{}, {"num_layers": 1}, {"hidden_channels": 300}, {"norm": "layer_norm"}])
def test_models_give_the_same_for_sparse_and_dense_features(cls, arguments):
    dense = words()
    sparse = SparseFeatures()(dense)
    model = cls(200, out_channels=3, **arguments).double()
    results = []
    for data in (dense, sparse):
        model.zero_grad()
        out = model(data)
        out.square().sum().backward()
        results.append([out.detach()] + [parameter.grad.clone() for parameter in model.parameters()])
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
def test_dropout_on_sparse_features_has_the_statistics_of_dropout(p):
    x = torch.ones(300, 200).double()
    torch.manual_seed(0)
    out = dropout(SparseMatrix.from_tensor(x.to_sparse_csr()), p, True).to_dense()
    mask = out != 0
    assert mask.double().mean() == pytest.approx(1 - p, abs=5 * (p * (1 - p) / x.numel()) ** 0.5 + 2**-16)
    assert out[mask].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-3)
    assert out.mean() == pytest.approx(1, abs=0.03)
    for axis in (0, 1):
        share = mask.double().mean(axis)
        assert share.std() == pytest.approx((p * (1 - p) / x.size(axis)) ** 0.5, rel=0.3), "rows or columns go together"


def test_dropout_without_effect():
    matrix = SparseMatrix.from_tensor(torch.eye(3).to_sparse_csr())
    assert torch.equal(dropout(matrix, 0.5, False).to_dense(), torch.eye(3))
    assert torch.equal(dropout(matrix, 0.0, True).to_dense(), torch.eye(3))
    assert torch.equal(dropout(torch.ones(2, 2), 0.5, False), torch.ones(2, 2))


def test_a_flat_column_of_codes_is_one_feature() -> None:
    data = Data(x=torch.tensor([3, 1, 2]), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    flat = RandomWalkPE(2)(data).x
    data.x = data.x.view(-1, 1)
    assert torch.equal(flat, RandomWalkPE(2)(data).x)
