"""Questions to a device that are answered together, and layers that ask early: one wait where there were several."""

import gc

import pytest
import torch
from torch_geometric.utils import add_remaining_self_loops

from graphkit import ops
from graphkit.core.devices import Asked, read
from graphkit.models import GCN
from graphkit.models.convolution.auto_gnn import _with_self_loops
from graphkit.testing import random_graph

EDGES = torch.tensor([[0, 1, 2, 2, 1, 1], [1, 2, 0, 2, 1, 1]])


def test_what_was_asked_before_is_read_along(gpu):
    x = torch.tensor([3.0, -1.0, 2.0], device=gpu.device)
    with gpu.counting() as counts:
        early, abandoned = Asked([(x < 0).any(), x.argmax()]), Asked([x.argmin()])
        del abandoned
        gc.collect()
        before = counts.operations["stack"]
        assert read(x.argmin()) == [1]
        assert early.values == [1, 0]
        assert early.values == [1, 0]
    assert (counts.num_waits, before) == (1, 0), str(counts)


def test_tensors_are_read_with_numbers(device):
    ids = torch.tensor([[3, 4], [5, 6]], device=device)
    asked, more = Asked([ids, ids[0, 1]]), Asked([ids[1]])
    assert (asked.values, more.values) == ([3, 4, 5, 6, 4], [5, 6])


def test_nobody_else_reads(gpu):
    x = torch.tensor([3, 4], device=gpu.device)
    with gpu.counting() as counts:
        assert Asked([x[1], x[0]]).values == [4, 3]
    assert counts.num_waits == 1


WEIGHTS = {"positive": ([1.0, 2, 3, 4, 5, 6], 1), "negative": ([1.0, 2, 3, 4, -3, 6], 2)}


@pytest.mark.parametrize("name", WEIGHTS)
def test_signs_of_weights_are_read_with_the_edges(name, gpu):
    values, waits = WEIGHTS[name]  # degrees are asked for where a weight is negative
    weight = torch.tensor(values)
    expected = ops.gcn_norm(EDGES, weight, norm="sym", size=3, fill=9.0).to_dense()
    edge_index, weight = EDGES.to(gpu.device), weight.to(gpu.device)
    with gpu.counting() as counts:
        matrix = ops.gcn_norm(edge_index, weight, norm="sym", size=3, fill=9.0, add_self_loops=False)
    assert counts.num_waits == waits, str(counts)
    del matrix
    actual = ops.gcn_norm(edge_index, weight, norm="sym", size=3, fill=9.0)
    torch.testing.assert_close(actual.to_dense().cpu(), expected)


def test_a_negative_degree_is_refused(device):
    weight = torch.tensor([1.0, -2, 3, 4, 5, 6], device=device)
    with pytest.raises(ValueError, match=r"node 2 has the negative weighted in-degree -98.*weight -100"):
        ops.gcn_norm(EDGES.to(device), weight - weight.eq(-2) * 98 - weight.eq(4) * 2, size=3, add_self_loops=False)


@pytest.mark.parametrize("readout", ["gnp", "lcm", "recurrent"])
@pytest.mark.parametrize("whole", [True, False])
def test_readouts_of_a_known_graph(readout, whole, gpu):
    graph = random_graph(8, 20, edge_dim=None).to(gpu.device)
    if not whole:
        graph.batch = torch.tensor([0, 0, 0, 1, 1, 1, 1, 3], device=gpu.device)
    model = GCN(5, 4, 2, 1, readout=readout).double().to(gpu.device)
    expected = model.cpu()(graph.clone().cpu())
    model = model.to(gpu.device)
    waits = []
    for _ in range(3):
        with gpu.counting() as counts:
            out = model(graph)
        waits.append(counts.num_waits)
    assert waits[1:] == [0, 0], str(counts)
    assert waits[0] <= 2 + whole  # nobody asks ahead for the one graph
    if readout == "gnp":  # the others read in a random order
        torch.testing.assert_close(out.cpu(), expected)


def test_self_loops_are_pygs(device):
    expected = add_remaining_self_loops(EDGES, num_nodes=4)[0]
    edge_index = EDGES.to(device)
    actual = _with_self_loops(edge_index, 4)
    assert torch.equal(actual.cpu(), expected)
    assert _with_self_loops(edge_index, 4) is actual


def test_kinds_of_edges_are_counted_once(gpu):
    kind = torch.tensor([1, 200, 2, -1, 1, 63])
    graph, kind_there = EDGES.to(gpu.device), kind.to(gpu.device)
    waits = []
    for kinds in ([1], [1, 2, 5], [63], [200, -1]):
        expected = ops.split_edges(EDGES, kind, kinds, 3)
        with gpu.counting() as counts:
            actual = ops.split_edges(graph, kind_there, kinds, 3)
        waits.append(counts.num_waits)
        assert [edges.tolist() for edges in actual] == [edges.tolist() for edges in expected]
    assert waits == [2, 0, 0, 1]  # the edges and their kinds; large kinds on their own


def test_parts_of_a_graph_without_loops_have_none(gpu):
    edge_index = torch.tensor([[0, 1, 2, 1], [1, 0, 1, 2]], device=gpu.device)
    part = ops.sparsity_pattern(edge_index, 3).select(torch.tensor([0, 3], device=gpu.device))
    with gpu.counting() as counts:
        looped = part.with_self_loops()[0]
    assert counts.num_waits == 0, str(counts)
    assert looped.edge_index().tolist() == [[0, 1, 0, 1, 2], [1, 2, 0, 1, 2]]
