"""Where the weights of a graph stand."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import ToSparseTensor
from torch_geometric.typing import SparseTensor

from graphkit import nn, ops

EDGES, WEIGHT = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 2]]), torch.tensor([0.5, 2.0, 3.0, 4.0])
X = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 1.0]])


class AsInTorchSparse(SparseTensor):
    """PyG's stand-in for torch_sparse's class, with what is read of it."""

    def __init__(self, row, col, value, sizes):
        self.parts, self.sizes = (row, col, value), sizes

    def coo(self):
        return self.parts

    def size(self, dim):
        return self.sizes[dim]


@pytest.mark.parametrize("make", [nn.GCNConv, nn.PureGCNConv, nn.RelationalConv, nn.GINConv, nn.SGConv])
def test_what_pygs_transform_gives_is_read_with_its_values(make):
    adj_t = ToSparseTensor()(Data(edge_index=EDGES, edge_weight=WEIGHT, num_nodes=3)).adj_t
    layer = make(2, 4)
    expected = layer(X, EDGES, edge_weight=WEIGHT)
    torch.testing.assert_close(layer(X, adj_t), expected)
    assert not torch.allclose(layer(X, EDGES), expected)


def test_a_sparse_tensor_of_torch_sparse():
    value = WEIGHT.clone().requires_grad_()
    adjacency = AsInTorchSparse(EDGES[1], EDGES[0], value, (3, 3))
    layer = nn.GCNConv(2, 4)
    out = layer(X, adjacency)
    torch.testing.assert_close(out, layer(X, EDGES, WEIGHT))
    out.square().sum().backward()
    assert bool((value.grad != 0).all())
    plain = AsInTorchSparse(EDGES[1], EDGES[0], None, (3, 3))
    torch.testing.assert_close(layer(X, plain), layer(X, EDGES))
    with pytest.raises(ValueError, match="size says 4 sources"):
        ops.sparsity_pattern(plain, 4)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_values_of_any_dtype_count_with_the_precision_of_the_features(dtype):
    adjacency = torch.sparse_coo_tensor(EDGES.flip(0), torch.ones(4, dtype=dtype), (3, 3)).coalesce()
    layer, x = nn.GCNConv(2, 4).double(), X.double()
    torch.testing.assert_close(layer(x, adjacency), layer(x, EDGES), rtol=1e-14, atol=1e-14)


def test_weights_besides_values_are_refused():
    adjacency = torch.sparse_coo_tensor(EDGES.flip(0), WEIGHT, (3, 3)).to_sparse_csr()
    for call in (lambda: ops.spmm(adjacency, X, WEIGHT), lambda: nn.GCNConv(2, 4)(X, adjacency, WEIGHT)):
        with pytest.raises(ValueError, match="carries its own values; leave edge weights out, or pass edge_index"):
            call()


def test_what_reads_no_weights_names_one():
    adjacency = torch.sparse_coo_tensor(EDGES.flip(0), WEIGHT, (3, 3)).to_sparse_csr()
    with pytest.raises(ValueError, match=r"MPNNConv reads no edge weights, but .* such as 3; pass edge_index, or ones"):
        nn.MPNNConv(2, 4, 4)(X, adjacency)
    with pytest.raises(ValueError, match="diffusivity='linear' reads no edge_weight; leave it out, or use reweight"):
        nn.GraphDiffusion(2)(X, EDGES, WEIGHT)
