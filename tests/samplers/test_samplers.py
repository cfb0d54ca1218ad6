"""What batches hold, and what their weights make of expectations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphkit import samplers
from graphkit.algorithms import SubgraphSource
from graphkit.models import GCN, GIN, GraphSAINT, ShaDowGNN
from graphkit.ops import spmm
from graphkit.transforms import Hops

ALL = [
    samplers.NeighborSampler([3, 2]),
    samplers.NeighborSampler([3, -1], replace=True),
    samplers.NeighborSampler([3, 2], subgraph_type="induced"),
    samplers.ShaDowKHop(depth=2, budget=3),
    samplers.ShaDowKHop(depth=1, add_self_loops=True),
    samplers.ShaDowPPR(k=5),
    samplers.GraphSAINTNode(8),
    samplers.GraphSAINTEdge(5),
    samplers.GraphSAINTRandomWalk(4, walk_length=2),
    samplers.GraphSAINTRandomWalk(4, walk_length=2, coverage=None),
    samplers.ClusterSampler(5, clusters_per_batch=2),
]
SAINT = [sampler for sampler in ALL if type(sampler).__name__.startswith("GraphSAINT")]
each = pytest.mark.parametrize("sampler", ALL, ids=repr)


@pytest.fixture(autouse=True)
def _own_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    torch.manual_seed(0)


def graph(n=30, m=50, seed=0, weighted=True):
    """An undirected simple graph; the last node is isolated."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.combinations(torch.arange(n - 1))
    pairs = pairs[torch.randperm(len(pairs), generator=generator)[:m]].t()
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
    edge_index = edge_index[:, torch.randperm(2 * m, generator=generator)]
    data = Data(x=torch.randn(n, 4, generator=generator, dtype=torch.float64), edge_index=edge_index)
    data.y = torch.arange(n) % 3
    data.edge_attr = torch.randn(2 * m, 2, generator=generator, dtype=torch.float64)
    if weighted:
        data.edge_weight = 0.5 + torch.rand(2 * m, generator=generator, dtype=torch.float64)
    return data


def run(sampler, data, seed=0, **arguments):
    return list(sampler.batches(data, generator=torch.Generator().manual_seed(seed), **arguments))


def same(first, second):
    return all(
        a.keys() == b.keys()
        and all(torch.equal(a[key], b[key]) if torch.is_tensor(a[key]) else a[key] == b[key] for key in a.keys())  # noqa: SIM118
        for a, b in zip(first, second, strict=True)
    )


@each
def test_batches_are_parts_of_the_graph(sampler):
    data = graph()
    for batch in run(sampler, data, shuffle=True):
        assert torch.equal(batch.x, data.x[batch.n_id])
        assert torch.equal(batch.y, data.y[batch.n_id])
        drawn = batch.e_id >= 0
        assert torch.equal(batch.n_id[batch.edge_index[:, drawn]], data.edge_index[:, batch.e_id[drawn]])
        assert torch.equal(batch.edge_attr[drawn], data.edge_attr[batch.e_id[drawn]])
        if sampler not in SAINT:
            assert torch.equal(batch.edge_weight[drawn], data.edge_weight[batch.e_id[drawn]])
        assert (batch.edge_index[0, ~drawn] == batch.edge_index[1, ~drawn]).all()
        assert (batch.edge_weight[~drawn] == 1).all()
        assert not batch.edge_attr[~drawn].any()


@each
def test_every_root_counts_once_and_nothing_else_does(sampler):
    data, roots = graph(), torch.tensor([28, 3, 14, 7, 9])
    size = 2 if sampler.default_batch_size else None
    batches = run(sampler, data, roots=roots, batch_size=size, shuffle=True)
    counted = torch.cat([batch.n_id[batch.root_index] for batch in batches])
    assert set(counted.tolist()) <= set(roots.tolist())
    if sampler not in SAINT:
        assert sorted(counted.tolist()) == sorted(roots.tolist())
    if size:
        assert [batch.root_index.numel() for batch in batches] == [2, 3]
        in_order = run(sampler, data, roots=roots, batch_size=2)
        assert [batch.root_index.numel() for batch in in_order] == [2, 2, 1]
        assert torch.equal(torch.cat([batch.n_id[batch.root_index] for batch in in_order]), roots)


@each
def test_the_generator_decides_and_threads_do_not(sampler):
    data, size = graph(), 4 if sampler.default_batch_size else None
    first = run(sampler, data, shuffle=True, batch_size=size)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert same(first, run(sampler, data.clone(), shuffle=True, batch_size=size))
    finally:
        torch.set_num_threads(before)
    other = run(sampler, data, seed=1, shuffle=True, batch_size=size)
    assert len(first) != len(other) or not same(first, other)


