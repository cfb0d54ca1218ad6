"""GRAFENNE: feature sets that change, entries that are missing, and the graphs that show them as nodes."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import FeaturePropagation

import graphkit as gk
from graphkit.models import GRAFENNE
from graphkit.testing import random_graph
from graphkit.transforms import AllotropicGraph, MissingFeatures


def trained_a_little(**arguments):
    torch.manual_seed(0)
    model = GRAFENNE(8, out_channels=3, heads=2, feature_channels=4, **arguments).double()
    for _ in range(3):
        model(with_vectors(random_graph(num_nodes=12)))  # statistics of batch normalisation
    return model.eval()


def with_vectors(graph):
    generator = torch.Generator().manual_seed(0)
    graph.feature_vectors = torch.randn(graph.num_features, 4, generator=generator, dtype=torch.double)
    return graph


def test_the_order_of_features_is_nothing_and_what_they_start_from_is_something():
    model, graph = trained_a_little(), with_vectors(random_graph())
    order = torch.tensor([3, 1, 4, 0, 2])
    moved = Data(graph.x[:, order], graph.edge_index)
    moved.feature_vectors = graph.feature_vectors[order]
    torch.testing.assert_close(model(moved), model(graph))
    moved.feature_vectors = graph.feature_vectors
    assert not torch.allclose(model(moved), model(graph))


def test_a_feature_that_no_node_has_changes_nothing():
    model, graph = trained_a_little(), with_vectors(random_graph())
    less = Data(graph.x[:, :3], graph.edge_index, feature_vectors=graph.feature_vectors[:3])
    graph.feature_mask = torch.arange(5).expand(8, -1) < 3
    torch.testing.assert_close(model(MissingFeatures()(graph)), model(less))


def test_vectors_of_features_follow_from_the_number_of_the_column_alone():
    model = trained_a_little()
    wide, narrow = (model._vectors(Data(), width, width) for width in (7, 3))
    assert torch.equal(wide[:3], narrow)
    assert wide.unique(dim=0).size(0) == 7


def test_a_known_zero_is_an_entry_and_an_unknown_one_is_not():
    model, graph = trained_a_little(), with_vectors(random_graph())
    graph.x[0] = 0
    known, unknown = (MissingFeatures(zeros=zeros)(graph) for zeros in (True, False))
    assert known.x.values().numel() == unknown.x.values().numel() + 5
    torch.testing.assert_close(model(known), model(graph))
    assert not torch.allclose(model(known)[0], model(unknown)[0])


def test_a_trained_model_reads_features_that_it_has_not_seen():
    """Words of two topics, of which vectors tell something; none of those of the second graph is in the first."""
    generator = torch.Generator().manual_seed(0)
    topic = torch.arange(60) % 2
    vectors = torch.randn(60, 8, generator=generator)
    vectors[:, 0] += 4 * topic - 2

    def graph(words: torch.Tensor) -> Data:
        y = torch.arange(200) % 2
        x = torch.bernoulli(torch.where(y[:, None] == topic[words], 0.4, 0.1), generator=generator)
        edges = torch.randint(200, (2, 1000), generator=generator)
        kept = (y[edges[0]] == y[edges[1]]) | (torch.rand(1000, generator=generator) < 0.3)
        return MissingFeatures(zeros=False)(Data(x, edges[:, kept], y=y, feature_vectors=vectors[words]))

    task = gk.NodeTask("words", graph(torch.arange(40)), gk.Split("halves", *torch.arange(200).split([100, 50, 50])))
    model = GRAFENNE(16, out_channels=2, heads=2, feature_channels=8, dropout=0.0)
    assert gk.Trainer(max_epochs=40, lr=0.01, progress=False).fit(model, task).test > 0.8
    for words in (torch.arange(10), torch.arange(20, 60), torch.arange(40, 60)):  # fewer, half of them new, all new
        other = graph(words)
        assert float((model.eval()(other).argmax(1) == other.y).double().mean()) > 0.75


def test_what_is_missing_is_hidden_filled_in_or_left_out():
    graph = random_graph(num_nodes=100, num_edges=400)
    x, zeros = graph.x, MissingFeatures(rate=0.3, fill="zero")(graph).x
    hidden = zeros == 0
    assert 0.2 < float(hidden.double().mean()) < 0.4
    assert torch.equal(zeros[~hidden], x[~hidden])
    entries = MissingFeatures(rate=0.3)(graph).x
    assert torch.equal(entries.to_dense(), zeros)
    assert entries.values().numel() == int((~hidden).sum())
    plain = Data(x, graph.edge_index, edge_weight=torch.ones(400, dtype=torch.double))
    torch.testing.assert_close(
        MissingFeatures(rate=0.3, fill="propagation")(plain).x, FeaturePropagation(hidden)(plain.clone()).x
    )
    assert not torch.equal(MissingFeatures(rate=0.3, fill="zero", seed=1)(graph).x, zeros)


def test_masks_that_do_not_fit_are_refused():
    graph = random_graph()
    graph.feature_mask = torch.ones(8)
    with pytest.raises(ValueError, match=r"feature_mask is torch.float32 of shape \[8\]"):
        MissingFeatures()(graph)
    with pytest.raises(ValueError, match="no x"):
        AllotropicGraph()(Data(edge_index=graph.edge_index, num_nodes=8))
    graph.feature_vectors = torch.ones(5, 3, dtype=torch.double)
    with pytest.raises(ValueError, match=r"feature_vectors has shape \[5, 3\], expected \[5, 4\]"):
        trained_a_little()(graph)


def test_the_allotropic_graph_has_a_node_for_each_feature():
    graph = random_graph(weighted=True)
    graph.y, graph.feature_mask = torch.arange(8), graph.x > 0
    out = AllotropicGraph()(graph)
    feature, node = out["feature", "of", "node"].edge_index
    assert (out["node"].num_nodes, out["feature"].num_nodes) == (8, 5)
    assert torch.equal(torch.stack([node, feature]), (graph.x > 0).nonzero().t())
    assert torch.equal(out["feature", "of", "node"].edge_attr[:, 0], graph.x[node, feature])
    assert torch.equal(out["node", "has", "feature"].edge_index, torch.stack([node, feature]))
    assert torch.equal(out["node", "to", "node"].edge_weight, graph.edge_weight)
    assert torch.equal(out["node"].y, graph.y)
    sparse = AllotropicGraph()(MissingFeatures()(graph))
    assert torch.equal(sparse["feature", "of", "node"].edge_index, out["feature", "of", "node"].edge_index)


def test_a_mask_of_features_may_be_a_list():
    data = Data(x=torch.tensor([[1.0, 0.0], [2.0, 3.0]]), edge_index=torch.tensor([[0], [1]]))
    data.feature_mask = [[True, True], [False, True]]
    assert MissingFeatures(fill="zero")(data).x.tolist() == [[1, 0], [0, 3]]
