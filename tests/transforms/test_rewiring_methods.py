"""Each rewiring against searches and dense formulas."""

from __future__ import annotations

import math
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

import graphkit as gk
from graphkit.algorithms import SimpleGraph, greedy_resistance
from graphkit.algorithms.kernels.sdrf import draw
from graphkit.algorithms.spectral import resistance
from graphkit.core.hashing import hash_data
from graphkit.transforms.rewiring import (
    BORF,
    DIGL,
    LASER,
    SDRF,
    EffectiveResistance,
    Expander,
    FirstEdges,
    FoSR,
    RandomEdges,
    digl,
)
from graphkit.transforms.rewiring.expander import _order, cayley_pairs
from tests import tiny
from tests.transforms.rewired import as_data, pairs_of, total


def simple(graph):
    data = as_data(graph)
    return SimpleGraph.from_edges(data.edge_index, data.num_nodes)


def new_pairs(out, relation=1):
    return {tuple(sorted(edge)) for edge in out.edge_index[:, out.edge_type == relation].t().tolist()}


def small_graphs(smallest=3, largest=9):
    return st.builds(nx.gnp_random_graph, st.integers(smallest, largest), st.floats(0.2, 0.7), st.integers(0, 10**6))


@settings(max_examples=25, deadline=None)
@given(small_graphs())
def test_each_edge_lowers_the_total_resistance_most(graph):
    out = EffectiveResistance(4, report=True)(as_data(graph))
    forward = (out.edge_index[0] < out.edge_index[1]) & (out.edge_step > 0)
    steps = out.edge_index[:, forward][:, out.edge_step[forward].argsort()].t().tolist()
    current = graph.copy()
    for s, t in steps:
        free = [p for nodes in nx.connected_components(current) for p in combinations(sorted(nodes), 2)]
        drops = {p: total(current) - total(_added(current, p)) for p in free if not current.has_edge(*p)}
        assert drops[s, t] >= max(drops.values()) * (1 - 1e-7) - 1e-9
        current = _added(current, (s, t))
    assert float(out.total_resistance[0, 0]) == pytest.approx(total(graph), rel=1e-8, abs=1e-9)
    assert float(out.total_resistance[0, 1]) == pytest.approx(total(current), rel=1e-8, abs=1e-9)
    if len(steps) < 4:
        assert all(current.has_edge(*p) for nodes in nx.connected_components(current) for p in combinations(nodes, 2))


def _added(graph, pair):
    out = graph.copy()
    out.add_edge(*pair)
    return out


def test_weights_are_conductances():
    graph = nx.cycle_graph(8)
    weight = torch.tensor([1.0, 1, 1, 0.01, 1, 1, 1, 1])
    data = Data(edge_index=torch.tensor(list(graph.edges)).t(), num_nodes=8, edge_weight=weight)
    (pair,) = new_pairs(EffectiveResistance(1)(data))
    assert pair == (0, 7) or len(set(pair) & {3, 4}) > 0, "the bottleneck, not the whole cycle, decides"
    best, drops = None, {}
    for p in combinations(range(8), 2):
        laplacian = np.zeros((8, 8))
        edges = [(*e, float(w)) for e, w in zip(graph.edges, weight)] + [(*p, 1.0)]
        for u, v, w in edges:
            laplacian[[u, v], [u, v]] += w
            laplacian[[u, v], [v, u]] -= w
        if not graph.has_edge(*p):
            drops[p] = (1 / np.linalg.eigvalsh(laplacian)[1:]).sum()
    best = min(drops, key=drops.get)
    assert drops[pair] == pytest.approx(drops[best], rel=1e-9)


def test_a_component_of_many_nodes_comes_first_unless_the_official_score_is_asked_for():
    graph = nx.disjoint_union(nx.path_graph(6), nx.circular_ladder_graph(12))
    assert max(next(iter(new_pairs(EffectiveResistance(1)(as_data(graph)))))) >= 6
    assert max(next(iter(new_pairs(EffectiveResistance(1, official_score=True)(as_data(graph)))))) < 6


