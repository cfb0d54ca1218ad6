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
    return [out.detach(), *torch.autograd.grad((out * out.detach().cos()).sum(), leaves)]


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


@pytest.mark.parametrize("block", [2**13, 2**26])
def test_pairs_of_the_monoid(block, gpu, monkeypatch):
    monkeypatch.setattr(backend, "DEVICE_BLOCK", block)
    torch.manual_seed(0)
    shapes = [(500, 8), (500, 8), (24, 8), (24, 8), (24,), (24,)]
    given = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    largest = compare(gpu.device, lambda place, *given: symmetric_gru(*given), *given)
    assert largest <= block if block == 2**13 else largest >= 4 * 500 * 8


@pytest.mark.parametrize("block", [1, 2**26])
def test_paths(block, gpu, monkeypatch):
    monkeypatch.setattr(backend, "DEVICE_BLOCK", block)
    torch.manual_seed(0)
    layers = {"cpu": PathConv(5, 4, length=3, encode_distances=True).double()}
    layers[gpu.device] = PathConv(5, 4, length=3, encode_distances=True).double()
    layers[gpu.device].load_state_dict(layers["cpu"].state_dict())
    layers[gpu.device].to(gpu.device)
    graph = random_graph(10, 24, seed=1)
    edges = {"cpu": graph.edge_index, gpu.device: graph.edge_index.to(gpu.device)}
    compare(gpu.device, lambda place, x: layers[place](x, edges[place]), graph.x.double())
    for name, layer in layers.items():
        x = graph.x.double().to(name)
        layer(x, edges[name]).square().sum().backward()
    for (name, mine), theirs in zip(layers[gpu.device].named_parameters(), layers["cpu"].parameters()):
        torch.testing.assert_close(mine.grad.cpu(), theirs.grad, msg=name)
