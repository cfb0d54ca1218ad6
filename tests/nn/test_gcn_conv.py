"""GCNConv against PyG's layer and dense matrices, for every form of graph."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.explain.algorithm.utils import set_masks
from torch_geometric.nn import GCNConv as PyGGCNConv

from graphkit.nn import GCNConv, Linear
from graphkit.ops import SparseMatrix
from graphkit.testing import random_graph

GRAPH = random_graph(9, 25, num_isolated=1, weighted=True)
LOOPED = GRAPH.clone()
LOOPED.edge_index = torch.cat([GRAPH.edge_index, torch.tensor([[3], [3]])], dim=1)
LOOPED.edge_weight = torch.cat([GRAPH.edge_weight, torch.tensor([2.5]).double()])


def outputs_and_gradients(layer, graph, weighted):
    x = graph.x.clone().requires_grad_()
    weight = graph.edge_weight.clone().requires_grad_() if weighted else None
    layer.zero_grad()
    out = layer(x, graph.edge_index, weight)
    (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
    found = [out.detach(), x.grad, *[p.grad for p in layer.parameters()]]
    return found if weight is None else [*found, weight.grad]


@pytest.mark.parametrize("graph", [GRAPH, LOOPED])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("out_channels", [3, 8])  # narrower: weights first; wider: propagation first
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"add_self_loops": False}, {"add_self_loops": False}),
        ({"normalize": False}, {"normalize": False}),
        ({"improved": True}, {"improved": True}),
        ({"bias": False}, {"bias": False}),
    ],
)
def test_equals_pygs_layer_with_the_same_state_dict(graph, weighted, out_channels, ours, theirs):
    if ours.get("improved") and not weighted:
        pytest.skip("PyG ignores improved without weights; see the next test")
    layer, reference = GCNConv(5, out_channels, **ours).double(), PyGGCNConv(5, out_channels, **theirs).double()
    layer.load_state_dict(reference.state_dict())
    for first, second in zip(
        outputs_and_gradients(layer, graph, weighted), outputs_and_gradients(reference, graph, weighted), strict=True
    ):
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12)


def test_improved_counts_without_weights_too():
    layer = GCNConv(5, 3, improved=True).double()
    adjacency = torch.zeros(9, 9).double().index_put(tuple(GRAPH.edge_index.flip(0)), torch.ones(25).double())
    adjacency += 2 * torch.eye(9)
    scale = adjacency.sum(1).rsqrt()
    expected = scale[:, None] * adjacency * scale @ (GRAPH.x @ layer.lin.weight.t()) + layer.bias
    torch.testing.assert_close(layer(GRAPH.x, GRAPH.edge_index), expected)


def test_row_normalisation_averages():
    layer = GCNConv(5, 5, normalize="row", bias=False).double()
    with torch.no_grad():
        layer.lin.weight.copy_(torch.eye(5))
    out = layer(GRAPH.x, GRAPH.edge_index)
    for node in range(9):
        senders = GRAPH.edge_index[0][GRAPH.edge_index[1] == node].tolist()
        torch.testing.assert_close(out[node], GRAPH.x[[*senders, node]].mean(0))


@pytest.mark.parametrize("options", [{}, {"normalize": "row"}, {"add_self_loops": False}])
def test_every_form_of_graph_gives_the_same(options):
    layer = GCNConv(5, 3, **options).double()
    expected = layer(GRAPH.x, GRAPH.edge_index)
    order = torch.randperm(25)
    forms = [
        GRAPH.edge_index[:, order],
        EdgeIndex(GRAPH.edge_index, sparse_size=(9, 9)),
        EdgeIndex(GRAPH.edge_index[:, GRAPH.edge_index[1].argsort()], sparse_size=(9, 9), sort_order="col"),
        torch.sparse_coo_tensor(GRAPH.edge_index.flip(0), torch.ones(25).double(), (9, 9)),
        torch.sparse_coo_tensor(GRAPH.edge_index.flip(0), torch.ones(25).double(), (9, 9)).to_sparse_csr(),
        torch.sparse_coo_tensor(GRAPH.edge_index.flip(0), torch.ones(25).double(), (9, 9)).to_sparse_csc(),
    ]
    for form in forms:
        torch.testing.assert_close(layer(GRAPH.x, form), expected)


def test_another_graph_or_an_edit_in_place_is_noticed():
    layer = GCNConv(5, 3).double()
    edge_index = GRAPH.edge_index.clone()
    first = layer(GRAPH.x, edge_index)
    other = random_graph(9, 20, seed=5).edge_index
    assert not torch.allclose(layer(GRAPH.x, other), first)
    edge_index[0, 0] = (edge_index[0, 0] + 1) % 8
    torch.testing.assert_close(layer(GRAPH.x, edge_index), layer(GRAPH.x, edge_index.clone()))
    assert not torch.allclose(layer(GRAPH.x, edge_index), first)


def test_sparse_features():
    x = GRAPH.x * (GRAPH.x > 0.5)
    for out_channels in (3, 8):
        layer = GCNConv(5, out_channels).double()
        sparse = SparseMatrix.from_tensor(x.to_sparse_csr())
        torch.testing.assert_close(layer(sparse, GRAPH.edge_index), layer(x, GRAPH.edge_index))


def test_lazy_size():
    layer = GCNConv(-1, 3)
    layer(GRAPH.x.float(), GRAPH.edge_index)
    assert layer.lin.weight.shape == (3, 5)
    assert str(layer) == "GCNConv(5, 3)"


def test_initial_weights():
    torch.manual_seed(0)
    layer = GCNConv(200, 100)
    bound = (6 / 300) ** 0.5
    assert layer.lin.weight.abs().max() <= bound
    assert layer.lin.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not layer.bias.any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda: (GRAPH.x, GRAPH.edge_index.float()), TypeError, r"edge_index has dtype torch\.float32"),
        (lambda: (GRAPH.x[:4], GRAPH.edge_index), IndexError, "but there are 4"),
        (
            lambda: (GRAPH.x, GRAPH.edge_index.t()),
            ValueError,
            r"edge_index has shape \[25, 2\], expected \[2, num_edges",
        ),
        (lambda: (GRAPH.x, GRAPH.edge_index, torch.ones(3).double()), ValueError, r"the graph has 25 edges"),
        (lambda: (GRAPH.x, GRAPH.edge_index, -torch.ones(25).double()), ValueError, "negative weighted in-degree"),
    ],
)
def test_wrong_inputs(arguments, error, message):
    with pytest.raises(error, match=message):
        GCNConv(5, 3).double()(*arguments())


def test_wrong_normalisation():
    with pytest.raises(ValueError, match="normalize='col', choose from: row"):
        GCNConv(5, 3, normalize="col")


def test_linear_equals_its_dense_self():
    layer = Linear(5, 3).double()
    x = GRAPH.x * (GRAPH.x > 0)
    torch.testing.assert_close(layer(SparseMatrix.from_tensor(x.to_sparse_csr())), layer(x))
    torch.testing.assert_close(layer(x), x @ layer.weight.t() + layer.bias)


def test_a_layer_may_have_its_own_way_to_explain_messages():
    first, second = GCNConv(5, 3, bias=False).double(), GCNConv(5, 3, bias=False).double()
    expected = first(GRAPH.x, GRAPH.edge_index), second(GRAPH.x, GRAPH.edge_index)
    first.explain_message = explain_message = lambda inputs, x_j: 2 * inputs
    explain_message.__name__ = "explain_message"
    first.explain = True
    set_masks(second, torch.ones(25).double(), GRAPH.edge_index, apply_sigmoid=False)
    torch.testing.assert_close(first(GRAPH.x, GRAPH.edge_index), 2 * expected[0])
    torch.testing.assert_close(second(GRAPH.x, GRAPH.edge_index), expected[1])
    assert type(pickle.loads(pickle.dumps(second))) is type(copy.deepcopy(second)) is GCNConv


def test_new_weights_are_drawn_for_parts_that_a_subclass_adds_and_the_bias_becomes_zero():
    class Twice(GCNConv):
        def __init__(self):
            super().__init__(4, 3)
            self.further = Linear(3, 3)

    layer = Twice()
    torch.nn.init.ones_(layer.bias)
    torch.manual_seed(5)
    layer.reset_parameters()
    torch.manual_seed(5)
    first, second = Linear(4, 3, bias=False), Linear(3, 3)
    assert torch.equal(layer.lin.weight, first.weight)
    assert torch.equal(layer.further.weight, second.weight)
    assert not layer.bias.any()
