"""Computational graphs say what a module computes, and nothing else; predicted parameters follow from it."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from graphkit.metanetworks import OPERATIONS, GraphHyperNetwork, computational_graph


class Residual(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.block = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.scale = nn.Parameter(torch.ones(width, 1, 1))
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        h = F.relu(self.norm(self.conv(x)))
        h = h + self.scale * self.block(h)
        return self.head(F.adaptive_avg_pool2d(h, 1).flatten(1))


def mlp(*widths):
    layers = [part for pair in itertools.pairwise(widths) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def test_operations_and_edges_are_those_of_forward():
    graph = computational_graph(Residual())
    names = [OPERATIONS[code] for code in graph.x[:, 0].tolist()]
    assert names == ["input", "convolution", "batch norm", "activation", "parameter", "convolution", "activation",
                     "factor", "sum", "pooling", "flatten", "linear", "output"]  # fmt: skip
    edges = set(map(tuple, graph.edge_index.t().tolist()))
    assert edges == {(0, 1), (1, 2), (2, 3), (3, 5), (5, 6), (4, 7), (6, 7), (3, 8), (7, 8), (8, 9), (9, 10), (10, 11),
                     (11, 12)}  # fmt: skip
    assert (graph.edge_index[0] < graph.edge_index[1]).all()
    assert graph.names == ["", "conv", "norm", "", "scale", "block.0", "", "", "", "", "", "head", ""]
    assert graph.x[1].tolist() == [OPERATIONS.index("convolution"), 3, 1, 4]  # 4 rows, 1 column, a kernel of 9
    assert graph.x[11].tolist() == [OPERATIONS.index("linear"), 4, 3, 0]


def test_functions_and_layers_that_compute_alike_have_the_same_graph():
    class Functions(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 5), nn.Linear(5, 2)

        def forward(self, x):
            return self.b(torch.tanh(self.a(x)))

    layers = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    first, second = computational_graph(Functions()), computational_graph(layers)
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.edge_index, second.edge_index)
    model = GraphHyperNetwork(8)
    predicted = (list(model(graph, net).values()) for graph, net in ((first, Functions()), (second, layers)))
    for ours, theirs in zip(*predicted, strict=True):
        assert torch.equal(ours, theirs)  # weights and names do not count


@pytest.mark.parametrize("net", [Residual(), mlp(9, 7, 5, 3), Residual(40)], ids=["residual", "mlp", "wide"])
def test_all_parameters_are_predicted_with_gradients(net):
    torch.manual_seed(0)
    model = GraphHyperNetwork(8, width=16)
    parameters = model(computational_graph(net), net)
    assert {name: p.shape for name, p in parameters.items()} == {name: p.shape for name, p in net.named_parameters()}
    x = torch.randn(6, 9) if isinstance(net, nn.Sequential) else torch.randn(6, 1, 8, 8)
    functional_call(net, parameters, (x,)).square().sum().backward()
    used = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    kinds = ("kernel", "matrix", "factor", "offset") if isinstance(net, Residual) else ("matrix", "offset")
    assert {name for name in used if "decoders" in name} == {
        f"decoders.{kind}.{i}.{part}" for kind in kinds for i in (0, 2) for part in ("weight", "bias")
    }
    assert {"update.weight_ih", "update.weight_hh", *(f"embeddings.{i}.weight" for i in range(4))} <= used


def test_parameters_are_parts_of_blocks_in_their_scale():
    torch.manual_seed(0)
    model, wide = GraphHyperNetwork(8, width=4), mlp(6, 10, 2)
    graph = computational_graph(wide)
    h = model.encode(graph)
    block = model.decoders["matrix"](h[1]).view(4, 4).repeat(3, 2)[:10, :6]
    found = model(graph, wide)
    torch.testing.assert_close(found["0.weight"], block * (2 / 6) ** 0.5)
    torch.testing.assert_close(found["0.bias"], 0.2 * model.decoders["offset"](h[1]).repeat(3)[:10].tanh())
    norm = nn.Sequential(nn.LayerNorm(3))
    own = computational_graph(norm)
    factor = model.decoders["factor"](model.encode(own)[1])
    torch.testing.assert_close(model(own, norm)["0.weight"], 2 * factor[:3].sigmoid())


def test_what_comes_before_and_after_an_operation_counts():
    torch.manual_seed(0)
    model = GraphHyperNetwork(8)
    found = []
    for between in ([], [nn.ReLU()], [nn.Linear(4, 4), nn.ReLU()]):
        net = nn.Sequential(nn.Linear(4, 4), *between, nn.Linear(4, 4))
        found.append(next(iter(model(computational_graph(net), net).values())))
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[1], found[2])


def test_it_learns_to_predict_what_works_where_random_weights_do_not():
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    y = (x[:, 0] * x[:, 1] > 0).long()
    nets = [mlp(4, width, 2) for width in (6, 8, 12)]
    graphs = [computational_graph(net) for net in nets]
    model = GraphHyperNetwork(16, width=12)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def loss(i):
        return F.cross_entropy(functional_call(nets[i], model(graphs[i], nets[i]), (x,)), y)

    before = loss(2).item()
    for _ in range(150):
        optimizer.zero_grad()
        (loss(0) + loss(1)).backward()
        optimizer.step()
    assert loss(0) < 0.3
    assert loss(2) < 0.5 * before  # of a width that it never saw


def test_what_it_does_not_know_is_named():
    with pytest.raises(TypeError, match=r"LSTM \(.*\) is no operation that is known; known are linear, convolution"):
        computational_graph(nn.Sequential(nn.LSTM(3, 4)))


def test_functions_that_it_does_not_know_and_parameters_without_an_operation_are_named():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x)

    with pytest.raises(TypeError, match="fft"):
        computational_graph(Odd())
    small, large = mlp(3, 2), mlp(3, 2, 2)
    with pytest.raises(ValueError, match=r"'2.weight' belongs to no operation of the graph"):
        GraphHyperNetwork(8)(computational_graph(small), large)
