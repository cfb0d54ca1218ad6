"""Curvature of edges against definitions written with dense matrices and sets, and against linear programs."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from graphkit.algorithms import balanced_forman_curvature, ollivier_ricci_curvature
from graphkit.algorithms.kernels.curvature import transport


def edges(graph):
    return torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()


def by_sets(graph, i, j):
    """The paper's definition, word by word."""
    near = {v: set(graph[v]) for v in graph}
    if min(len(near[i]), len(near[j])) == 1:
        return 0.0

    def ways(i, j):
        numbers = [len({w for w in near[k] if w != i} & (near[j] - near[i])) for k in near[i] - near[j] - {j}]
        return [number for number in numbers if number > 0]

    squares = ways(i, j) + ways(j, i)
    large, small = max(len(near[i]), len(near[j])), min(len(near[i]), len(near[j]))
    triangles = len(near[i] & near[j])
    last = len(squares) / (max(squares) * large) if squares else 0.0
    return 2 / large + 2 / small - 2 + 2 * triangles / large + triangles / small + last


def by_matrices(graph, i, j):
    """The formula of the authors' code for GPUs, with its dense products."""
    a = nx.to_numpy_array(graph, nodelist=range(graph.number_of_nodes()))
    squared, degree = a @ a, a.sum(0)
    large, small = max(degree[i], degree[j]), min(degree[i], degree[j])
    products = np.concatenate([a[:, j] * (squared[i] - a[i]), a[i] * (squared[:, j] - a[:, j])])
    value = 2 / large + 2 / small - 2 + (2 / large + 1 / small) * squared[i, j]
    return value + ((products > 0).sum() / (products.max() * large) if products.max() > 0 else 0.0)


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 14), st.floats(0.1, 0.9), st.integers(0, 10**6))
def test_both_definitions_of_balanced_forman(n, p, seed):
    graph = nx.gnp_random_graph(n, p, seed=seed)
    for definition, oracle in (("paper", by_sets), ("official", by_matrices)):
        ours = balanced_forman_curvature(edges(graph), n, definition)
        expected = torch.tensor([oracle(graph, i, j) for i, j in graph.edges], dtype=torch.double)
        torch.testing.assert_close(ours, expected)


def test_values_of_known_graphs():
    def every(function, graph, value, **arguments):
        values = function(edges(graph), **arguments)
        torch.testing.assert_close(values, torch.full_like(values, value))

    every(balanced_forman_curvature, nx.complete_graph(6), 2 / 5 + 2 / 5 - 2 + 3 * 4 / 5)
    every(balanced_forman_curvature, nx.cycle_graph(4), 1.0)
    every(balanced_forman_curvature, nx.cycle_graph(6), 0.0)
    every(ollivier_ricci_curvature, nx.complete_graph(6), 4 / 5)
    every(ollivier_ricci_curvature, nx.cycle_graph(6), 0.0)
    every(ollivier_ricci_curvature, nx.star_graph(4), 0.0)
    double_star = nx.Graph([(0, 1), (0, 2), (0, 3), (1, 4), (1, 5)])
    assert ollivier_ricci_curvature(torch.tensor([[0], [1]]), 2).item() == 0.0
    assert float(ollivier_ricci_curvature(edges(double_star))[0]) == pytest.approx(2 / 3 + 2 / 3 - 2)


def wasserstein(graph, i, j):
    distance = dict(nx.all_pairs_shortest_path_length(graph))
    near_i, near_j = list(graph[i]), list(graph[j])
    cost = np.array([[distance[s][t] for t in near_j] for s in near_i], dtype=float)
    a, b = cost.shape
    rows, columns = np.kron(np.eye(a), np.ones(b)), np.kron(np.ones(a), np.eye(b))
    masses = np.concatenate([np.full(a, 1 / a), np.full(b, 1 / b)])
    return linprog(cost.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=masses).fun


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 11), st.floats(0.2, 0.9), st.integers(0, 10**6))
def test_ollivier_ricci_equals_the_linear_program(n, p, seed):
    graph = nx.gnp_random_graph(n, p, seed=seed)
    expected = torch.tensor([1 - wasserstein(graph, i, j) for i, j in graph.edges], dtype=torch.double)
    torch.testing.assert_close(ollivier_ricci_curvature(edges(graph), n), expected, rtol=1e-7, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_transport_is_feasible_and_cheapest(a, b, seed):
    generator = np.random.default_rng(seed)
    cost = generator.integers(0, 5, (a, b))
    supply, demand = generator.multinomial(30, np.ones(a) / a), generator.multinomial(30, np.ones(b) / b)
    plan = transport(cost, supply.astype(np.int64), demand.astype(np.int64))
    assert (plan >= 0).all()
    assert (plan.sum(1) == supply).all()
    assert (plan.sum(0) == demand).all()
    rows, columns = np.kron(np.eye(a), np.ones(b)), np.kron(np.ones(a), np.eye(b))
    best = linprog(
        cost.ravel(), A_eq=np.concatenate([rows, columns]), b_eq=np.concatenate([supply, demand]).astype(float)
    )
    assert (plan * cost).sum() == pytest.approx(best.fun, abs=1e-6)


def test_loops_directions_and_definitions():
    graph = torch.tensor([[0, 1, 1, 2, 1], [1, 0, 1, 0, 2]])
    for function in (balanced_forman_curvature, ollivier_ricci_curvature):
        values = function(graph)
        assert values[2] == 0.0
        assert values[0] == values[1]
    with pytest.raises(ValueError, match="did you mean 'paper'"):
        balanced_forman_curvature(graph, definition="papers")
