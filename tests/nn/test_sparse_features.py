"""Sparse features give what dense ones give, in layers built lazily, too, or are refused by name."""

import pytest
import torch

from graphkit import nn
from graphkit.ops import SparseMatrix

EDGES = torch.tensor([[0, 1, 2], [1, 2, 3]])
DENSE = torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
SPARSE = {
    "matrix": SparseMatrix.from_tensor(DENSE.to_sparse()),
    "tensor": DENSE.to_sparse(),
}


@pytest.mark.parametrize("in_channels", [3, -1])
@pytest.mark.parametrize("name", ["GCNConv", "GINConv", "PureGCNConv", "RelationalConv", "SGConv", "ShaDowGATConv"])
def test_sparse_features_give_what_dense_ones_give(name, in_channels):
    found = []
    for x in (DENSE, SPARSE["matrix"]):
        torch.manual_seed(0)
        layer = getattr(nn, name)(in_channels, 3)
        out = layer(x, EDGES)
        out.square().sum().backward()
        found.append([out, *[p.grad for p in layer.parameters() if p.grad is not None]])
    assert len(found[0]) > 1
    for dense, sparse in zip(*found, strict=True):
        torch.testing.assert_close(sparse, dense)


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize("in_channels", [3, -1])
@pytest.mark.parametrize("name", ["GraphSAINTConv", "ShaDowSAGEConv", "ShaDowGCNConv"])
def test_layers_that_average_first_refuse_sparse_features(name, in_channels, kind):
    with pytest.raises(TypeError, match=rf"{name}: x is a sparse matrix, must be a dense tensor; use x.to_dense\(\)"):
        getattr(nn, name)(in_channels, 3)(SPARSE[kind], EDGES)


@pytest.mark.parametrize("form", ["dense", "pair", "sparse ones"])
def test_weights_of_edges_of_a_wider_dtype_are_named(form):
    edge_index, edge_weight = torch.tensor([[0, 1], [1, 2]]), torch.ones(2, dtype=torch.float64)
    x = torch.ones(3, 3)
    x = {"dense": x, "pair": (x, x), "sparse ones": SparseMatrix.from_edges(edge_index, size=3)}[form]
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    layer = nn.GINConv(nn.GINPerceptron(3, 2) if form == "sparse ones" else network)
    with pytest.raises(
        TypeError, match=r"GINConv: edge_weight is torch.float64, .*use edge_weight.to\(torch.float32\)"
    ):
        layer(x, edge_index, edge_weight)
