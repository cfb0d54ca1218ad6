"""Rewirings against searches and dense formulas, and what all of them have to keep."""

from __future__ import annotations

import math
import warnings
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.algorithms import SimpleGraph, balanced_forman_curvature, greedy_resistance
from graphkit.algorithms.kernels.sdrf import draw
from graphkit.algorithms.spectral import resistance
from graphkit.core.hashing import hash_data
from graphkit.testing.instances import factories
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

METHODS = {name: next(iter(factories(cls).values())) for name, cls in gk.rewiring.registry.classes().items()}


def as_data(graph, n=None):
    edges = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    n = n or graph.number_of_nodes()
    both = torch.cat([edges, edges.flip(0)], dim=1)
    return Data(x=torch.arange(1.0, n + 1).view(-1, 1), edge_index=both, num_nodes=n)


def simple(graph):
    data = as_data(graph)
    return SimpleGraph.from_edges(data.edge_index, data.num_nodes)


def new_pairs(out, relation=1):
    return {tuple(sorted(edge)) for edge in out.edge_index[:, out.edge_type == relation].t().tolist()}


def pairs_of(out):
    return {tuple(sorted(edge)) for edge in out.edge_index.t().tolist() if edge[0] != edge[1]}


def total(graph):
    """The total resistance by eigenvalues, component by component."""
    out = 0.0
    for nodes in nx.connected_components(graph):
        values = np.linalg.eigvalsh(nx.laplacian_matrix(graph.subgraph(nodes)).toarray().astype(float))
        out += len(nodes) * (1 / np.sort(values)[1:]).sum()
    return out


def small_graphs(smallest=3, largest=9):
    return st.builds(nx.gnp_random_graph, st.integers(smallest, largest), st.floats(0.2, 0.7), st.integers(0, 10**6))


# ---------------------------------------------------------------- effective resistance


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


# ---------------------------------------------------------------- FoSR and SDRF


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


# ---------------------------------------------------------------- the others


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


# ---------------------------------------------------------------- what all have in common


@pytest.mark.parametrize("method", METHODS)
def test_attributes_follow_their_edges(method):
    edges = torch.tensor([[3, 0, 1, 1, 2, 4, 4, 5, 6, 2], [0, 1, 0, 2, 3, 2, 5, 6, 4, 2]])
    number = torch.arange(1.0, 11)
    data = Data(x=torch.ones(8, 1), edge_index=edges, edge_weight=number, edge_attr=number.view(-1, 1).repeat(1, 2))
    data.edge_type = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
    out = METHODS[method]()(data)
    old = {(u, v): (w, t) for u, v, w, t in zip(*edges.tolist(), number.tolist(), data.edge_type.tolist())}
    edges_after = zip(map(tuple, out.edge_index.t().tolist()), out.edge_weight, out.edge_attr, out.edge_type.tolist())
    for edge, weight, attributes, relation in edges_after:
        if edge in old:
            assert attributes.tolist() == [old[edge][0]] * 2
            assert relation == old[edge][1]
        else:
            assert attributes.tolist() == [0.0, 0.0]
            assert relation >= 3, "new relations come after those that are there"
        if method != "DIGL":
            assert float(weight) == (old[edge][0] if edge in old else 1.0)
    keys = (out.edge_index[0] * 9 + out.edge_index[1]).tolist()
    assert keys == sorted(keys)
    assert out.total_resistance.shape == out.spectral_gap.shape == out.num_components.shape == (1, 2)


