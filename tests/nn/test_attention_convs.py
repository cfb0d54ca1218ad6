"""GATConv, GATv2Conv and TransformerConv are PyG's layers: state dicts, values, gradients, weights, edge features."""

from __future__ import annotations

import pytest
import torch
from torch_geometric import nn as pyg

from graphkit import nn

SHARED = [
    {"heads": 3},
    {"heads": 2, "concat": False, "edge_dim": 2},
    {"heads": 2, "edge_dim": 2, "bias": False},
    {"heads": 9, "flow": "target_to_source"},
    {"in_channels": (5, 5), "heads": 2},
    {"aggr": "max", "heads": 2},
]
OF_GAT = [
    {"negative_slope": 0.4, "residual": True, "add_self_loops": False},
    {"edge_dim": 2, "fill_value": "add"},
    {"edge_dim": 2, "fill_value": 0.5, "heads": 2},
    {"in_channels": (5, 5), "residual": True, "heads": 2, "flow": "target_to_source"},
]
CASES = [(name, options) for name in ("GATConv", "GATv2Conv") for options in SHARED + OF_GAT]
CASES += [("TransformerConv", options) for options in SHARED]
CASES += [("GATv2Conv", {"share_weights": True, "heads": 2})]
CASES += [("TransformerConv", {"beta": True, "heads": 2, "edge_dim": 2}), ("TransformerConv", {"root_weight": False})]


def graph():
    """Parallel edges, self-loops, a hub, nodes without edges."""
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(9, (2, 30), generator=generator)
    edge_index[1, :10], edge_index[:, 12:14], edge_index[:, 15] = 3, torch.tensor([[1, 1], [1, 1]]), edge_index[:, 16]
    x = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    return x, edge_index, torch.randn(30, 2, generator=generator, dtype=torch.float64)


def both(name, options):
    torch.manual_seed(0)
    given = {"in_channels": 5, "out_channels": 4, **options}
    theirs = getattr(pyg, name)(**given).double()
    ours = getattr(nn, name)(**given).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def results(layer, x, *args):
    given = [tensor.clone().requires_grad_() for tensor in (x if isinstance(x, tuple) else (x,))]
    out = layer(tuple(given) if isinstance(x, tuple) else given[0], *args)
    wanted = [*given, *layer.parameters()]
    loss = (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)).sum()
    return [out, *torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_values_and_gradients_are_those_of_pyg(name, options):
    ours, theirs = both(name, options)
    x, edge_index, edge_attr = graph()
    args = [edge_index] + [edge_attr] * ("edge_dim" in options)
    torch.testing.assert_close(results(ours, x, *args), results(theirs, x, *args), rtol=1e-9, atol=1e-10)
    if "flow" not in options:
        pair, pairs = (x, x[:6] + 1), edge_index % torch.tensor([[11], [6]])
        args[0] = pairs
        torch.testing.assert_close(results(ours, pair, *args), results(theirs, pair, *args), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if "aggr" not in case[1]])
def test_weights_are_those_of_pyg(name, options):
    ours, theirs = both(name, options)
    x, edge_index, edge_attr = graph()
    edge_index, edge_attr = (part[..., edge_index[0] != edge_index[1]] for part in (edge_index, edge_attr.t()))
    args = [edge_index] + [edge_attr.t()] * ("edge_dim" in options)
    out, (edges, weights) = ours(x, *args, return_attention_weights=True)
    expected, (their_edges, their_weights) = theirs(x, *args, return_attention_weights=True)
    assert torch.equal(edges, their_edges)
    torch.testing.assert_close([out, weights], [expected, their_weights], rtol=1e-9, atol=1e-10)


def test_targets_without_features():
    ours, theirs = both("GATConv", {"in_channels": (5, 3), "heads": 2})
    x, edge_index, _ = graph()
    pairs = edge_index % torch.tensor([[11], [6]])
    torch.testing.assert_close(ours((x, None), pairs, size=(11, 6)), theirs((x, None), pairs, size=(11, 6)))
    with pytest.raises(ValueError, match="features of targets are None; pass size"):
        ours((x, None), pairs)


@pytest.mark.parametrize("name", ["GATConv", "GATv2Conv", "TransformerConv"])
def test_dropout_of_weights(name):
    layer, (x, edge_index, _) = getattr(nn, name)(5, 4, heads=2, dropout=0.5).double(), graph()
    torch.manual_seed(1)
    first = layer(x, edge_index)
    torch.manual_seed(1)
    assert torch.equal(layer(x, edge_index), first)
    assert not torch.equal(layer(x, edge_index), first)
    _, (_, weights) = layer(x, edge_index, return_attention_weights=True)
    dropped = (weights == 0).double().mean()
    assert dropped == 0 if name == "TransformerConv" else 0.3 < dropped < 0.7  # which of them PyG hands out


@pytest.mark.parametrize("name", ["GATConv", "GATv2Conv", "TransformerConv"])
def test_lazy_widths_sparse_features_and_what_is_refused(name):
    x, edge_index, edge_attr = graph()
    x = x * (x > 0)
    layer = getattr(nn, name)(-1, 4).double()
    torch.testing.assert_close(layer(x.to_sparse_csr(), edge_index), layer(x, edge_index))
    with pytest.raises(ValueError, match=f"{name}: edge_attr is given, but edge_dim=None"):
        layer(x, edge_index, edge_attr)
    with pytest.raises(ValueError, match=f"{name}: edge_attr has 29 rows, but the graph has 30 edges"):
        getattr(nn, name)(5, 4, edge_dim=2).double()(x, edge_index, edge_attr[1:])


def test_transformers_need_the_edge_features_that_they_are_built_for():
    x, edge_index, _ = graph()
    with pytest.raises(ValueError, match="TransformerConv: edge_dim=2, but no edge_attr is given"):
        nn.TransformerConv(5, 4, edge_dim=2)(x.float(), edge_index)


@pytest.mark.parametrize("name", ["GATConv", "GATv2Conv", "TransformerConv"])
def test_first_weights_are_drawn_as_pygs(name):
    torch.manual_seed(0)
    ours = getattr(nn, name)(6, 4, heads=2)
    torch.manual_seed(0)
    theirs = getattr(pyg, name)(6, 4, heads=2)
    for key, value in theirs.state_dict().items():
        mine = ours.state_dict()[key]
        assert bool(mine.any()) == bool(value.any()), key  # zeros, or drawn
        assert mine.std() == pytest.approx(float(value.std()), rel=0.8), key


def test_a_gate_without_what_it_weighs_is_refused():
    with pytest.raises(ValueError, match="beta=True weighs the target's own term, which root_weight=False leaves out"):
        nn.TransformerConv(6, 4, beta=True, root_weight=False)
