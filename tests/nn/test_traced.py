"""Layers under torch.compile and torch.func, beyond what the common checks of all classes look at."""

from __future__ import annotations

import pytest
import torch

from graphkit.models import GRAND
from graphkit.nn import DRewGCNConv, GCNConv, GINConv, GINPerceptron, RelationalConv
from graphkit.ops import sparsity_pattern, spmm
from graphkit.testing import random_graph

GRAPH = random_graph(9, 20, weighted=True)


def in_vmap(call):
    """The result of a call that torch.func transforms, of features in a batch of one."""
    return torch.vmap(call)(GRAPH.x.unsqueeze(0))[0]


def test_gradients_of_weights_of_edges():
    layer = GCNConv(5, 4).double()
    weight = GRAPH.edge_weight.clone().requires_grad_()
    (expected,) = torch.autograd.grad(layer(GRAPH.x, GRAPH.edge_index, weight).square().sum(), weight)
    found = torch.func.grad(lambda w: layer(GRAPH.x, GRAPH.edge_index, w).square().sum())(weight.detach())
    torch.testing.assert_close(found, expected)


def test_the_last_of_several_self_loops_stays():
    layer = GCNConv(2, 2).double()
    x, edges = torch.eye(3, 2).double(), torch.tensor([[0, 0, 1, 0], [0, 0, 2, 0]])
    weight = torch.tensor([2.0, 3.0, 1.0, 5.0]).double()
    found = torch.vmap(lambda x: layer(x, edges, weight))(x.unsqueeze(0))[0]
    torch.testing.assert_close(found, layer(x, edges, weight))


@pytest.mark.parametrize("conv", ["gcn", "gin"])
def test_edges_of_several_relations(conv):
    layer, kind = RelationalConv(5, 4, num_relations=3, conv=conv).double(), torch.arange(20) % 3
    expected = layer(GRAPH.x, GRAPH.edge_index, kind, GRAPH.edge_weight)
    torch.testing.assert_close(in_vmap(lambda x: layer(x, GRAPH.edge_index, kind, GRAPH.edge_weight)), expected)


@pytest.mark.parametrize("options", [{}, {"paper_form": True}, {"official_skip_empty_hops": True}])
def test_pairs_of_several_distances(options):
    layer, hops = DRewGCNConv(5, 4, num_hops=3, nu=float("inf"), **options).double().eval(), torch.arange(20) % 2 + 1
    torch.testing.assert_close(
        in_vmap(lambda x: layer(x, GRAPH.edge_index, hops)), layer(GRAPH.x, GRAPH.edge_index, hops)
    )


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("own_loops", [False, True])
def test_reductions_and_their_gradients(reduce, own_loops):
    """Node 7 has no edges, messages of node 5 are 0 (also as extremes)."""
    edges = GRAPH.edge_index.masked_fill(GRAPH.edge_index >= 7, 0)
    edges[:, :2] = 8  # own loops replace these two
    weight = GRAPH.edge_weight.masked_fill(edges[0] == 5, 0.0)

    def call(x, weight):
        graph, values = sparsity_pattern(edges, 9), weight
        if own_loops:
            graph, values = graph.with_self_loops(weight)
        return spmm(graph, x, values, reduce)

    wanted = GRAPH.x.clone().requires_grad_(), weight.clone().requires_grad_()
    out = call(*wanted)
    found = torch.compile(call, fullgraph=True, backend="aot_eager")(*wanted)
    torch.testing.assert_close(found, out)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=out.dtype)
    gradients = torch.autograd.grad(found, wanted, direction)
    torch.testing.assert_close(gradients, torch.autograd.grad(out, wanted, direction))
    torch.testing.assert_close(in_vmap(lambda x: call(x, weight)), out)
    torch._dynamo.reset()


def test_what_follows_from_the_contents_of_edges_is_refused():
    with pytest.raises(AttributeError, match="is_symmetric of a graph would follow from the contents of its edges"):
        in_vmap(lambda x: x * sparsity_pattern(GRAPH.edge_index, 9).is_symmetric)


def test_a_model_with_a_solver_is_compiled_around_it():
    model = GRAND(5, 6, attention_channels=4, heads=2, out_channels=2).double().eval()
    compiled = torch.compile(model, backend="eager")
    for graph in (GRAPH, random_graph(5, 7)):
        torch.testing.assert_close(compiled(graph), model(graph))
    torch._dynamo.reset()


def test_a_compiled_layer_has_gradients():
    layer = GINConv(GINPerceptron(5, 4), train_eps=True).double()
    compiled, x = torch.compile(layer, fullgraph=True, backend="aot_eager"), GRAPH.x.clone().requires_grad_()
    wanted = [x, *layer.parameters()]
    found, expected = (
        torch.autograd.grad(call(x, GRAPH.edge_index, GRAPH.edge_weight).square().sum(), wanted)
        for call in (compiled, layer)
    )
    torch.testing.assert_close(found, expected)
    torch._dynamo.reset()