@each
def test_processes_take_equally_many_batches(sampler):
    data, size = graph(), 7 if sampler.default_batch_size else None
    whole = run(sampler, data, shuffle=True, batch_size=size)
    shares = [run(sampler, data, shuffle=True, batch_size=size, shard=(rank, 2)) for rank in range(2)]
    assert len(shares[0]) == len(shares[1])
    together = [batch for pair in zip(*shares) for batch in pair]
    assert same(whole, together[: len(whole)])
    assert {len(run(sampler, data, batch_size=size, shard=(rank, 50))) for rank in (0, 30, 49)} == {1}


@each
def test_graphs_without_edges(sampler):
    data = Data(x=torch.ones(6, 2), edge_index=torch.empty(2, 0, dtype=torch.long))
    if isinstance(sampler, (samplers.GraphSAINTNode, samplers.GraphSAINTEdge)):
        with pytest.raises(ValueError, match="the graph has no edges; use GraphSAINTRandomWalk"):
            run(sampler, data)
        return
    for batch in run(sampler, data):
        assert (batch.e_id < 0).all()
        assert torch.equal(batch.x, data.x[batch.n_id])
    assert GCN(2, 4, out_channels=3)(batch).shape == (batch.num_nodes, 3)


@each
def test_configuration_round_trip(sampler):
    again = type(sampler).from_config(sampler.config())
    assert again.config() == sampler.config()
    assert repr(again) == repr(sampler)


def test_directed_edges_bring_messages_from_their_sources():
    chain = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
    (batch,) = run(samplers.NeighborSampler([1]), chain, roots=torch.tensor([2]))
    assert batch.n_id.tolist() == [2, 1]
    assert batch.edge_index.tolist() == [[1], [0]]
    (batch,) = run(samplers.ShaDowKHop(2), chain, roots=torch.tensor([2]))
    assert batch.n_id.tolist() == [0, 1, 2]
    (batch,) = run(samplers.ShaDowPPR(3), chain, roots=torch.tensor([1]))
    assert batch.n_id.tolist() == [0, 1]


# --- exactness --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "hops"), [(GIN, 3), (GCN, 4)])
def test_full_fan_out_is_the_whole_graph(model, hops):
    data = graph()
    network = model(4, 8, num_layers=3, out_channels=2).double().eval()
    whole = network(data)
    sampled = [samplers.NeighborSampler([-1] * hops), samplers.ShaDowKHop(hops, budget=-1)]
    for sampler in sampled:
        for batch in run(sampler, data, roots=torch.tensor([29, 4, 11]), batch_size=2):
            roots = batch.root_index
            assert torch.allclose(network(batch)[roots], whole[batch.n_id[roots]], atol=1e-12)


def test_one_hop_less_is_not():
    data = graph()
    network = GIN(4, 8, num_layers=3, out_channels=2, act="elu").double().eval()
    alone = [network(batch)[0] for batch in run(samplers.NeighborSampler([-1, -1]), data, batch_size=1)]
    assert not torch.allclose(torch.stack(alone), network(data), atol=1e-3)


def test_roots_of_a_shadow_batch_do_not_meet():
    data = graph()
    network = ShaDowGNN(4, 8, 3, 2, conv="sage", pooling="mean", residue="concat", hops=True).double().eval()
    roots = torch.tensor([2, 29, 5])
    for sampler in (samplers.ShaDowKHop(2), samplers.ShaDowPPR(8)):
        (together,) = run(sampler, data, roots=roots, batch_size=3)
        alone = [network(batch) for batch in run(sampler, data, roots=roots, batch_size=1)]
        assert together.num_graphs == 3
        assert torch.allclose(network(together), torch.cat(alone), atol=1e-12)


def test_hops_are_shown_as_the_card_says():
    network = ShaDowGNN(8, 8, 1, 2, hops=True)
    with torch.no_grad():
        network.hop_encoder.weight.copy_(torch.eye(8)[:, :7])
        network.hop_encoder.bias.zero_()
    batch = Data(x=torch.zeros(4, 8), edge_index=torch.empty(2, 0, dtype=torch.long), hop=torch.tensor([-1, 0, 5, 6]))
    assert [row.nonzero().view(-1).tolist() for row in network.encode(batch)] == [[0], [1], [6], []]
    with pytest.raises(ValueError, match=r"hops=True needs batches with hop"):
        network(Data(x=batch.x, edge_index=batch.edge_index))


