"""One rule for what belongs to nodes, edges, pairs and graphs: every rewiring, sampler and split carries it along."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.core.attributes import attributes_of
from graphkit.core.hashing import hash_data
from graphkit.samplers import ClusterSampler, GraphSAINTNode, NeighborSampler, ShaDowKHop
from graphkit.tasks import LinkSplit
from graphkit.tasks.collate import Collator
from graphkit.testing.instances import factories
from graphkit.transforms import Undirected, apply

REWIRINGS = {name: next(iter(factories(cls).values())) for name, cls in gk.rewiring.registry.classes().items()}
OF_EDGES = ("time", "weight", "edge_time", "msg")
SAMPLERS = [
    NeighborSampler([2, 2]),
    ShaDowKHop(1, 3),
    ShaDowKHop(2, 3, add_self_loops=True),
    ClusterSampler(2),
    GraphSAINTNode(6, num_steps=3),
]


def name_of(edge_index):
    """A number that tells which edge it is, whatever its place."""
    return (1000.0 + 50 * edge_index[0] + edge_index[1]).float()


def graph(num_nodes, num_edges, seed=0, undirected=False, declared=True):
    """A simple graph whose attributes tell to which edge or node they belong."""
    generator = np.random.default_rng(seed)
    pairs = [(u, v) for u in range(num_nodes) for v in range(num_nodes) if (u < v if undirected else u != v)]
    chosen = [pairs[i] for i in generator.permutation(len(pairs))[:num_edges]]
    edge_index = torch.tensor(chosen + [(v, u) for u, v in chosen] * undirected, dtype=torch.long).view(-1, 2).t()
    data = Data(x=torch.ones(num_nodes, 2), edge_index=edge_index.contiguous())
    for key in OF_EDGES:
        data[key] = name_of(edge_index)
    data.msg = torch.stack([data.time, -data.time], dim=1)
    data.score = torch.arange(1.0, num_nodes + 1)
    data.note = torch.full((1, 3), 7.0)
    if declared:
        data.attribute_kinds = dict.fromkeys(("time", "weight", "msg"), "edge") | {"score": "node", "note": "graph"}
    return data


def check_edges(data, old=None):
    """Edges, or those of a set of old ones, have their own attributes; the others zeros."""
    expected = name_of(data.edge_index)
    if old is not None:
        known = torch.isin(expected, name_of(old))
        expected = torch.where(known, expected, 0.0)
    for key in ("time", "weight", "edge_time"):
        assert torch.equal(data[key], expected), key
    assert torch.equal(data.msg, torch.stack([expected, -expected], dim=1))


@pytest.mark.parametrize("name", REWIRINGS)
@given(st.integers(1, 9), st.integers(0, 14), st.booleans(), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_rewirings(name, num_nodes, num_edges, undirected, seed):
    data = graph(num_nodes, num_edges, seed, undirected)
    before = hash_data(data)
    out = REWIRINGS[name]()(data)
    check_edges(out, data.edge_index)
    assert torch.equal(out.score[:num_nodes], data.score)
    assert out.score[num_nodes:].tolist() == [0.0] * (out.num_nodes - num_nodes)
    assert torch.equal(out.note, data.note)
    assert hash_data(data) == before, "the given graph stays as it is"
    again = REWIRINGS[name]()(out)  # whatever the sizes are now
    assert again.time.numel() == again.num_edges
    assert again.score.numel() == again.num_nodes


@given(st.integers(1, 9), st.integers(0, 14), st.booleans(), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_undirected_graphs(num_nodes, num_edges, undirected, seed):
    data = graph(num_nodes, num_edges, seed, undirected)
    out = Undirected()(data)
    mean = torch.zeros(num_nodes, num_nodes, 2)
    for (u, v), time in zip(data.edge_index.t().tolist(), data.time):
        mean[u, v] += torch.stack([time, torch.tensor(1.0)])
        mean[v, u] += torch.stack([time, torch.tensor(1.0)])
    expected = (mean[..., 0] / mean[..., 1])[tuple(out.edge_index)]
    assert torch.equal(out.time, expected)
    assert torch.equal(out.msg[:, 1], -expected)
    assert torch.equal(out.score, data.score)
    assert torch.equal(out.note, data.note)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("num_edges", [12, 30])
@pytest.mark.parametrize("num_nodes", [12, 15])
def test_samplers(sampler, num_nodes, num_edges):
    data = graph(num_nodes, num_edges, declared=num_nodes == num_edges)
    for batch in sampler.batches(data):
        whole = Data(edge_index=batch.n_id[batch.edge_index])
        for key in OF_EDGES:
            whole[key] = batch[key]
        check_edges(whole, data.edge_index)
        assert torch.equal(batch.score, 1.0 + batch.n_id)
        assert "note" not in batch
        check_edges_after = Undirected()(batch)  # a subgraph may have as many edges as nodes, or one
        assert check_edges_after.time.numel() == check_edges_after.num_edges


def test_inductive_training_graphs():
    data = graph(12, 60, declared=False)
    data.y = torch.arange(12) % 2
    ids = torch.arange(12)
    task = gk.NodeTask("n", data, gk.Split("s", ids[:6], ids[6:8], ids[8:]), allow_missing_classes=True)
    batch = next(iter(task.sampled(NeighborSampler([-1], inductive=True)).batches("train", shuffle=True)))
    assert torch.equal(batch.score, 1.0 + batch.n_id), "training nodes come first in this split"
    check_edges(Data(**{key: batch[key] for key in OF_EDGES}, edge_index=batch.n_id[batch.edge_index]))
    assert bool((batch.n_id < 6).all())


@pytest.mark.parametrize("num_nodes", [12, 40])
def test_links(num_nodes):
    data = graph(num_nodes, 20, undirected=True, declared=num_nodes == 40)
    task = gk.LinkTask("links", data, LinkSplit.random(data.edge_index, num_nodes, 0.2, 0.2))
    for stage in ("train", "val", "test"):
        batch = task.batches(stage)[0]
        assert batch.num_edges < 40
        check_edges(batch)
        assert torch.equal(batch.score, data.score)
    check_edges(task.transform(gk.rewiring.RandomEdges(3)).batches("train")[0], data.edge_index)


def test_batches_keep_and_use_the_declaration():
    graphs = [graph(3, 3), graph(4, 2), graph(1, 0)]
    for batch in (Batch.from_data_list(graphs), Collator(graphs).batch(torch.arange(3))):
        assert attributes_of("edge", batch, "test") == list(OF_EDGES)
        out = Undirected()(batch)
        assert out.time.numel() == out.num_edges
        assert attributes_of("node", batch[0], "test") == ["x", "score"]


def test_the_graphs_of_a_batch_tell_together_what_one_does_not():
    graphs = [graph(3, 3, declared=False), graph(4, 3, declared=False), graph(3, 4, declared=False)]
    batch = Batch.from_data_list(graphs)
    assert batch.num_nodes == batch.num_edges
    assert attributes_of("edge", batch, "test") == list(OF_EDGES)
    assert attributes_of("graph", batch, "test") == ["note", "ptr"]
    with pytest.raises(ValueError, match="'time' may belong to a node or an edge"):
        attributes_of("edge", graphs[0], "test")


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_graphs_of_a_list_count(tmp_path, jobs):
    graphs = [graph(3, 3, declared=False), graph(4, 3, declared=False), graph(2, 1, declared=False)] * 30
    graphs[1].score[0] = 8.0
    for graphs_made in (apply(gk.rewiring.SDRF(2), graphs, jobs, tmp_path) for _ in range(2)):  # then from files
        for before, after in zip(graphs, graphs_made, strict=True):
            check_edges(after, before.edge_index)
            assert torch.equal(after.score, before.score)
            assert torch.equal(after.note, before.note)
    assert all("attribute_kinds" not in data for data in graphs)


@pytest.mark.parametrize("num_edges", [1, 2, 3])
def test_labels_of_graphs_and_nodes_are_not_those_of_edges(num_edges):
    path = torch.stack([torch.arange(num_edges), torch.arange(1, num_edges + 1)])
    of_graph = Data(edge_index=path, num_nodes=num_edges + 1, y=torch.tensor([5.0]))
    assert Undirected()(of_graph).y.tolist() == [5.0]
    assert gk.rewiring.VirtualNode()(of_graph).y.tolist() == [5.0]
    of_nodes = Data(
        edge_index=torch.cat([path, path[:, :1]], 1), num_nodes=num_edges + 1, y=torch.arange(num_edges + 1)
    )
    assert Undirected()(of_nodes).y.tolist() == list(range(num_edges + 1))
    assert gk.rewiring.VirtualNode()(of_nodes).y.tolist() == [*range(num_edges + 1), -1]


def test_a_graph_task_knows_whose_its_labels_are():
    ids = torch.arange(3)
    graphs = [Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0], [1]]), y=torch.rand(4)) for _ in ids]
    task = gk.GraphTask("four columns", graphs, gk.Split("s", ids[:1], ids[1:2], ids[2:]), target="regression")
    rewired = task.transform(gk.rewiring.VirtualNode())
    assert rewired.graphs[0].num_nodes == 5
    assert torch.equal(rewired.labels, task.labels)
    assert rewired.num_outputs == 4


def test_pairs_stay_with_their_nodes():
    data = gk.transforms.Paths(2, paths="simple")(gk.transforms.Hops(1)(graph(4, 4, declared=True)))
    assert data.hop_distance.numel() != data.num_edges or data.path_index_1.size(1) == data.num_edges
    out = Undirected()(data)
    for key in ("hop_index", "hop_distance", "path_index_1", "path_distance_1"):
        assert torch.equal(out[key], data[key]), key
        assert key in attributes_of("pair", data, "test")
    data.edge_label_index, data.edge_label = data.edge_index[:, :2], torch.ones(2)
    assert "edge_label" in attributes_of("pair", data, "test")


def test_what_sizes_leave_open_is_an_error_that_says_what_to_do():
    data = graph(4, 4, declared=False)
    with pytest.raises(
        ValueError, match=r"FoSR: each of the 4 rows of 'time' may belong to .* say which: data.attribute_kinds = "
    ):
        gk.rewiring.FoSR(1)(data)
    with pytest.raises(ValueError, match="NeighborSampler: each of the 4 rows of 'time'"):
        next(NeighborSampler([1]).batches(data))
    data.attribute_kinds = {"time": "edges"}
    with pytest.raises(ValueError, match=r"attribute_kinds\['time'\] is 'edges', expected one of 'graph', 'node'"):
        gk.rewiring.FoSR(1)(data)
    data.attribute_kinds = {"time": "edge", "weight": "edge", "msg": "edge", "score": "node"}
    data.edge_time = data.edge_time[:3]
    with pytest.raises(ValueError, match="FoSR: 'edge_time' has 3 rows, but belongs to the 4 edges"):
        gk.rewiring.FoSR(1)(data)
    data.attribute_kinds |= {"edge_time": "graph"}
    assert gk.rewiring.FoSR(1)(data).edge_time.numel() == 3


def test_a_number_belongs_to_the_graph_even_of_one_node():
    single = Data(x=torch.ones(1, 1), edge_index=torch.empty(2, 0, dtype=torch.long), level=torch.tensor(3.0))
    assert gk.rewiring.VirtualNode()(single).level.item() == 3.0


def test_a_declaration_is_part_of_a_graphs_hash():
    assert hash_data(graph(4, 3)) != hash_data(graph(4, 3, declared=False))
    plain = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 2]]), y=torch.tensor([1]))
    assert "attribute_kinds" not in gk.rewiring.FoSR(1)(plain), "well-known names need none"


def test_int32_ids_become_int64():
    n = 60_000  # source * n + target overflows in 32 bits
    path = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    for transform in (Undirected(), gk.rewiring.RandomEdges(5, report=False)):
        wide, narrow = (transform(Data(edge_index=path.to(t), num_nodes=n)) for t in (torch.int64, torch.int32))
        assert narrow.edge_index.dtype == torch.int64
        assert torch.equal(wide.edge_index, narrow.edge_index)
    data = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1], [1, 2]], dtype=torch.int32), y=torch.arange(4) % 2)
    ids = torch.arange(4, dtype=torch.int32)
    split = gk.Split("s", ids[:2], ids[2:3], ids[3:])
    assert split.train.dtype == torch.int64
    assert split.hash == gk.Split("s", ids[:2].long(), ids[2:3].long(), ids[3:].long()).hash
    assert gk.NodeTask("n", data, split).data.edge_index.dtype == torch.int64
    assert data.edge_index.dtype == torch.int32
    assert next(NeighborSampler([1]).batches(data)).edge_index.dtype == torch.int64


@pytest.mark.parametrize("copies", [1, 400])
def test_repeated_edges_count_once_in_random_walks_of_any_graph(copies):
    cycle = torch.stack([torch.arange(6), (torch.arange(6) + 1) % 6])
    edges = torch.cat([cycle, cycle.flip(0)], 1)
    many = torch.cat([edges + 6 * i for i in range(copies)], 1)
    plain, repeated = (
        gk.features.RandomWalkPE(4)(Data(edge_index=edge_index, num_nodes=6 * copies)).x
        for edge_index in (many, torch.cat([many, many[:, :1]], 1))
    )
    torch.testing.assert_close(plain[:6], torch.tensor([0.0, 0.5, 0.0, 0.375]).expand(6, 4))
    torch.testing.assert_close(repeated, plain)
