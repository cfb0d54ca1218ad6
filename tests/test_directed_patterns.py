"""Directed patterns: their products, dense; what they tell about labels; memory; ADPA beside PyG's layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import DirGNNConv, GCNConv

import graphkit as gk
from graphkit.diagnostics import directed_patterns
from graphkit.diagnostics.directed import _factors, _Pattern
from graphkit.testing.graphs import random_graph
from graphkit.transforms import DirectedPatterns


def dense(data):
    adjacency = torch.zeros(data.num_nodes, data.num_nodes, dtype=torch.double)
    return adjacency.index_put(tuple(data.edge_index), torch.ones((), dtype=torch.double), accumulate=True)


def test_features_are_those_of_dense_products():
    data = random_graph(9, 20)
    a, eye = dense(data), torch.eye(9, dtype=torch.double)
    expected = []
    for m in (a + eye, a.T + eye, a @ a, a @ a.T, a.T @ a, a.T @ a.T):
        degree = m.sum(1)
        left, right = (torch.where(degree > 0, degree**e, 0) for e in (0.3 - 1, -0.3))
        h, hops = data.x, []
        for k in range(3):
            h = left.diag() @ m @ right.diag() @ ((1 + np.log(1 / (k + 1)) + 1e-6) * h)
            hops.append(h)
        expected.append(torch.stack(hops, dim=1))
    torch.testing.assert_close(DirectedPatterns(3, 0.3)(data).pattern_x, torch.stack(expected, dim=1))


def test_products_of_matrices_are_not_formed():
    hub = torch.stack([torch.arange(1, 60_001), torch.zeros(60_000, dtype=torch.long)])  # the square has 3.6e9 entries
    out = DirectedPatterns(K=1)(Data(x=torch.ones(60_001, 1, dtype=torch.double), edge_index=hub)).pattern_x
    torch.testing.assert_close(out[1:, 3, 0], torch.full((60_000, 1), 1 + 1e-6, dtype=torch.double))


def planted(reciprocal):
    """Nodes of a class point to a few nodes of their own (citations of a field), which point to anything."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(600) % 3
    y[:30] = torch.randint(3, (30,), generator=generator)  # labels of those that are pointed to say nothing
    source = torch.arange(30, 600).repeat_interleave(4)
    target = y[source] * 10 + torch.randint(10, source.shape, generator=generator)
    edges = torch.stack([source, target])
    back = torch.stack([torch.arange(30).repeat_interleave(60), torch.randint(30, 600, (1800,), generator=generator)])
    edges = torch.cat([edges, back], dim=1)
    edges = torch.cat([edges, edges.flip(0)], dim=1) if reciprocal else edges
    data = Data(x=torch.ones(600, 1), edge_index=edges.unique(dim=1), y=y)
    return gk.NodeTask("planted", data, gk.Split.random(600, seed=0))


def test_the_planted_pattern_is_found_and_reverses_make_directions_worthless():
    report = directed_patterns(planted(reciprocal=False))
    assert report.best == "aat"
    assert not report.symmetrize
    assert "aat tells more" in str(report)
    both = directed_patterns(planted(reciprocal=True))
    assert both.symmetrize
    assert both.patterns["a"].value == both.patterns["u"].value


def test_pairs_are_those_of_dense_products():
    task = planted(reciprocal=False)
    task.data.edge_index = torch.cat([task.data.edge_index, torch.tensor([[3, 40, 40], [3, 2, 2]])], dim=1)
    known, labels = task.split.train.numpy(), task.labels[task.split.train].numpy()
    a = (dense(task.data).clamp(max=1).fill_diagonal_(0)).numpy()
    u = np.maximum(a, a.T)
    products = {"a": a, "at": a.T, "aa": a @ a, "aat": a @ a.T, "ata": a.T @ a, "atat": a.T @ a.T, "u": u, "uu": u @ u}
    classes = np.eye(3)[labels]
    for name, factors in _factors(task.data).items():
        np.fill_diagonal(products[name], 0)
        expected = classes.T @ products[name][np.ix_(known, known)] @ classes
        np.testing.assert_allclose(_Pattern(factors, known, 3).pairs(labels), expected)


def test_labels_of_the_test_make_no_difference():
    task, other = planted(False), planted(False)
    data = other.data.clone()
    data.y[other.split.test] = 0
    other = gk.NodeTask("planted", data, other.split)
    assert directed_patterns(task).rows() == directed_patterns(other).rows()


def test_tasks_without_classes_are_refused():
    data = Data(x=torch.ones(9, 1), edge_index=torch.tensor([[0, 1], [1, 2]]), y=torch.rand(9))
    task = gk.NodeTask("numbers", data, gk.Split.random(9), target="regression")
    with pytest.raises(ValueError, match="task 'numbers' has no classes of nodes"):
        directed_patterns(task)


def test_a_layer_of_dirgnn_is_pygs():
    data = random_graph(9, 20)
    ours = gk.models.DirGNN(5, num_layers=1, out_channels=4, alpha=0.2).double()
    theirs = DirGNNConv(GCNConv(5, 4), alpha=0.2).double()
    theirs.load_state_dict(ours.layers[0].state_dict())
    torch.testing.assert_close(ours(data), theirs(data.x, data.edge_index))
