"""Stacks with what GNN+ adds: encoders, features of edges, feed-forward blocks, heads, dropout of what layers give."""

from __future__ import annotations

import pytest
import torch
from torch_geometric import nn as pyg
from torch_geometric.data import Batch, Data

from graphkit import nn
from graphkit.models import GCN, GIN, GatedGCN
from graphkit.testing.graphs import random_graph
from graphkit.transforms.features import RandomWalkPE


def molecules() -> Batch:
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for n in (5, 8):
        graph = random_graph(n, 2 * n)
        codes = [torch.randint(count, (n, 1), generator=generator) for count in (4, 2)]
        graph.x = torch.cat(codes, dim=1).double()
        graph.edge_attr = torch.randint(3, (2 * n, 1), generator=generator)
        graphs.append(RandomWalkPE(walk_length=6)(graph))
    return Batch.from_data_list(graphs)


@pytest.mark.parametrize("stack", [GCN, GIN, GatedGCN])
def test_codes_bonds_and_encodings_of_positions_are_read(stack):
    batch = molecules()
    options = {"node_types": [4, 2], "edge_types": [3], "pe": 6, "pe_channels": 5, "readout": "mean"}
    model = stack(8, 16, 3, 2, **options, feed_forward=True, residual=True, head_layers=3).double().eval()
    out = model(batch)
    for key, column in (("x", 0), ("x", 1), ("x", 7), ("edge_attr", 0)):
        changed = batch.clone()
        changed[key] = changed[key].clone()
        changed[key][:, column] = 1 if key == "edge_attr" else 0
        assert not torch.allclose(model(changed), out), (key, column)
    order = torch.randperm(batch.num_edges, generator=torch.Generator().manual_seed(1))
    batch.edge_index, batch.edge_attr = batch.edge_index[:, order], batch.edge_attr[order]
    torch.testing.assert_close(model(batch), out)


def test_the_layer_is_that_of_pyg():
    graph = random_graph(7, 18)
    ours = nn.GINEConv(torch.nn.Sequential(torch.nn.Linear(5, 4)), eps=0.3, train_eps=True, edge_dim=3).double()
    theirs = pyg.GINEConv(torch.nn.Sequential(torch.nn.Linear(5, 4)), train_eps=True, edge_dim=3).double()
    theirs.load_state_dict(ours.state_dict())
    given = (graph.x, graph.edge_index, graph.edge_attr)
    torch.testing.assert_close(ours(*given), theirs(*given))


def test_dropout_of_what_layers_give_spares_inputs_and_residuals():
    """With all but everything dropped, a residual layer gives its input, and without one nothing."""
    graph, rate = random_graph(6, 12), 1 - 1e-9
    for residual in (True, False):
        model = GCN(5, 5, 2, dropout=rate, drop_outputs=True, residual=residual, readout="nodes").double().train()
        states = model.layer_states(graph)
        assert states[1].equal(graph.x if residual else torch.zeros_like(graph.x))
    model = GCN(5, 5, 2, dropout=rate, readout="nodes").double().train()
    assert model.layer_states(graph)[1].equal(torch.zeros_like(graph.x))  # of no input, without a bias


def test_states_of_edges_go_from_layer_to_layer():
    graph = random_graph(6, 12)
    model = GatedGCN(5, 4, 3, 2, edge_dim=3, residual=True, norm="batch_norm").double().eval()
    states = model.layer_states(graph)
    assert [state.size(0) for state in states] == [18, 18, 18, 6]
    assert model.node_states(states[1], graph).equal(states[1][:6])
    conv = model.layers[0].conv
    x, edges = conv(states[0][:6], graph.edge_index, states[0][6:], return_edges=True)
    torch.testing.assert_close(states[1][:6], states[0][:6] + model.norms[0](x).relu())
    torch.testing.assert_close(states[1][6:], states[0][6:] + model.layers[0].norm(edges).relu())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GCN(5, 8, edge_dim=3, edge_types=[2]), "GCN: give edge_types for codes or edge_dim for numbers"),
        (lambda: GCN(5, 8, head_layers=2), "GCN: head_layers=2, must come with a readout"),
        (lambda: GIN(5, 8, node_types=[4, 2], pe=2), "NodeEncoder: in_channels=5, but there are 2 columns"),
        (lambda: GIN(5, 8, pe=2), "NodeEncoder: pe_channels=28, must be less than the 8 channels"),
        (lambda: GatedGCN(5, 8, residual="linear"), "GatedGCN: residual='linear', must be True or False"),
        (lambda: GCN(5, 8, edge_dim=3)(Data(torch.ones(2, 5), torch.zeros(2, 1).long())), "edge_dim=3 asks for"),
        (lambda: nn.GINEConv(torch.nn.ReLU(), edge_dim=3), "how many features of nodes nn takes is not known"),
        (lambda: nn.GCNEConv(5, 3)(torch.ones(2, 5), torch.zeros(2, 1).long()), "no edge_attr is given"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
