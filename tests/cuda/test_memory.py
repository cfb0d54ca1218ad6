"""What a GPU's memory holds for a moment: blocks of limited size, and the answers of the CPU."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from graphkit import ops
from graphkit.nn import PathConv
from graphkit.nn.aggr.gru_pairs import symmetric_gru
from graphkit.ops import backend
from graphkit.testing import random_graph


class Largest(TorchDispatchMode):
    """The number of doubles in the largest tensor that was made."""

    numbers = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.numbers = max(self.numbers, leaf.untyped_storage().nbytes() // 8)
        return out


def differentiate(function, *given):
    leaves = [x.detach().requires_grad_() for x in given]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad((out * out.detach().cos()).sum(), leaves, materialize_grads=True)]


def compare(device, function, *given):
    """The largest tensor on the device, where values and gradients are those of the CPU."""
    expected = differentiate(lambda *given: function("cpu", *given), *given)
    there = [x.to(device) for x in given]
    with Largest() as largest:
        actual = differentiate(lambda *given: function(device, *given), *there)
    for mine, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(mine.cpu(), theirs)
    return largest.numbers


@pytest.mark.parametrize("block", [2**12, 2**26])
@pytest.mark.parametrize("reduce", ["max", "min"])
def test_extremes_of_neighbours(reduce, block, gpu, monkeypatch):
    monkeypatch.setattr(backend, "DEVICE_BLOCK", block)
    graph = random_graph(30, 1000, seed=1, weighted=True)
    edges = {"cpu": graph.edge_index, gpu.device: graph.edge_index.to(gpu.device)}
    with backend.use_backend("torch"):
        largest = compare(
            gpu.device,
            lambda place, x, weight: ops.spmm(edges[place], x, weight, reduce=reduce),
            torch.randn(30, 40).double(),
            graph.edge_weight.double(),
        )
    num_edges = graph.edge_index.size(1)
    assert largest <= block if block == 2**12 else largest >= 40 * num_edges  # the second: what the first one saves


NODES, EDGES, HEADS, CHANNELS = 30, 1000, 2, 20


def _scores(form, source, target, edge=None, weight=None):
    if form == "dot":
        return ops.Scores.dot(target, source, edge)
    if form == "dynamic":
        return ops.Scores.dynamic(target, source, weight, edge)
    return ops.Scores.additive(target.sum(2), source.sum(2), None if edge is None else edge.sum(2))


def _attention(form, normalize, over):
    def of(graph, x, own, weight, *edge):
        by_head = [rows.view(-1, HEADS, CHANNELS) for rows in (x, own, *edge)]
        scores = _scores(form, *by_head, weight=weight.view(HEADS, CHANNELS))
        out = ops.attention(graph, scores, by_head[0], *by_head[2:], normalize=normalize, over=over)
        return out.flatten(1) * weight

    return of


OVER_EDGES = {
    "gated mean": lambda graph, x, own, weight, *edge: ops.gated_mean(graph, own, x * weight, x),
    "rectified": lambda graph, x, own, weight, *edge: ops.relu_sum(graph, x, own * weight, *edge),
    "without targets": lambda graph, x, own, weight, *edge: ops.relu_sum(graph, x * weight, None, *edge),
    "softmax of products": _attention("dot", "softmax", "targets"),
    "squareplus of products": _attention("dot", "squareplus", "sources"),
    "softmax, dynamic": _attention("dynamic", "softmax", "targets"),
    "softmax, additive": _attention("additive", "softmax", "sources"),
    "weights as they are": _attention("dynamic", None, "targets"),
}
WITH_EDGES = OVER_EDGES | {
    "gates of edges": lambda graph, x, own, weight, edge: ops.edge_gated_mean(graph, edge * weight, x),
    "sums at edges": lambda graph, x, own, weight, edge: ops.edge_sum(graph, x, own * weight, edge),
    "sums of ends": lambda graph, x, own, weight, edge: ops.edge_sum(graph, x, own * weight) * edge,
}


def _over_edges(function, gpu, with_edges):
    graph = torch.randint(NODES, (2, EDGES), generator=torch.Generator().manual_seed(0))
    there = {"cpu": graph, gpu.device: graph.to(gpu.device)}
    torch.manual_seed(1)
    rows = (NODES, NODES, None, EDGES) if with_edges else (NODES, NODES, None)
    given = [torch.randn(*([] if n is None else [n]), HEADS * CHANNELS, dtype=torch.float64) for n in rows]
    with backend.use_backend("torch"):
        return compare(gpu.device, lambda place, *given: function(there[place], *given), *given)


@pytest.mark.parametrize("block", [2**12, 2**26])
@pytest.mark.parametrize("name", OVER_EDGES)
def test_no_row_per_edge(name, block, gpu, monkeypatch):
    monkeypatch.setattr(backend, "DEVICE_BLOCK", block)
    largest = _over_edges(OVER_EDGES[name], gpu, with_edges=False)
    assert largest <= block if block == 2**12 else largest >= EDGES * HEADS * CHANNELS


@pytest.mark.parametrize("name", WITH_EDGES)
def test_blocks_of_what_edges_have(name, gpu, monkeypatch):
    monkeypatch.setattr(backend, "DEVICE_BLOCK", 2**12)
    assert _over_edges(WITH_EDGES[name], gpu, with_edges=True) <= EDGES * HEADS * CHANNELS


@pytest.mark.parametrize("name", ["gated mean", "softmax of products"])
def test_derivatives_of_derivatives_in_blocks(name, gpu, monkeypatch):
    graph, function = torch.tensor([[0, 1, 2, 2, 3, 0], [1, 1, 0, 1, 2, 1]]), OVER_EDGES[name]
    weight = torch.linspace(-1, 1, HEADS * CHANNELS).double()
    second = []
    for block in (2**26, 100):
        monkeypatch.setattr(backend, "DEVICE_BLOCK", block)
        leaves = [torch.linspace(a, 1, 4 * HEADS * CHANNELS).double().view(4, -1).to(gpu.device) for a in (-1, 0)]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        out = function(graph.to(gpu.device), *leaves, weight.to(gpu.device))
        first = torch.autograd.grad(out.square().sum(), leaves, create_graph=True)
        second.append(torch.autograd.grad(sum(grad.square().sum() for grad in first), leaves))
    for mine, theirs in zip(*second, strict=True):
        torch.testing.assert_close(mine.cpu(), theirs.cpu())


@pytest.mark.parametrize("block", [2**13, 2**26])
def test_pairs_of_the_monoid(block, gpu, monkeypatch):
    monkeypatch.setattr(backend, "DEVICE_BLOCK", block)
    torch.manual_seed(0)
    shapes = [(500, 8), (500, 8), (24, 8), (24, 8), (24,), (24,)]
    given = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    largest = compare(gpu.device, lambda place, *given: symmetric_gru(*given), *given)
    assert largest <= block if block == 2**13 else largest >= 4 * 500 * 8


@pytest.mark.parametrize("block", [500, 2**26])
def test_paths(block, gpu, monkeypatch):
    monkeypatch.setattr(backend, "DEVICE_BLOCK", block)
    torch.manual_seed(0)
    layers = {"cpu": PathConv(5, 4, length=3, encode_distances=True).double()}
    layers[gpu.device] = PathConv(5, 4, length=3, encode_distances=True).double()
    layers[gpu.device].load_state_dict(layers["cpu"].state_dict())
    layers[gpu.device].to(gpu.device)
    graph = random_graph(10, 24, seed=1)
    edges = {"cpu": graph.edge_index, gpu.device: graph.edge_index.to(gpu.device)}
    largest = compare(gpu.device, lambda place, x: layers[place](x, edges[place]), graph.x.double())
    assert largest <= block if block == 500 else largest > 1000
    for name, layer in layers.items():
        x = graph.x.double().to(name)
        layer(x, edges[name]).square().sum().backward()
    for (name, mine), theirs in zip(layers[gpu.device].named_parameters(), layers["cpu"].parameters()):
        torch.testing.assert_close(mine.grad.cpu(), theirs.grad, msg=name)