@pytest.mark.parametrize(
    ("sampler", "other", "owner", "name"),
    [
        (samplers.ShaDowPPR(5), samplers.ShaDowPPR(6), SubgraphSource, "pagerank_sets"),
        (samplers.ClusterSampler(3), samplers.ClusterSampler(4), samplers.cluster, "partition"),
        (samplers.GraphSAINTRandomWalk(3), samplers.GraphSAINTRandomWalk(4), samplers.GraphSAINTRandomWalk, "_counted"),
        (
            samplers.GraphSAINTRandomWalk(3, coverage=None),
            samplers.GraphSAINTRandomWalk(3, 3, coverage=None),
            SubgraphSource,
            "walk_probabilities",
        ),
    ],
    ids=["pagerank", "clusters", "counted walks", "exact walks"],
)
def test_what_costs_much_comes_from_a_file_the_second_time(sampler, other, owner, name, monkeypatch):
    data = graph()
    first = run(sampler, data)
    monkeypatch.setattr(owner, name, None)
    assert same(first, run(sampler, data.clone()))
    with pytest.raises(TypeError):
        run(other, data.clone())


# --- GraphSAINT -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAINT, ids=repr)
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_and_losses_are_unbiased(sampler, weighted):
    data, draws = graph(12, 20, weighted=weighted), 6000
    data.edge_index = torch.cat([data.edge_index, torch.tensor([[3], [3]])], dim=1)  # a self-loop
    data.edge_attr = None
    if weighted:
        data.edge_weight = torch.cat([data.edge_weight, torch.tensor([2.0], dtype=torch.float64)])
    target = spmm(data.edge_index, data.x, data.get("edge_weight"))
    values, roots = data.x[:, 0].square(), torch.tensor([0, 2, 3, 5, 7, 10])
    sums, squares, times = torch.zeros(12, 4).double(), torch.zeros(12, 4).double(), torch.zeros(12, 1).double()
    losses = []
    exact = {"coverage": None} if "coverage" in sampler.config() else {}
    sampler = type(sampler)(**sampler.config() | {"num_steps": draws} | exact)
    for batch in run(sampler, data, roots=roots):
        out = spmm(batch.edge_index, batch.x, batch.edge_weight)
        sums[batch.n_id] += out
        squares[batch.n_id] += out.square()
        times[batch.n_id] += 1
        losses.append((batch.node_weight * values[batch.n_id])[batch.root_index].sum())
        degree = target.new_zeros(12).index_add(0, data.edge_index[1], data.get("edge_weight", torch.ones(41).double()))
        assert torch.allclose(batch.full_degree, degree[batch.n_id])
    seen = times[:, 0] > 100
    mean = sums / times
    error = ((squares / times - mean.square()).clamp(min=0) / times).sqrt()
    assert ((mean - target).abs() <= 5 * error + 1e-9)[seen].all()
    linked = roots[roots != 11]
    wanted, losses = values[linked].mean(), torch.stack(losses)
    assert abs(losses.mean() - wanted) <= 5 * losses.std() / draws**0.5


def test_counted_statistics_approach_the_exact_ones():
    data = graph(12, 20, weighted=False)
    source = SubgraphSource(data.edge_index, 12)
    exact, counted = (
        samplers.GraphSAINTRandomWalk(3, 2, coverage=coverage)._statistics(source) for coverage in (None, 5000)
    )
    for one, other in zip(exact[:2], counted[:2], strict=True):
        assert np.abs(one - other).max() < 0.03


def test_edges_and_nodes_never_counted_have_the_official_weights():
    data = graph(200, 300, weighted=False)
    sampler = samplers.GraphSAINTRandomWalk(1, 1, coverage=1)
    source = SubgraphSource(data.edge_index, 200)
    node, edge, least = sampler._statistics(source)
    assert (node == 0).any()
    target, neighbor = data.edge_index.flip(0).numpy()
    ratio = sampler.aggregator_norm(source, target, neighbor, np.arange(600))
    assert (ratio[(edge == 0) & (node[target] == 0)] == 0.1).all()
    assert (ratio[(edge == 0) & (node[target] > 0)] == 1e4).all()
    assert sampler.node_probability(source)[node == 0].max() == least


