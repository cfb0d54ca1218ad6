"""Layers under torch.compile, torch.export and torch.func: the same numbers, for graphs of any size."""

from __future__ import annotations

import pytest
import torch

from graphkit import nn
from graphkit.core.checks import checks_of
from graphkit.nn.layer import Layer
from graphkit.testing import random_graph
from graphkit.testing.instances import examples

# these work with the pattern of a graph itself, which no tracer follows
BY_PATTERN = {"AttentionDiffusion", "GraphDiffusion", "RelationalConv", "ShaDowGATConv"}
LAYERS = {
    f"{name} {i}": make
    for name, cls in nn.registry.classes().items()
    if issubclass(cls, Layer) and name not in BY_PATTERN
    for i, (text, make, _) in enumerate(examples(cls, checks_of(cls)))
    if not any(aggr in text for aggr in ("lcm", "recurrent"))  # they sort the elements of sets
}


def build(name):
    torch.manual_seed(0)
    return LAYERS[name]().double().eval()


def arguments(layer, graph):
    weighted = "edge_weight" in layer.forward.__wrapped__.__annotations__
    return (graph.x, graph.edge_index, graph.edge_weight) if weighted else (graph.x, graph.edge_index)


def graphs():
    for n, m in ((9, 20), (15, 33), (5, 7)):
        graph = random_graph(n, m, weighted=True)
        graph.edge_index[:, 2] = 1  # a self-loop keeps its weight
        yield graph


@pytest.fixture(autouse=True)
def fresh():
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", [name for name in LAYERS if name.endswith(" 0")])
def test_one_compiled_layer_serves_graphs_of_any_size(name):
    layer = build(name)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="eager")
    for graph in graphs():
        given = arguments(layer, graph)
        given[0].requires_grad_()
        results = [
            (out, *torch.autograd.grad(out.square().sum(), given[0])) for out in (compiled(*given), layer(*given))
        ]
        torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", LAYERS)
def test_functional_transforms(name):
    layer, graph = build(name), next(graphs())
    x, *edges = arguments(layer, graph)

    def call(x):
        return layer(x, *edges)

    torch.testing.assert_close(torch.vmap(call)(torch.stack([x, 2 * x])), torch.stack([call(x), call(2 * x)]))
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    out, along = torch.func.jvp(call, (x,), (direction,))
    torch.testing.assert_close(out, call(x))
    jacobian = torch.func.jacrev(call)(x)
    torch.testing.assert_close(along, torch.tensordot(jacobian, direction, dims=2))
    given = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(call(given).square().sum(), given)
    torch.testing.assert_close(torch.func.grad(lambda x: call(x).square().sum())(x), gradient)


def test_gradients_of_weights_of_edges():
    layer, graph = build("GCNConv 0"), next(graphs())
    weight = graph.edge_weight.requires_grad_()
    (expected,) = torch.autograd.grad(layer(graph.x, graph.edge_index, weight).square().sum(), weight)
    found = torch.func.grad(lambda w: layer(graph.x, graph.edge_index, w).square().sum())(weight.detach())
    torch.testing.assert_close(found, expected)


def test_the_last_of_several_self_loops_stays():
    layer = nn.GCNConv(2, 2).double()
    x, edges = torch.eye(3, 2).double(), torch.tensor([[0, 0, 1, 0], [0, 0, 2, 0]])
    weight = torch.tensor([2.0, 3.0, 1.0, 5.0]).double()
    found = torch.vmap(lambda x: layer(x, edges, weight))(x.unsqueeze(0))[0]
    torch.testing.assert_close(found, layer(x, edges, weight))


def test_an_exported_layer_gives_the_same():
    layer, graph = build("GCNConv 0"), next(graphs())
    given = arguments(layer, graph)
    torch.testing.assert_close(torch.export.export(layer, given).module()(*given), layer(*given))
