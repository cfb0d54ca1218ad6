"""Subgraphs against networkx and dense matrices."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from graphkit.algorithms import SubgraphSource, partition
from graphkit.ops import sparsity_pattern


def random_graph(n=40, p=0.1, directed=False, seed=0):
    return nx.gnp_random_graph(n, p, seed=seed, directed=directed)


def edges_of(graph):
    """Edges in random order, both directions of undirected ones."""
    directed = graph if graph.is_directed() else graph.to_directed()
    edges = np.array(list(directed.edges), dtype=np.int64).reshape(-1, 2)
    np.random.default_rng(0).shuffle(edges)
    return torch.from_numpy(edges.T.copy())


def source_of(graph):
    return SubgraphSource(edges_of(graph), graph.number_of_nodes())


def in_hops(graph, root, depth):
    """The nodes from which messages reach the root within so many hops."""
    reverse = graph.reverse() if graph.is_directed() else graph
    return nx.single_source_shortest_path_length(reverse, root, cutoff=depth)


@pytest.mark.parametrize("directed", [False, True])
def test_induced_subgraphs_are_networkxs(directed):
    graph = random_graph(directed=directed)
    edge_index, source = edges_of(graph), source_of(graph)
    rng = np.random.default_rng(1)
    for size in (0, 1, 5, 20, 40):
        chosen = rng.choice(40, size, replace=False)
        sub = source.induced(chosen)
        assert sub.nodes.tolist() == sorted(chosen.tolist())
        wanted = graph.to_directed().subgraph(chosen.tolist()).edges
        assert sorted(map(tuple, sub.nodes[sub.edge_index].t().tolist())) == sorted(wanted)
        assert torch.equal(edge_index[:, sub.edges], sub.nodes[sub.edge_index])


def test_long_rows_of_hubs_are_searched():
    star = nx.star_graph(200)
    star.add_edge(3, 4)
    sub = source_of(star).induced(np.array([0, 3, 4, 199]))
    wanted = star.to_directed().subgraph([0, 3, 4, 199]).edges
    assert sorted(map(tuple, sub.nodes[sub.edge_index].t().tolist())) == sorted(wanted)


def test_repeated_edges_and_loops_stay():
    edge_index = torch.tensor([[0, 0, 1, 2, 3], [1, 1, 1, 0, 2]])
    sub = SubgraphSource(edge_index, 5).induced(np.array([0, 1, 4]))
    assert sub.edge_index.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert sub.edges.tolist() == [0, 1, 2]
    hub = torch.zeros(2, 50, dtype=torch.long)
    hub[0] = torch.arange(50) % 5
    assert SubgraphSource(hub, 5).induced(np.array([0, 3])).edge_index.tolist() == [[0] * 10 + [1] * 10, [0] * 20]


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_all_neighbours_are_all_nodes_that_reach_the_roots(directed, depth):
    graph = random_graph(p=0.05, directed=directed)
    roots = torch.tensor([5, 0, 17])
    for induced in (False, True):
        sub = source_of(graph).neighbors(roots, [-1] * depth, induced=induced)
        wanted = set().union(*(in_hops(graph, root, depth) for root in roots.tolist()))
        assert set(sub.nodes.tolist()) == wanted
        assert sub.nodes[sub.roots].tolist() == roots.tolist()
        assert sub.nodes.unique().numel() == sub.nodes.numel()
        edges = sorted(map(tuple, sub.nodes[sub.edge_index].t().tolist()))
        inner = set().union(*(in_hops(graph, root, depth - 1) for root in roots.tolist()))
        every = graph.to_directed().subgraph(wanted).edges
        assert edges == sorted(every if induced else [(u, v) for u, v in every if v in inner])


@pytest.mark.parametrize("replace", [False, True])
def test_fan_outs_are_kept_and_uniform(replace):
    star = nx.star_graph(9)
    source, draws = source_of(star), 4000
    counts = np.zeros(10)
    for index in range(draws):
        sub = source.neighbors(torch.tensor([0]), [4], replace=replace, index=index)
        assert sub.edges.numel() == 4
        assert sub.edges.unique().numel() == 4 or replace
        np.add.at(counts, sub.nodes[sub.edge_index[0]].numpy(), 1)
    p = 4 / 9
    deviation = np.abs(counts[1:] / draws - p) / np.sqrt(p * (1 if replace else 1 - p) / draws)
    assert deviation.max() < 5


def test_every_subset_is_equally_likely():
    source, draws = source_of(nx.star_graph(4)), 6000
    counts: dict[tuple, int] = {}
    for index in range(draws):
        chosen = tuple(sorted(source.neighbors(torch.tensor([0]), [2], index=index).nodes[1:].tolist()))
        counts[chosen] = counts.get(chosen, 0) + 1
    assert len(counts) == 6
    assert all(abs(count - draws / 6) < 5 * np.sqrt(draws * 5 / 36) for count in counts.values())


def test_draws_depend_on_seed_and_index_alone():
    source, roots = source_of(random_graph(p=0.3)), torch.tensor([1, 2])
    first = [source.neighbors(roots, [3, 3], seed=1, index=i) for i in range(5)]
    again = [source.neighbors(roots, [3, 3], seed=1, index=i) for i in reversed(range(5))][::-1]
    assert all(torch.equal(a.nodes, b.nodes) and torch.equal(a.edges, b.edges) for a, b in zip(first, again))
    other = source.neighbors(roots, [3, 3], seed=2, index=0)
    assert not torch.equal(first[0].nodes, other.nodes)
    assert not torch.equal(first[0].nodes, first[1].nodes)


@pytest.mark.parametrize("draws", [3, 2000])
def test_few_and_many_draws_of_walks_are_what_they_induce_and_leave_nothing_behind(draws):
    graph = nx.random_regular_graph(4, 7000, seed=0)
    source, fresh = source_of(graph), source_of(graph)
    for index in range(3):
        nodes, count, columns, entries = source.saint("walk", draws, 2, index=index)
        assert np.array_equal(nodes, np.unique(nodes))
        assert nodes.size > draws / 2
        assert all(
            np.array_equal(a, b)
            for a, b in zip(source.saint("walk", draws, 2, index=index), (nodes, count, columns, entries))
        )
        wanted = fresh.adjacency()[nodes][:, nodes]
        assert np.array_equal(count, np.diff(wanted.indptr))
        assert np.array_equal(columns, wanted.indices)
        assert np.array_equal(nodes[columns], fresh.adjacency().indices[entries])


@pytest.mark.parametrize("directed", [False, True])
def test_hop_sets_and_their_subgraphs(directed):
    graph = random_graph(p=0.05, directed=directed)
    graph.add_node(40)
    source, roots = source_of(graph), torch.tensor([3, 40, 8, 3])
    nodes, sizes = source.hop_sets(roots, 2)
    sub = source.neighborhoods(roots, nodes, sizes)
    start = 0
    for i, root in enumerate(roots.tolist()):
        wanted = in_hops(graph, root, 2)
        part = slice(start, start + len(wanted))
        assert sub.nodes[part].tolist() == sorted(wanted)
        assert {v: h for v, h in zip(sub.nodes[part].tolist(), sub.hop[part].tolist())} == wanted
        assert int(sub.roots[i]) == start + sorted(wanted).index(root)
        mine = (sub.edge_index[1] >= part.start) & (sub.edge_index[1] < part.stop)
        assert ((sub.edge_index[0] >= part.start) & (sub.edge_index[0] < part.stop))[mine].all()
        edges = sub.nodes[sub.edge_index[:, mine]].t().tolist()
        assert sorted(map(tuple, edges)) == sorted(graph.to_directed().subgraph(wanted).edges)
        start += len(wanted)


def test_budgets_bound_the_neighbours():
    source = source_of(nx.star_graph(50))
    sizes = source.hop_sets(torch.zeros(200, dtype=torch.long), 1, budget=5)[1]
    assert (sizes <= 6).all()
    assert source.hop_sets(torch.tensor([0]), 1, budget=50)[1].tolist() == [51]


def test_added_loops_are_the_missing_ones():
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 1, 1]])
    source, roots = SubgraphSource(edge_index, 4), torch.tensor([1, 3])
    sub = source.neighborhoods(roots, *source.hop_sets(roots, 1), add_self_loops=True)
    assert sub.edge_index.t().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1], [2, 1], [2, 2], [3, 3]]
    assert sub.edges.tolist() == [-1, 1, 0, 2, 3, -1, -1]


@pytest.mark.parametrize("eps", [1e-2, 1e-4, 1e-8])
def test_pushing_is_within_its_bound_of_the_exact_pagerank(eps):
    graph = random_graph(p=0.08)
    graph.add_node(40)
    source, n, a = source_of(graph), 41, 0.15
    walk = source.adjacency().toarray() / np.maximum(source.degree, 1)[:, None]
    exact, power = np.zeros((n, n)), np.eye(n)
    for _ in range(400):
        exact += a * power
        power = (1 - a) * power @ (np.eye(n) + walk) / 2
    gap = exact - source.pagerank(torch.arange(n), a, eps).numpy()
    assert gap.min() > -1e-12
    assert (gap <= eps * source.degree + 1e-12).all()


def test_pagerank_sets_are_the_largest_scores():
    source, roots = source_of(random_graph(p=0.08)), torch.arange(40)
    scores = source.pagerank(roots, eps=1e-8).numpy()
    nodes, sizes = source.pagerank_sets(roots, 7, threshold=0.05, eps=1e-8)
    for root, chosen in enumerate(np.split(nodes, np.cumsum(sizes)[:-1])):
        order = np.argsort(-scores[root], kind="stable")[:7]
        second = np.sort(scores[root])[-2]
        wanted = [v for v in order if scores[root][v] > 0 and scores[root][v] >= 0.05 * second]
        assert chosen.tolist() == sorted(wanted) or second == 0


def test_a_root_is_in_its_own_set():
    star = source_of(nx.star_graph(5))
    assert star.pagerank_sets(torch.tensor([3]), 1)[0].tolist() == [3]
    assert SubgraphSource(torch.empty(2, 0, dtype=torch.long), 3).pagerank_sets(torch.tensor([2]), 5)[0].tolist() == [2]


def test_a_tolerance_above_all_residuals_leaves_the_root():
    edge_index = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 1]])
    nodes, sizes = SubgraphSource(edge_index, 2).pagerank_sets(torch.tensor([0, 1, 0]), 2, eps=10.0)
    assert nodes.tolist() == [0, 1, 0]
    assert sizes.tolist() == [1, 1, 1]


def test_dead_ends_keep_their_mass():
    source = SubgraphSource(torch.tensor([[1, 2], [0, 0]]), 3)  # 1 and 2 have no neighbours of their own
    scores = source.pagerank(torch.tensor([0]), eps=1e-12)[0]
    a, stay = 0.15, 0.425
    root = a / (1 - stay)
    assert torch.allclose(scores, torch.tensor([root, *[root * 0.85 / 4 / (1 - stay)] * 2]).double(), atol=1e-6)


def test_threads_change_nothing():
    source, roots = source_of(random_graph(300, 0.05)), torch.arange(300)
    results = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            results.append([*source.hop_sets(roots, 2, 3, seed=5), *source.pagerank_sets(roots, 9)])
        finally:
            torch.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results))


def test_partitions_are_balanced_and_find_communities():
    graph = nx.connected_caveman_graph(8, 12)
    part = partition(edges_of(graph), 96, 8)
    assert part.bincount().max() <= 13
    cut = sum(int(part[u] != part[v]) for u, v in graph.edges)
    assert cut <= 0.1 * graph.number_of_edges()  # a random partition cuts 7/8
    assert torch.equal(part, partition(edges_of(graph), 96, 8))
    assert partition(torch.empty(2, 0, dtype=torch.long), 6, 3).bincount().tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match=r"num_parts=7, must be in 1\.\.6"):
        partition(torch.empty(2, 0, dtype=torch.long), 6, 7)


def test_bad_graphs():
    with pytest.raises(IndexError, match="names source node 7"):
        SubgraphSource(torch.tensor([[7], [0]]), 3)
    with pytest.raises(TypeError, match="integer"):
        SubgraphSource(torch.rand(2, 3), 3)
    bipartite = sparsity_pattern(torch.tensor([[0], [1]]), (1, 2))
    with pytest.raises(ValueError, match="one set of nodes"):
        SubgraphSource(bipartite)
    source = source_of(nx.path_graph(3))
    for ask in (source.hop_sets, source.pagerank, source.pagerank_sets):
        with pytest.raises(IndexError, match=r"node 3 is not in the graph, which has the nodes 0\.\.2"):
            ask(torch.tensor([0, 3]), 1)
    with pytest.raises(IndexError, match="node -1 is not in the graph"):
        source.induced(np.array([-1]))
    with pytest.raises(ValueError, match="did you mean 'walk'"):
        source.saint("walks", 2)