def test_official_network_sees_the_degrees_of_the_whole_graph():
    data, model = graph(12, 20), GraphSAINT(4, 8, 2, orders=(2, 1), dropout=0.0, norm=False).double()
    whole = model(data)
    data.full_degree = torch.zeros(12).double().index_add(0, data.edge_index[1], data.edge_weight).clamp(min=1e-9)
    assert torch.allclose(model(data), whole, atol=1e-12)
    data.full_degree = 2 * data.full_degree
    assert not torch.allclose(model(data), whole, atol=1e-3)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: samplers.NeighborSampler([]), r"num_neighbors=\[\], must not be empty"),
        (lambda: samplers.NeighborSampler([5, 0]), r"num_neighbors\[1\]=0, must be at least 1"),
        (lambda: samplers.NeighborSampler([-2]), r"or -1 for all"),
        (lambda: samplers.NeighborSampler([2], subgraph_type="inducd"), r"did you mean 'induced'"),
        (lambda: samplers.NeighborSampler([2], evaluate="whol"), r"did you mean 'whole'"),
        (lambda: samplers.ShaDowKHop(0), r"depth=0, must be at least 1"),
        (lambda: samplers.ShaDowKHop(budget=0), r"budget=0"),
        (lambda: samplers.ShaDowPPR(0), r"k=0, must be at least 1"),
        (lambda: samplers.ShaDowPPR(alpha=1.0), r"alpha=1.0, must be in \(0, 1\)"),
        (lambda: samplers.ShaDowPPR(eps=0.0), r"eps=0.0, must be positive"),
        (lambda: samplers.GraphSAINTNode(0), r"num_draws=0, must be at least 1"),
        (lambda: samplers.GraphSAINTRandomWalk(2, walk_length=0), r"walk_length=0"),
        (lambda: samplers.GraphSAINTEdge(3, evaluate="sampled"), r"'sampled' cannot judge given ones; choose 'whole'"),
        (lambda: samplers.ClusterSampler(0), r"num_clusters=0, must be at least 1"),
        (lambda: samplers.ClusterSampler(3, 5), r"clusters_per_batch=5, must be at most num_clusters=3"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@each
def test_roots_as_people_have_them(sampler):
    """A mask, small or unusual integers and lists are the ids that they mean; anything else is refused by name."""
    data, ids = graph(), torch.tensor([1, 4, 20])
    mask = torch.zeros(30, dtype=torch.bool)
    mask[ids] = True
    nodes = [batch.n_id.tolist() for batch in sampler.batches(data, ids)]
    for roots in (mask, mask.numpy(), mask.tolist(), ids.byte(), ids.int(), ids.tolist()):
        assert [batch.n_id.tolist() for batch in sampler.batches(data, roots)] == nodes
    name = type(sampler).__name__
    for roots in (mask[:10], ids[None], mask[None]):
        with pytest.raises(ValueError, match=rf"{name}: roots has the shape \[.*\], expected ids in a row, or a mask"):
            sampler.batches(data, roots)
    with pytest.raises(TypeError, match=rf"{name}: roots has dtype torch.float32, but ids are whole numbers"):
        sampler.batches(data, ids.float())
    with pytest.raises(ValueError, match="there are no roots"):
        sampler.batches(data, torch.zeros(30, dtype=torch.bool))


def test_bad_requests():
    data, sampler = graph(), samplers.NeighborSampler([2])
    with pytest.raises(ValueError, match="batch_size=0, must be at least 1"):
        sampler.batches(data, batch_size=0)
    with pytest.raises(ValueError, match="leave batch_size at None"):
        samplers.GraphSAINTNode(3).batches(data, batch_size=4)
    with pytest.raises(IndexError, match=r"root 30 is not in the graph, which has the nodes 0\.\.29"):
        sampler.batches(data, torch.tensor([0, 30]))
    with pytest.raises(ValueError, match="no roots"):
        sampler.batches(data, torch.empty(0, dtype=torch.long))
    with pytest.raises(ValueError, match=r"num_clusters=31, must be at most the graph.s number of nodes, 30"):
        samplers.ClusterSampler(31).batches(data)
    with pytest.raises(ValueError, match="needs an undirected graph without repeated edges"):
        samplers.GraphSAINTEdge(3).batches(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
    with pytest.raises(ValueError, match=r"hop_index describes pairs of nodes .* task.sampled\(sampler\).transform"):
        sampler.batches(Hops(2)(data))


def test_gcn_on_all_neighbours_needs_one_hop_more_for_the_degrees_at_the_rim():
    data, model = graph(weighted=False), GCN(4, 8, num_layers=2, out_channels=3).double().eval()
    roots = torch.arange(5)

    def error(fanouts):
        (batch,) = samplers.NeighborSampler(fanouts).batches(data, roots, batch_size=5)
        return (model(batch)[batch.root_index] - model(data)[roots]).abs().max().item()

    assert error([-1, -1]) > 1e-3
    assert error([-1, -1, -1]) < 1e-12
