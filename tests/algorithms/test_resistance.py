"""Effective resistance against closed forms, dense pseudo-inverses, random walks and physical laws."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.algorithms import (
    biharmonic_distance,
    commute_time,
    effective_resistance,
    spectral_gap,
    total_resistance,
)
from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.spectral import gap
from graphkit.algorithms.spectral import resistance as module
from graphkit.algorithms.spectral.laplacian import LaplacianSolver

N = 9
D = torch.arange(N)[:, None].sub(torch.arange(N)).abs().double()
STAR = (torch.ones(N, N) + (D * 0 + 1) - torch.eye(N) * 2).double()
STAR[0, 1:] = STAR[1:, 0] = 1.0
CLOSED_FORMS = {
    "path": (nx.path_graph(N), D, (N**3 - N) / 6),
    "cycle": (nx.cycle_graph(N), D * (N - D) / N, (N**3 - N) / 12),
    "complete": (nx.complete_graph(N), (2 / N) * (1 - torch.eye(N, dtype=torch.double)), N - 1),
    "star": (nx.star_graph(N - 1), STAR, (N - 1) ** 2),
}


def edges(graph):
    return torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()


def close(actual, expected, tolerance=1e-9):
    torch.testing.assert_close(torch.as_tensor(actual), torch.as_tensor(expected), rtol=tolerance, atol=tolerance)


def oracle(graph, n, squared):
    """Quadratic forms of the pseudo-inverse (or its square) by singular values, infinite across components."""
    matrix = np.linalg.pinv(nx.laplacian_matrix(graph, nodelist=range(n)).toarray().astype(float))
    matrix = matrix @ matrix if squared else matrix
    out = np.diag(matrix)[:, None] + np.diag(matrix) - 2 * matrix
    for i in range(n):
        for j in range(n):
            if not nx.has_path(graph, i, j):
                out[i, j] = np.inf
    return torch.from_numpy(out)


@st.composite
def weighted_graphs(draw, connected=False):
    n = draw(st.integers(2, 12))
    graph = nx.gnp_random_graph(n, draw(st.floats(0.05, 0.9)), seed=draw(st.integers(0, 10**6)))
    if connected:
        order = draw(st.permutations(range(n)))
        graph.add_edges_from((order[i], order[draw(st.integers(0, i - 1))]) for i in range(1, n))
    for _, _, attributes in graph.edges(data=True):
        attributes["weight"] = draw(st.floats(0.1, 10))
    weight = torch.tensor([w for *_, w in graph.edges(data="weight")], dtype=torch.double)
    return graph, weight


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms(name):
    graph, resistance, whole = CLOSED_FORMS[name]
    close(effective_resistance(edges(graph)), resistance)
    close(total_resistance(edges(graph)), float(whole))
    close(commute_time(edges(graph)), resistance * 2 * graph.number_of_edges())


@settings(max_examples=60, deadline=None)
@given(weighted_graphs())
def test_any_weighted_graph_equals_the_pseudo_inverse(case):
    graph, weight = case
    n = graph.number_of_nodes()
    resistance, squared = oracle(graph, n, False), oracle(graph, n, True)
    both = torch.cat([edges(graph), edges(graph).flip(0)], dim=1)  # directions and duplicates do not count
    for edge_index, values in ((edges(graph), weight), (both, weight.repeat(2))):
        close(effective_resistance(edge_index, None, values, n), resistance, 1e-7)
        close(biharmonic_distance(edge_index, None, values, n).square(), squared, 1e-7)
        inside = resistance.isfinite().triu(1)
        close(total_resistance(edge_index, values, n), float(resistance[inside].sum()), 1e-7)


@settings(max_examples=40, deadline=None)
@given(weighted_graphs())
def test_foster(case):
    graph, weight = case
    n = graph.number_of_nodes()
    if graph.number_of_edges():
        resistance = effective_resistance(edges(graph), edges(graph), weight, n)
        close(float((weight * resistance).sum()), float(n - nx.number_connected_components(graph)))


@settings(max_examples=40, deadline=None)
@given(weighted_graphs(connected=True), st.data())
def test_rayleigh_more_conductance_never_raises_a_resistance(case, data):
    graph, weight = case
    before = effective_resistance(edges(graph), None, weight)
    more = weight.clone()
    more[data.draw(st.integers(0, weight.numel() - 1))] += data.draw(st.floats(0.01, 5))
    assert (effective_resistance(edges(graph), None, more) <= before + 1e-9).all()
    u, v = data.draw(st.tuples(*[st.integers(0, graph.number_of_nodes() - 1)] * 2).filter(lambda p: p[0] != p[1]))
    extra = torch.cat([edges(graph), torch.tensor([[u], [v]])], dim=1)
    if not graph.has_edge(u, v):
        ones = torch.cat([weight, torch.ones(1, dtype=torch.double)])
        assert (effective_resistance(extra, None, ones) <= before + 1e-9).all()


@settings(max_examples=30, deadline=None)
@given(weighted_graphs(connected=True))
def test_commute_time_is_that_of_the_random_walk(case):
    graph, weight = case
    n = graph.number_of_nodes()
    transition = nx.to_numpy_array(graph, nodelist=range(n))
    transition /= transition.sum(1, keepdims=True)
    hitting = np.zeros((n, n))
    for t in range(n):  # h = 1 + P h outside t
        rest = [i for i in range(n) if i != t]
        hitting[rest, t] = np.linalg.solve(np.eye(n - 1) - transition[np.ix_(rest, rest)], np.ones(n - 1))
    close(commute_time(edges(graph), None, weight), torch.from_numpy(hitting + hitting.T), 1e-7)


def test_commute_time_counts_the_edges_of_the_component_only():
    graph = nx.disjoint_union(nx.path_graph(3), nx.complete_graph(4))
    pairs = torch.tensor([[0, 3, 0, 2], [2, 4, 3, 2]])
    close(commute_time(edges(graph), pairs), torch.tensor([4 * 2.0, 12 * 0.5, float("inf"), 0.0]).double())
    close(commute_time(edges(graph))[tuple(pairs)], commute_time(edges(graph), pairs))


def test_resistance_is_at_most_the_distance_and_equal_on_trees():
    graph = nx.random_labeled_tree(40, seed=0)
    distance = torch.from_numpy(np.array(nx.floyd_warshall_numpy(graph, nodelist=range(40))))
    close(effective_resistance(edges(graph)), distance)
    graph.add_edges_from([(0, 17), (3, 31)])
    distance = torch.from_numpy(np.array(nx.floyd_warshall_numpy(graph, nodelist=range(40))))
    assert (effective_resistance(edges(graph)) <= distance + 1e-9).all()


LARGE = nx.disjoint_union(nx.gnm_random_graph(300, 700, seed=1), nx.grid_2d_graph(9, 11))


@pytest.mark.parametrize("function", [effective_resistance, biharmonic_distance, commute_time])
def test_solves_equal_the_dense_inverse(function, monkeypatch):
    n, generator = LARGE.number_of_nodes(), torch.Generator().manual_seed(0)
    weight = 0.5 + torch.rand(LARGE.number_of_edges(), generator=generator, dtype=torch.double)
    pairs = torch.randint(n, (2, 80), generator=generator)
    dense = function(edges(LARGE), pairs, weight, n)
    close(dense, function(edges(LARGE), None, weight, n)[tuple(pairs)])
    monkeypatch.setattr(module, "DENSE_NODES", 10)
    close(function(edges(LARGE), pairs, weight, n), dense, 1e-8)
    sketch = function(edges(LARGE), pairs, weight, n, method="sketch", eps=0.3)
    finite = dense.isfinite() & (dense > 0)
    power = 2 if function is biharmonic_distance else 1
    error = (sketch[finite] / dense[finite]) ** power - 1
    assert error.abs().max() < 0.3
    assert error.abs().max() > 1e-6, "a sketch was asked for"
    assert torch.equal(sketch.isfinite(), dense.isfinite())


def test_sketch_of_the_total(monkeypatch):
    exact = total_resistance(edges(LARGE))
    errors = [total_resistance(edges(LARGE), method="sketch", eps=0.1, seed=seed) / exact - 1 for seed in range(10)]
    assert 0 < np.std(errors) < 0.1
    assert abs(np.mean(errors)) < 0.05
    monkeypatch.setattr(module, "DENSE_NODES", 10)
    assert total_resistance(edges(LARGE)) / exact - 1 == errors[0]


def test_the_solver_on_every_kind_of_graph():
    graphs = {
        "path": nx.path_graph(400),
        "ladder": nx.circular_ladder_graph(150),
        "barbell": nx.barbell_graph(20, 30),
        "scale-free": nx.barabasi_albert_graph(300, 4, seed=0),
        "forest with isolated nodes": nx.disjoint_union(nx.star_graph(30), nx.empty_graph(5)),
    }
    for name, graph in graphs.items():
        simple = SimpleGraph.from_edges(edges(graph), graph.number_of_nodes())
        b = np.random.default_rng(0).standard_normal((simple.num_nodes, 3))
        expected = np.linalg.pinv(simple.laplacian().toarray()) @ b
        assert np.abs(LaplacianSolver(simple).solve(b) - expected).max() < 1e-6 * np.abs(expected).max(), name


def test_spectral_gap(monkeypatch):
    for graph in (nx.gnm_random_graph(60, 200, seed=0), nx.path_graph(80), nx.circular_ladder_graph(30)):
        if nx.is_connected(graph):
            expected = np.sort(np.linalg.eigvalsh(nx.normalized_laplacian_matrix(graph).toarray()))[1]
            assert spectral_gap(edges(graph)) == pytest.approx(expected, rel=1e-9)
            monkeypatch.setattr(gap, "DENSE_NODES", 10)
            assert spectral_gap(edges(graph)) == pytest.approx(expected, rel=1e-6)
            monkeypatch.undo()
    assert spectral_gap(edges(nx.complete_graph(7))) == pytest.approx(7 / 6)
    assert spectral_gap(edges(nx.path_graph(4)), num_nodes=5) == 0.0


def test_small_and_empty_graphs():
    nothing = torch.empty(2, 0, dtype=torch.long)
    inf = float("inf")
    assert effective_resistance(nothing, num_nodes=2).tolist() == [[0.0, inf], [inf, 0.0]]
    assert effective_resistance(nothing).shape == (0, 0)
    assert total_resistance(nothing, num_nodes=3) == 0.0
    assert spectral_gap(nothing, num_nodes=1) == 0.0
    one = torch.tensor([[0], [1]])
    assert effective_resistance(one, edge_weight=torch.tensor([0.0])).tolist() == [[0.0, inf], [inf, 0.0]]


def test_bad_input():
    path = torch.tensor([[0, 1], [1, 2]])
    with pytest.raises(ValueError, match="edge 1 has the weight -2, but weights are conductances"):
        effective_resistance(path, edge_weight=torch.tensor([1.0, -2.0]))
    with pytest.raises(ValueError, match="edge 0 has the weight nan"):
        total_resistance(path, edge_weight=torch.tensor([float("nan"), 1.0]))
    with pytest.raises(ValueError, match="pass one weight per edge"):
        total_resistance(path, edge_weight=torch.ones(3))
    with pytest.raises(ValueError, match="unknown method of effective_resistance 'sktech'; did you mean 'sketch'"):
        effective_resistance(path, method="sktech")
    with pytest.raises(ValueError, match=r"eps=1\.5, must be in \(0, 1\)"):
        biharmonic_distance(path, eps=1.5)
    with pytest.raises(IndexError, match="names target node 2, but there are 2 target nodes"):
        effective_resistance(path, num_nodes=2)
    with pytest.raises(IndexError, match=r"pairs name a node outside 0\.\.2"):
        commute_time(path, torch.tensor([[0], [3]]))
    with pytest.raises(ValueError, match="expected ids"):
        effective_resistance(path, torch.tensor([[0.5], [1.0]]))