@pytest.mark.parametrize("method", METHODS)
def test_the_report_is_true(method):
    graph = nx.convert_node_labels_to_integers(nx.barbell_graph(6, 3))
    out = METHODS[method]()(as_data(graph))
    weight = out.get("edge_weight")
    after = nx.Graph()
    after.add_nodes_from(range(int(out.num_nodes)))
    both = torch.zeros(after.number_of_nodes(), after.number_of_nodes(), dtype=torch.double)
    both[tuple(out.edge_index)] = torch.ones(out.num_edges, dtype=torch.double) if weight is None else weight.double()
    both.fill_diagonal_(0)
    directions = (both > 0).double() + (both.t() > 0).double()
    mean = ((both + both.t()) / directions.clamp(min=1)).numpy()
    after.add_weighted_edges_from((i, j, mean[i, j]) for i, j in np.argwhere(np.triu(mean) > 0))
    for column, current in enumerate((graph, after)):
        assert float(out.total_resistance[0, column]) == pytest.approx(total(current), rel=1e-6)
        assert int(out.num_components[0, column]) == nx.number_connected_components(current)
        gap = np.sort(np.linalg.eigvalsh(nx.normalized_laplacian_matrix(current).toarray()))[1]
        assert float(out.spectral_gap[0, column]) == pytest.approx(gap, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_repeated_edge_counts_once_and_a_loop_not_at_all(method, weighted):
    plain = as_data(nx.barbell_graph(5, 2))
    if weighted:
        plain.edge_weight = torch.rand(plain.num_edges // 2, generator=torch.Generator().manual_seed(0)).repeat(2) + 0.5
    messy = plain.clone()
    messy.edge_index = torch.cat([plain.edge_index, plain.edge_index[:, 3:9], torch.tensor([[4, 4, 7], [4, 4, 7]])], 1)
    if weighted:
        messy.edge_weight = torch.cat([plain.edge_weight, plain.edge_weight[3:9], torch.full((3,), 7.0)])
    out, expected = METHODS[method]()(messy), METHODS[method]()(plain)
    assert {pair for pair in pairs_of(out) if pair[0] != pair[1]} == {p for p in pairs_of(expected) if p[0] != p[1]}
    torch.testing.assert_close(out.total_resistance, expected.total_resistance)
    if method == "DIGL":
        assert torch.equal(out.edge_index, expected.edge_index)
        torch.testing.assert_close(out.edge_weight, expected.edge_weight)


def test_what_falls_apart_is_told():
    path = as_data(nx.path_graph(6))
    out = BORF(num_edges=0, num_removed=2, num_batches=1)(path)
    assert out.num_components.tolist() == [[1, 3]]
    assert out.total_resistance[0, 1] < out.total_resistance[0, 0], "only within components"
    batch = Batch.from_data_list([out, out])
    assert batch.num_components.tolist() == [[1, 3], [1, 3]]
    with pytest.warns(UserWarning, match=r"BORF\(num_removed=1000000\) leaves a graph without edges"):
        BORF(num_removed=10**6)(path)
    with pytest.raises(ValueError, match=r"DIGL: .*eps=10"):
        DIGL(eps=10)


def test_weights_and_directions_that_are_not_read_are_warned_about():
    directed = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), edge_weight=torch.tensor([1.0, 2.0, 3.0]))
    directed.num_nodes = 4
    with pytest.warns(UserWarning, match="FoSR does not read") as told:
        FoSR(1)(directed)
    assert [str(warning.message).split(":")[0] for warning in told] == [
        "FoSR does not read edge_weight",
        "FoSR does not read the direction of edges",
    ]
    undirected = as_data(nx.path_graph(4))
    undirected.edge_weight = torch.ones(6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FoSR(1)(undirected)
        undirected.edge_weight = torch.tensor([1.0, 2.0, 3.0]).repeat(2)
        EffectiveResistance(1)(undirected)


@pytest.mark.parametrize("method", METHODS)
def test_odd_graphs(method):
    transform = METHODS[method]()
    for graph in (nx.complete_graph(5), nx.empty_graph(4), nx.empty_graph(1), nx.path_graph(2)):
        data = as_data(graph)
        data.x = torch.ones(data.num_nodes, 1)
        out = transform(data)
        assert torch.isfinite(out.total_resistance).all()
        if method not in ("VirtualNode", "DIGL", "BORF", "SDRF"):
            assert pairs_of(out) >= pairs_of(data)
            assert (out.edge_index[0] != out.edge_index[1]).all(), "no self-loop is added"
    for wrong, error in ((torch.tensor([[0.0], [1.0]]), TypeError), (torch.tensor([[0], [9]]), IndexError)):
        with pytest.raises(error, match=f"{method}: edge_index"):
            transform(Data(x=torch.ones(3, 1), edge_index=wrong))


@pytest.mark.parametrize("method", METHODS)
def test_rewired_graphs_batch(method):
    graphs = [METHODS[method]()(as_data(nx.path_graph(n))) for n in (6, 9)]
    batch = Batch.from_data_list(graphs)
    assert batch.total_resistance.shape == (2, 2)
    assert batch.edge_type.numel() == batch.num_edges


def test_hubs_and_large_budgets_take_no_table_of_nodes_by_degree():
    star = nx.star_graph(60_000)  # a table of nodes by neighbours would have 3.6 billion entries
    star.add_edges_from((i, i + 1) for i in range(1, 2000))
    data = as_data(star)
    curvature = balanced_forman_curvature(data.edge_index[:, 61_000:61_005], data.num_nodes)
    assert curvature.isfinite().all()
    out = FoSR(300, report=False)(data)
    assert out.num_edges == data.num_edges + 600


def test_budgets_larger_than_possible_and_shares():
    data = as_data(nx.path_graph(6))
    for method in (EffectiveResistance, FoSR, RandomEdges):
        assert method(1000)(data).num_edges == 30
        assert method(0.4)(data).num_edges == 14
        assert method(0)(data).num_edges == 10


def test_bad_arguments():
    for method in (EffectiveResistance, FoSR, RandomEdges, SDRF, BORF, FirstEdges):
        with pytest.raises(ValueError, match=rf"{method.__name__}: num_edges=-1, must be at least 0"):
            method(-1)
    with pytest.raises(ValueError, match="did you mean 'exact'"):
        EffectiveResistance(backend="exakt")
    with pytest.raises(ValueError, match="tau=0, must be positive"):
        SDRF(tau=0)
    with pytest.raises(ValueError, match="num_batches=0, must be at least 1"):
        BORF(num_batches=0)
    with pytest.raises(ValueError, match="rho=2, must be in"):
        LASER(rho=2)
    with pytest.raises(ValueError, match="k=0, must be at least 1"):
        DIGL(k=0)
    with pytest.raises(ValueError, match="edge 0 has the weight -1"):
        FoSR(1)(Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2))


@pytest.mark.slow
def test_a_data_set_is_rewired_in_parallel_and_kept(tmp_path):
    from graphkit.transforms import apply

    graphs = [as_data(nx.gnm_random_graph(12, 16, seed=seed)) for seed in range(130)]
    transform = EffectiveResistance(4)
    alone = [hash_data(transform(graph)) for graph in graphs]
    for _ in range(2):
        assert [hash_data(g) for g in apply(transform, graphs, jobs=2, cache_dir=tmp_path, progress=False)] == alone
    assert len(list(tmp_path.rglob("*.pt"))) == 3
