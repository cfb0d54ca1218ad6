"""DeeperGCN: codes of atoms and bonds, clamps of constant powers, refusals."""

from __future__ import annotations

import pytest
import torch

from graphkit.models import DeeperGCN
from graphkit.testing import random_graph


def molecule():
    graph = random_graph(6, 10)
    graph.x = torch.arange(6).remainder(3).view(-1, 1).double()
    graph.edge_attr = torch.arange(10).remainder(2).view(-1, 1)
    return graph


def test_codes_have_embeddings_of_their_own_in_each_convolution():
    torch.manual_seed(0)
    graph = molecule()
    model = DeeperGCN(1, 4, num_layers=3, node_types=[3], edge_types=[2]).double().eval()
    assert len(model.edge_encoders) == 3
    before = model(graph)
    with torch.no_grad():
        model.edge_encoders[2].embeddings[0].weight[0] += 1
    assert not torch.equal(model(graph), before)
    graph.edge_attr[0, 0] = 2
    with pytest.raises(ValueError, match="CodeEncoder"):
        model(graph)


def test_edge_features_as_wide_as_states_are_mapped_too():
    graph = random_graph(edge_dim=4)
    model = DeeperGCN(5, 4, edge_dim=4).double().eval()
    model(graph).sum().backward()
    assert all(bool(layer.lin_edge.weight.grad.any()) for layer in [model.layers[0]])


def test_a_power_of_one_is_a_mean_of_what_is_at_most_ten():
    torch.manual_seed(0)
    graph = random_graph()
    graph.x = graph.x * 100
    power, mean = (DeeperGCN(5, 4, 1, aggr=aggr).double().eval() for aggr in ("power", "mean"))
    mean.load_state_dict(power.state_dict())
    seen = []
    for model in (power, mean):
        model.layers[0].register_propagate_forward_hook(lambda conv, given, out: seen.append(out))
        model(graph)
    assert bool(seen[0].max() <= 10 < seen[1].max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeeperGCN(5, edge_dim=3, edge_types=[2]), "give edge_types for codes or edge_dim for numbers"),
        (lambda: DeeperGCN(5, block="dense"), "DeeperGCN: block='dense'"),
        (lambda: DeeperGCN(5, edge_dim=3).double()(random_graph(edge_dim=None)), "the batch has no edge_attr"),
        (lambda: DeeperGCN(5, edge_dim=2).double()(random_graph()), r"edge_attr has 3 columns, but edge_dim=2"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
