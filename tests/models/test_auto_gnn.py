"""AutoGNN's layers against sums over pairs of nodes, written out."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

import graphkit as gk
from graphkit.testing.graphs import random_graph

KINDS = ("const", "gcn", "gat", "sym-gat", "cos", "linear", "gene-linear")


def oracle(layer, x, edge_index, reduce):
    """One head after the other, one target after the other."""
    heads, width = layer.shape
    n = x.size(0)
    z = (x @ layer.lin.weight.t()).view(n, heads, width)
    pairs = [(int(j), int(i)) for j, i in edge_index.t() if j != i] + [(i, i) for i in range(n)]
    entering = {i: [j for j, target in pairs if target == i] for i in range(n)}
    vectors = layer.vectors

    def score(i, j, k):
        zi, zj = z[i, k], z[j, k]

        def e(a, b):
            return F.leaky_relu(vectors[0, k] @ a + vectors[1, k] @ b, 0.2)

        if layer.attention == "gat":
            return e(zi, zj)
        if layer.attention == "sym-gat":
            return e(zi, zj) + e(zj, zi)
        if layer.attention == "cos":
            return zi @ zj
        if layer.attention == "linear":
            return torch.tanh((zi + zj).sum())
        return vectors[2, k] @ torch.tanh(vectors[0, k] * zi + vectors[1, k] * zj)

    def weights(i, k):
        if layer.attention == "const":
            return torch.ones(len(entering[i]), dtype=z.dtype)
        if layer.attention == "gcn":
            return torch.tensor([(len(entering[i]) * len(entering[j])) ** -0.5 for j in entering[i]], dtype=z.dtype)
        return torch.stack([score(i, j, k) for j in entering[i]]).softmax(0)

    reduced = {"sum": lambda m: m.sum(0), "mean": lambda m: m.mean(0), "max": lambda m: m.amax(0)}[reduce]
    rows = [[reduced(weights(i, k).unsqueeze(1) * z[entering[i], k]) for k in range(heads)] for i in range(n)]
    out = torch.stack([torch.stack(row) for row in rows])
    out = (out.flatten(1) if layer.concat else out.mean(1)) + layer.bias
    if layer.mlp is not None:
        first, last = layer.mlp.layers
        out = F.linear(F.linear(out, first.weight, first.bias).relu(), last.weight, last.bias)
    return out


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize(("aggr", "combine"), [("sum", "identity"), ("mean", "mlp"), ("max", "identity")])
def test_values_and_gradients_of_every_kind(attention, aggr, combine):
    torch.manual_seed(0)
    graph = random_graph(7, 14)
    graph.edge_index[:, 3] = 2  # a self-loop of its own
    options = {"attention": attention, "heads": [3, 2], "aggr": aggr, "combine": combine, "act": "tanh"}
    model = gk.models.AutoGNN(graph.num_features, 4, 2, 5, **options).to(graph.x.dtype)
    weights = list(model.parameters())
    for weight in weights:
        torch.nn.init.normal_(weight)
    expected = oracle(model.layers[0], graph.x, graph.edge_index, aggr).tanh()
    expected = oracle(model.layers[1], expected, graph.edge_index, aggr)
    out = model(graph)
    assert out.shape == (7, 5)
    torch.testing.assert_close(out, expected)
    direction = torch.randn_like(out)
    for ours, theirs in zip(*(torch.autograd.grad((each * direction).sum(), weights) for each in (out, expected))):
        torch.testing.assert_close(ours, theirs)


def test_widths_follow_from_heads():
    model = gk.models.AutoGNN(5, [4, 8], 3, 2, heads=[2, 3, 4])
    assert [layer.width for layer in model.layers] == [8, 24, 2]
    assert gk.models.AutoGNN(5, [4, 8], 3).out_channels == 8
    assert gk.models.AutoGNN(5, 6, 1).double()(random_graph(4, 5)).shape == (4, 6)


def test_a_list_has_a_value_per_layer():
    with pytest.raises(ValueError, match=re.escape("AutoGNN: heads=[4], must have 2 values, or be one for all layers")):
        gk.models.AutoGNN(5, heads=[4])
    with pytest.raises(ValueError, match=re.escape("AutoGNN: attention[1]='gta'")):
        gk.models.AutoGNN(5, attention=["gat", "gta"])
