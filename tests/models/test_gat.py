"""GAT is PyG's model: weights, values, gradients, edge features; what it cannot do is refused."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GAT as PyGGAT
from torch_geometric.nn import TransformerConv

from graphkit.models import GAT
from graphkit.testing import random_graph

GRAPH = random_graph(9, 25, num_isolated=1, edge_dim=2)


class PyGTransformer(PyGGAT):
    def init_conv(self, in_channels, out_channels, heads, edge_dim):
        concat = not getattr(self, "_is_conv_to_out", False)
        width = out_channels // heads if concat else out_channels
        return TransformerConv(in_channels, width, heads, concat, edge_dim=edge_dim)


@pytest.mark.parametrize("edge_dim", [None, 2])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("conv", ["gat", "gatv2", "transformer"])
def test_values_and_gradients_are_those_of_pyg(conv, num_layers, edge_dim):
    kind, further = (PyGTransformer, {}) if conv == "transformer" else (PyGGAT, {"v2": conv == "gatv2"})
    theirs = kind(5, 6, num_layers, 4, heads=3, edge_dim=edge_dim, act="elu", **further).double()
    ours = GAT(5, 6, num_layers, 4, conv=conv, heads=3, edge_dim=edge_dim, act="elu").double()
    ours.load_state_dict({name.replace("convs", "layers"): value for name, value in theirs.state_dict().items()})
    out = ours(GRAPH)
    expected = theirs(GRAPH.x, GRAPH.edge_index, edge_attr=None if edge_dim is None else GRAPH.edge_attr)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-10)
    gradients = [
        torch.autograd.grad(y.square().sum(), model.parameters()) for y, model in ((out, ours), (expected, theirs))
    ]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-9)


def test_heads_are_averaged_only_where_no_head_follows():
    def concats(**arguments):
        return [layer.concat for layer in GAT(5, 6, num_layers=2, out_channels=4, heads=2, **arguments).layers]

    assert concats() == concats(readout="mean", pool_outputs=True) == [True, False]
    assert concats(readout="mean") == [True, True]


def test_a_layer_that_takes_more_inputs_stays_what_it_was():
    model = GAT(5, 6, num_layers=2, out_channels=4, heads=2)
    model.add_inputs([1, 1])
    assert [(layer.in_channels, layer.total_channels) for layer in model.layers] == [(6, 6), (7, 4)]


def test_weights_of_attention_are_dropped_too():
    model = GAT(5, 6, num_layers=1, out_channels=4, dropout=0.5, input_dropout=0.0).double()
    assert not torch.equal(model.train()(GRAPH), model.eval()(GRAPH))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="GAT: hidden_channels=6, must be a multiple of heads=4"):
        GAT(5, 6, heads=4)
    model = GAT(5, 6, edge_dim=3).double()
    with pytest.raises(ValueError, match="GAT: edge_attr has 2 columns, but edge_dim=3"):
        model(GRAPH)
    with pytest.raises(ValueError, match="GAT: the batch has no edge_attr, which edge_dim=3 asks for"):
        model(GRAPH.x, GRAPH.edge_index)
