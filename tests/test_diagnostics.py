"""Dirichlet energy and homophily."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk
from graphkit import diagnostics, ops
from graphkit.testing.graphs import random_graph

HOMOPHILIES = (
    "edge_homophily",
    "node_homophily",
    "class_insensitive_homophily",
    "adjusted_homophily",
    "label_informativeness",
    "cross_class_similarity",
)


def undirected(n=9, m=20):
    graph = random_graph(n, m)
    graph.edge_index = torch.cat([graph.edge_index, graph.edge_index.flip(0)], 1).unique(dim=1)
    return graph


@pytest.mark.parametrize("normalize", [False, True])
def test_energy_is_the_sum_over_edges_and_the_quadratic_form(normalize):
    graph = undirected()
    source, target = graph.edge_index
    degree = torch.bincount(target, minlength=9).clamp(min=1).double()
    x = graph.x / degree.sqrt().unsqueeze(1) if normalize else graph.x
    expected = (x[target] - x[source]).square().sum() / 2
    energy = diagnostics.dirichlet_energy(graph.x, graph.edge_index, normalize)
    torch.testing.assert_close(energy, expected)
    if not normalize:
        adjacency = ops.SparseMatrix.from_edges(graph.edge_index, size=9).to_dense().double()
        laplacian = adjacency.sum(1).diag() - adjacency
        torch.testing.assert_close(diagnostics.dirichlet_energy(graph.x, laplacian), expected)


@pytest.mark.parametrize("normalize", [False, True])
def test_energy_of_states_that_are_nearly_alike_is_not_rounded_away(normalize):
    n = torch.arange(12)
    ring = torch.stack([torch.cat([n, (n + 1) % 12]), torch.cat([(n + 1) % 12, n])])  # all degrees are 2
    x = 3 + 1e-4 * torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    exact = diagnostics.dirichlet_energy(x.double(), ring, normalize).item()
    assert exact == pytest.approx(((x.double() - x.double().roll(1, 0)).square().sum() / (1 + normalize)).item())
    assert diagnostics.dirichlet_energy(x, ring, normalize).item() == pytest.approx(exact, rel=1e-2)
    assert diagnostics.dirichlet_energy(torch.full((12, 4), 0.3), ring).item() == 0


def test_energy_of_no_edges_is_zero():
    assert diagnostics.dirichlet_energy(torch.ones(3, 2), torch.empty(2, 0, dtype=torch.long)).item() == 0


def test_diffusion_lowers_the_energy_layer_by_layer(tmp_path):
    graph = undirected()
    model = gk.models.GRAND(5, 6, num_layers=4, diffusivity="constant", adjacency="sym").double().train()
    curve = diagnostics.energies(model, graph, normalize=True)
    assert model.training
    assert len(curve) == 5
    assert curve == sorted(curve, reverse=True)
    assert len(diagnostics.energies(gk.models.GCN(5, 6, num_layers=3).double(), graph)) == 4
    diagnostics.plot_energies({"GRAND": curve}, tmp_path / "energy.png")
    assert (tmp_path / "energy.png").stat().st_size > 1000


def test_directions_repeats_loops_and_unlabelled_nodes_do_not_count():
    graph, y = undirected(), torch.arange(9) % 3
    loops = torch.arange(9).expand(2, -1)
    half = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
    more = torch.cat([half, half, loops], 1)
    for name in ("edge_homophily", "node_homophily", "adjusted_homophily", "label_informativeness"):
        measure = getattr(diagnostics, name)
        assert measure(more, y) == pytest.approx(measure(graph.edge_index, y), abs=1e-12)
        extended = torch.cat([graph.edge_index, torch.tensor([[9, 0], [0, 9]])], 1)
        assert measure(extended, torch.cat([y, torch.tensor([-1])])) == pytest.approx(measure(graph.edge_index, y))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_homophily_does_not_depend_on_the_width_of_label_ids(dtype):
    graph, y = undirected(), 20 + torch.arange(9) % 3  # 22 * 23 does not fit into 8 bits
    for name in HOMOPHILIES:
        measure = getattr(diagnostics, name)
        torch.testing.assert_close(measure(graph.edge_index, y.to(dtype)), measure(graph.edge_index, y))


def test_homophily_takes_truth_values_as_two_classes():
    graph, y = undirected(), torch.arange(9) % 3 == 0
    for name in HOMOPHILIES:
        measure = getattr(diagnostics, name)
        torch.testing.assert_close(measure(graph.edge_index, y), measure(graph.edge_index, y.long()))


def test_cross_class_similarity_equals_the_mean_over_pairs():
    graph, y = undirected(), torch.arange(9) % 3
    histogram = torch.zeros(9, 3, dtype=torch.float64)
    for source, target in graph.edge_index.t().tolist():
        histogram[target, y[source]] += 1
    cosine = torch.nn.functional.normalize(histogram, dim=1)
    cosine = cosine @ cosine.t()
    expected = torch.stack([torch.stack([cosine[y == a][:, y == b].mean() for b in range(3)]) for a in range(3)])
    torch.testing.assert_close(diagnostics.cross_class_similarity(graph.edge_index, y), expected)


def test_perfect_and_absent_homophily():
    edge_index = torch.tensor([[0, 2], [1, 3]])
    assert diagnostics.adjusted_homophily(edge_index, torch.tensor([0, 0, 1, 1])) == pytest.approx(1)
    assert diagnostics.label_informativeness(edge_index, torch.tensor([0, 1, 0, 1])) == pytest.approx(1)
    assert diagnostics.adjusted_homophily(edge_index, torch.tensor([0, 1, 0, 1])) == pytest.approx(-1)


def test_errors():
    with pytest.raises(ValueError, match="one integer label per node, got y of shape"):
        diagnostics.edge_homophily(torch.tensor([[0], [1]]), torch.rand(2))
    with pytest.raises(ValueError, match="no edge joins two different labelled nodes"):
        diagnostics.edge_homophily(torch.tensor([[0], [0]]), torch.tensor([0, 1]))


@pytest.mark.parametrize("name", ["class_insensitive_homophily", "adjusted_homophily", "label_informativeness"])
def test_measures_that_compare_with_chance_refuse_a_single_class(name):
    measure = getattr(diagnostics, name)
    with pytest.raises(
        ValueError, match=rf"{name} is undefined: all .* are of class 2, must be of at least two classes"
    ):
        measure(torch.tensor([[0, 1], [1, 2]]), torch.tensor([2, 2, 2]))


def test_homophily_with_a_class_that_no_edge_meets():
    edge_index, y = torch.tensor([[0], [1]]), torch.tensor([0, 0, 1])
    assert diagnostics.class_insensitive_homophily(edge_index, y) == pytest.approx(1 / 3)  # 1 - 2/3, and 0
    with pytest.raises(ValueError, match="all ends of edges are of class 0"):
        diagnostics.adjusted_homophily(edge_index, y)
    assert diagnostics.edge_homophily(edge_index, y) == 1


def counts(found):
    return found.separated, found.pairs


def test_separation_counts_pairs_told_apart():
    graphs = [random_graph(6, 12, edge_dim=None, seed=seed) for seed in (0, 0, 1)]
    graphs[1] = graphs[1].clone()
    graphs[1].x = graphs[1].x + 1e-12
    torch.manual_seed(0)
    model = gk.models.GCN(5, 6, readout="sum").double().train()
    found = diagnostics.separation(model, graphs, batch_size=2)
    assert counts(found) == (2, 3)
    out = torch.cat([model(graph) for graph in graphs])
    scale = out.norm(dim=1).clamp(min=1)
    expected = (out[0] - out[2]).norm() / torch.maximum(scale[0], scale[2])
    torch.testing.assert_close(found.distances[1], expected)
    assert model.training
    assert counts(diagnostics.separation(model, graphs, pairs=[(2, 1)])) == (1, 1)
    assert counts(diagnostics.separation(model, graphs, tolerance=0)) == (3, 3)
    with pytest.raises(ValueError, match="3 graphs gave 18 rows of outputs; the model needs a readout"):
        diagnostics.separation(gk.models.GCN(5, 6).double(), graphs)