GRAPHS = {
    "random": nx.gnm_random_graph(900, 1800, seed=0),
    "grid": nx.grid_2d_graph(30, 30),
    "tree": nx.random_labeled_tree(800, seed=0),
    "two components": nx.disjoint_union(nx.watts_strogatz_graph(700, 4, 0.05, seed=0), nx.path_graph(40)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_sketch_gains_nearly_what_the_exact_search_does(name):
    graph = simple(nx.convert_node_labels_to_integers(GRAPHS[name]))
    exact = greedy_resistance(graph, 70, "exact")
    sketch = greedy_resistance(graph, 70, "sketch", num_candidates=256)  # more than a round
    for count in (10, 70):
        assert sketch.drops[:count].sum() > 0.97 * exact.drops[:count].sum()
    after = graph.with_pairs(sketch.pairs)
    drop = resistance.total(graph, "exact") - resistance.total(after, "exact")
    assert sketch.drops.sum() == pytest.approx(drop, rel=1e-6), "the reported gain is the true one"
    assert len({tuple(p) for p in sketch.pairs.tolist()}) == 70


def test_the_sketch_of_a_small_graph_is_exact():
    graph = simple(nx.gnm_random_graph(60, 120, seed=1))
    exact, sketch = (greedy_resistance(graph, 20, backend) for backend in ("exact", "sketch"))
    np.testing.assert_array_equal(exact.pairs, sketch.pairs)


def test_budgets_are_nested_and_cut_to_size():
    data = as_data(nx.gnm_random_graph(40, 70, seed=0))
    for method in (EffectiveResistance, FoSR, RandomEdges):
        longest = method(30)(data)
        for count in (0, 1, 17, 30):
            cut, direct = FirstEdges(count)(longest), method(count)(data)
            assert torch.equal(cut.edge_index, direct.edge_index)
            assert torch.equal(cut.edge_step, direct.edge_step)
            torch.testing.assert_close(cut.total_resistance, direct.total_resistance)
            torch.testing.assert_close(cut.spectral_gap, direct.spectral_gap)
    assert FirstEdges(0.1)(longest).num_edges == data.num_edges + 14
    with pytest.raises(ValueError, match="the graph has no edge_step"):
        FirstEdges(3)(data)


@settings(max_examples=40, deadline=None)
@given(small_graphs(4, 24), st.integers(0, 5))
def test_fosr_finds_the_smallest_product_of_all_pairs(graph, seed):
    graph.remove_nodes_from([v for v, degree in list(graph.degree) if degree == 0])
    graph = nx.convert_node_labels_to_integers(graph)
    n = graph.number_of_nodes()
    if n < 3:  # two nodes have no third eigenvector
        return
    a = nx.to_numpy_array(graph)
    x = np.random.default_rng(seed).uniform(-1, 1, n)

    def step(x):
        root = np.sqrt(a.sum(0))
        x = x - (x @ root) * root / a.sum()
        y = x + a @ (x / root) / root
        return y / np.linalg.norm(y)

    for _ in range(5):
        x = step(x)
    expected = []
    for _ in range(6):
        z = x / np.sqrt(a.sum(0) + 1)
        product = np.where((a > 0) | np.eye(n, dtype=bool), np.inf, np.outer(z, z))
        u, v = divmod(int(product.argmin()), n)
        if np.isinf(product[u, v]):
            break
        expected.append(tuple(sorted((u, v))))
        a[u, v] = a[v, u] = 1
        x = step(x)
    pairs = FoSR(6, seed=seed).sequence(simple(graph), np.random.default_rng(seed).uniform(-1, 1, n))[0]
    assert list(map(tuple, pairs.tolist())) == expected


def test_fosr_leaves_isolated_nodes_alone():
    out = FoSR(20)(as_data(nx.path_graph(5), n=8))
    assert pairs_of(out) == set(combinations(range(5), 2)), "complete, and no NaN"


def dense_sdrf(a, rounds, bound):
    """The official procedure for GPUs with dense products, the largest gain, and edges only as extremes."""

    def curvature(i, j, a, second, di, dj):
        large, small = max(di, dj), min(di, dj)
        products = np.concatenate([a[:, j] * (second[i] - a[i]), a[i] * (second[:, j] - a[:, j])])
        value = 2 / large + 2 / small - 2 + (2 / large + 1 / small) * second[i, j]
        return value + ((products > 0).sum() / (products.max() * large) if products.max() > 0 else 0.0)

    a, added, removed = a.copy(), [], []
    near = [list(np.flatnonzero(row)) for row in a]
    for _ in range(rounds):
        second, degree = a @ a, a.sum(0)
        values = {(i, j): curvature(i, j, a, second, degree[i], degree[j]) for i, j in np.argwhere(np.triu(a))}
        if not values:
            break
        x, y = min(values, key=values.get)
        gains = {}
        for i in near[x] + [x]:
            for j in near[y] + [y]:
                if i != j and not a[i, j]:
                    b = a.copy()
                    b[i, j] += 1
                    gains[i, j] = curvature(x, y, b, b @ b, b[:, x].sum(), b[y].sum())
        high = max(values, key=values.get)
        remove = values[high] > bound
        if not gains and not remove:
            break
        if gains:
            i, j = max(gains, key=gains.get)
            added.append(tuple(sorted((int(i), int(j)))))
            a[i, j] = a[j, i] = 1
            near[i].append(j)
            near[j].append(i)
        if remove:
            removed.append(tuple(map(int, high)))
            u, v = high
            a[u, v] = a[v, u] = 0
            near[u].remove(v)
            near[v].remove(u)
    return added, removed


@settings(max_examples=40, deadline=None)
@given(small_graphs(3, 14), st.sampled_from([None, 0.5, 0.0]))
def test_sdrf_equals_the_dense_procedure(graph, bound):
    a = nx.to_numpy_array(graph, nodelist=range(graph.number_of_nodes()))
    expected = dense_sdrf(a, 7, math.inf if bound is None else bound)
    rounds = SDRF(7, tau=math.inf, removal_bound=bound).sequence(simple(graph))
    for ours, theirs in zip(rounds, expected):
        assert [tuple(sorted(p)) for p in ours.tolist() if p[0] >= 0] == theirs


def test_sdrf_draws_with_softmax_probabilities():
    gains, tau = np.array([0.3, 0.1, -0.4, 0.3]), 2.0
    expected = np.exp(tau * gains) / np.exp(tau * gains).sum()
    uniform = (np.arange(20000) + 0.5) / 20000
    counts = np.bincount([draw(gains, tau, u) for u in uniform], minlength=4)
    np.testing.assert_allclose(counts / 20000, expected, atol=1e-3)
    assert draw(gains, 1e6, 0.9) in (0, 3), "no overflow"


def test_sdrf_raises_the_gap_of_a_bottleneck_and_depends_on_its_seed():
    data = as_data(nx.barbell_graph(8, 2))
    out = SDRF(8, removal_bound=None)(data)
    assert float(out.spectral_gap[0, 1]) > 2 * float(out.spectral_gap[0, 0])
    assert len({hash_data(SDRF(8, seed=seed)(data)) for seed in range(6)}) > 1


def test_borf_adds_across_negative_edges_and_removes_positive_ones():
    graph = nx.barbell_graph(6, 0)  # two cliques and a bridge between 5 and 6
    out = BORF(num_edges=1, num_batches=1)(as_data(graph))
    ((p, q),) = new_pairs(out)
    assert p < 5 < 6 < q or (p, q) in {(p, 6), (5, q)}
    assert pairs_of(out) > set(map(tuple, map(sorted, graph.edges))), "nothing is removed without being asked for"
    assert float(out.spectral_gap[0, 1]) > float(out.spectral_gap[0, 0])
    out = BORF(num_edges=2, num_removed=1, num_batches=2)(as_data(graph))
    gone = set(map(tuple, map(sorted, graph.edges))) - pairs_of(out)
    assert len(gone) == 2
    assert (5, 6) not in gone
    assert BORF(num_edges=3, num_batches=2)(as_data(nx.complete_graph(5))).num_edges == 20


def test_laser_takes_the_worst_connected_at_each_distance():
    graph = nx.random_geometric_graph(40, 0.25, seed=2)
    distance = dict(nx.all_pairs_shortest_path_length(graph))
    walks = np.linalg.matrix_power(nx.to_numpy_array(graph) + np.eye(40), 8)
    out = LASER(num_snapshots=4, rho=0.3)(as_data(graph))
    for relation in (1, 2, 3):
        added = new_pairs(out, relation)
        assert added
        assert all(distance[u][v] == relation + 1 for u, v in added)
        for v in graph:
            orbit = [u for u in graph if distance[v].get(u) == relation + 1]
            count = max(1, round(0.3 * len(orbit))) if orbit else 0
            weakest = sorted(walks[v, u] for u in orbit)[:count]
            joined = sorted(walks[v, u] for u in orbit if tuple(sorted((u, v))) in added)
            assert joined[:count] == weakest
    everything = LASER(num_snapshots=3, rho=1.0)(as_data(graph))
    for relation in (1, 2):
        expected = {(u, v) for u, v in combinations(range(40), 2) if distance[u].get(v) == relation + 1}
        assert new_pairs(everything, relation) == expected


def test_cayley_graphs():
    for q in (2, 3, 4, 5, 6):
        matrices = [m for m in np.ndindex(q, q, q, q) if (m[0] * m[3] - m[1] * m[2]) % q == 1 % q]
        assert _order(q) == len(matrices)
    whole = nx.Graph(cayley_pairs(120).tolist())  # SL(2, Z_5)
    assert set(dict(whole.degree).values()) == {4}
    assert nx.is_connected(whole)
    assert nx.is_connected(nx.Graph(cayley_pairs(70).tolist()))
    out = Expander()(as_data(nx.path_graph(50)))
    assert pairs_of(out) == set(map(tuple, cayley_pairs(50).tolist())) | {(i, i + 1) for i in range(49)}
    assert hash_data(Expander(seed=0)(as_data(nx.path_graph(50)))) != hash_data(out)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_digl_is_personalised_pagerank(weighted, dense, monkeypatch):
    monkeypatch.setattr(digl, "DENSE_NODES", 2000 if dense else 0)
    monkeypatch.setattr(digl, "BLOCK", 4)
    graph, n, alpha = nx.gnm_random_graph(15, 30, seed=0), 15, 0.15
    data = as_data(graph)
    if weighted:
        weight = torch.rand(30, generator=torch.Generator().manual_seed(0), dtype=torch.double) + 0.5
        data.edge_weight = weight.repeat(2)
    a = np.eye(n)
    a[tuple(data.edge_index)] = data.edge_weight if weighted else 1.0
    root = 1 / np.sqrt(a.sum(0))
    diffusion = alpha * np.linalg.inv(np.eye(n) - (1 - alpha) * root[:, None] * a * root)
    diffusion[diffusion < 0.04] = 0
    expected = torch.from_numpy(diffusion / diffusion.sum(0))
    out = DIGL(alpha=alpha, eps=0.04)(data)
    dense = torch.zeros(n, n, dtype=torch.double).index_put(tuple(out.edge_index), out.edge_weight.double())
    torch.testing.assert_close(dense, expected, rtol=1e-5, atol=1e-6)
    assert set(DIGL(k=4)(data).edge_index[1].bincount().tolist()) | {4} == {4}
    assert DIGL(weighted=False)(data).edge_weight.eq(1).all()


def test_a_virtual_node_sees_all_and_takes_no_part_in_the_score():
    task = tiny.node_task()
    rewired = task.transform(gk.rewiring.VirtualNode())
    data = rewired.data
    assert data.num_nodes == 25
    assert int(data.y[-1]) == -1
    assert data.edge_index[0][data.edge_type == 1].tolist() == list(range(24))
    assert data.edge_index[1][data.edge_type == 2].tolist() == list(range(24))
    model = gk.models.GCN.from_task(rewired, hidden_channels=8)
    result = gk.Trainer(max_epochs=2, progress=False).fit(model, rewired)
    assert math.isfinite(result.test)
