"""What all rewirings have to keep."""

from __future__ import annotations

import warnings

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.algorithms import balanced_forman_curvature
from graphkit.core.hashing import hash_data
from graphkit.testing.instances import factories
from graphkit.transforms.rewiring import (
    BORF,
    DIGL,
    LASER,
    SDRF,
    EffectiveResistance,
    FirstEdges,
    FoSR,
    RandomEdges,
)
from tests.transforms.rewired import as_data, pairs_of, total

METHODS = {name: next(iter(factories(cls).values())) for name, cls in gk.rewiring.registry.classes().items()}


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
