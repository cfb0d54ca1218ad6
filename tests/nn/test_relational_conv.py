"""Relational convolutions against dense sums, and PyG's layers of the same definition."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.nn import GINConv as PyGGINConv
from torch_geometric.nn import RGCNConv

import graphkit as gk
from graphkit.nn import GINConv, GINPerceptron, RelationalConv
from graphkit.testing import random_graph
from tests import tiny


@pytest.fixture
def graph():
    data = random_graph(10, 40)
    data.edge_type = torch.arange(data.num_edges) % 3
    return data


@pytest.mark.parametrize("train_eps", [False, True])
def test_gin_equals_pyg(graph, train_eps):
    def network():
        return torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))

    ours = GINConv(network(), 0.25, train_eps).double()  # exact in the single precision that PyG keeps it in
    theirs = PyGGINConv(network(), 0.25, train_eps).double()
    theirs.load_state_dict(ours.state_dict())
    assert str(ours) == str(theirs)
    torch.testing.assert_close(ours(graph.x, graph.edge_index), theirs(graph.x, graph.edge_index))


def test_gin_with_a_perceptron_is_gin_with_any_network(graph):
    perceptron = GINPerceptron(5, 4).double()
    first = GINConv(perceptron, 0.5).double()
    torch.nn.init.normal_(perceptron.bias)
    second = GINConv(torch.nn.Sequential(torch.nn.Identity()), 0.5).double()
    second.nn[0] = perceptron
    weight = torch.rand(40).double()
    torch.testing.assert_close(first(graph.x, graph.edge_index, weight), second(graph.x, graph.edge_index, weight))


def test_gin_of_sizes_warns_and_loads_what_was_saved(graph):
    with pytest.warns(FutureWarning, match=r"GINConv\(in_channels, out_channels\) is now GINConv\(GINPerceptron"):
        old = GINConv(5, 4, eps=0.5, bias=False)
    new = GINConv(GINPerceptron(5, 4, bias=False))
    saved = {"eps": torch.tensor(0.5)}
    saved |= {name.removeprefix("nn."): value for name, value in old.state_dict().items() if name != "eps"}
    new.load_state_dict(saved)
    torch.testing.assert_close(new(graph.x.float(), graph.edge_index), old(graph.x.float(), graph.edge_index))


def test_relational_gcn_equals_pyg(graph):
    ours, theirs = RelationalConv(5, 4, num_relations=3).double(), RGCNConv(5, 4, 3).double()
    with torch.no_grad():
        theirs.root.copy_(ours.root.weight.t())
        theirs.bias.copy_(ours.root.bias.normal_())
        for relation in range(3):
            theirs.weight[relation] = ours.convs[relation].lin.weight.t()
    arguments = (graph.x, graph.edge_index, graph.edge_type)
    torch.testing.assert_close(ours(*arguments), theirs(*arguments))


@pytest.mark.parametrize("conv", ["gcn", "gin"])
def test_relations_have_their_own_edges_and_weights(graph, conv):
    layer = RelationalConv(5, 4, num_relations=3, conv=conv).double()
    weight = 0.5 + torch.rand(graph.num_edges, dtype=torch.double)
    expected = layer.root(graph.x)
    for relation in range(3):
        mask = graph.edge_type == relation
        expected = expected + layer.convs[relation](graph.x, graph.edge_index[:, mask], weight[mask])
    for _ in range(2):  # the second time from what is kept
        torch.testing.assert_close(layer(graph.x, graph.edge_index, graph.edge_type, weight), expected)
    other = layer(graph.x, graph.edge_index, graph.edge_type.flip(0), weight)
    assert not torch.allclose(other, expected), "kept edges of other relations were used"
    leaf = weight.clone().requires_grad_()
    layer(graph.x, graph.edge_index, graph.edge_type, leaf).square().sum().backward()
    assert (leaf.grad != 0).any()


def test_relations_that_do_not_exist(graph):
    with pytest.raises(ValueError, match="an edge has the relation 2, but there are 2 relations; set num_relations"):
        RelationalConv(5, 4).double()(graph.x, graph.edge_index, graph.edge_type)
    with pytest.raises(ValueError, match="3 edge types for 40 edges"):
        RelationalConv(5, 4).double()(graph.x, graph.edge_index, graph.edge_type[:3])
    with pytest.raises(ValueError, match="did you mean 'gcn'"):
        RelationalConv(5, 4, conv="gcm")


@pytest.mark.parametrize("conv", ["gcn", "gin"])
def test_models_take_the_relations_of_a_rewired_task(conv):
    task = tiny.graph_task().transform(gk.rewiring.LASER(num_snapshots=3, rho=1.0))
    model = gk.models.RelationalGNN.from_task(task, hidden_channels=8, conv=conv)
    assert model.num_relations == 3
    result = gk.Trainer(max_epochs=2, progress=False).fit(model, task)
    assert all(row["train_loss"] < 10 for row in result.history)
    assert gk.models.RelationalGNN.from_task(tiny.graph_task()).num_relations == 1
    graphs = task.graphs[:4]
    alone = torch.cat([model.eval()(graph) for graph in graphs])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), alone)
