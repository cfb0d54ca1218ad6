"""What paths share, found on a GPU: the steps of the CPU, for which the host waits once."""

import pytest
import torch

from graphkit.algorithms import enumerate_paths
from graphkit.models import PathNN
from graphkit.nn import PathConv
from graphkit.nn.path_lstm import read_paths
from graphkit.ops import backend, sparsity_pattern
from graphkit.testing import random_graph


def _paths(length, with_distances, edges=30):
    graph = random_graph(12, edges, seed=3)
    found = enumerate_paths(graph.edge_index, 12, length, "simple")[-1]
    return graph.edge_index, found.nodes, found.distances if with_distances else None


@pytest.mark.parametrize("with_distances", [True, False])
@pytest.mark.parametrize(("length", "edges"), [(1, 30), (2, 30), (4, 30), (3, 0)])
def test_steps_are_those_of_the_cpu(length, edges, with_distances, device):
    there = [None if part is None else part.to(device) for part in _paths(length, with_distances, edges)]
    edge_index, nodes, distances = _paths(length, with_distances, edges)
    for merge in (True, False):
        expected = read_paths(nodes, distances, sparsity_pattern(edge_index, 12), merge)
        actual = read_paths(*there[1:], sparsity_pattern(there[0], 12), merge)
        for one, other in zip(actual, expected, strict=True):
            for mine, theirs in zip(one, other, strict=True):
                assert (mine is None) == (theirs is None)
                assert mine is None or torch.equal(mine.cpu(), theirs)


def test_waits(gpu):
    edge_index, *paths = (part.to(gpu.device) for part in _paths(4, True))
    graph = sparsity_pattern(edge_index, 12)
    with gpu.counting() as counts:
        read_paths(*paths, graph)
    assert counts.num_waits == 1, str(counts)  # the sizes of the steps, and whether all edges are there


@pytest.mark.parametrize("paths", ["simple", "shortest"])
def test_layers_of_a_new_batch_are_asked_for_at_once(paths, gpu):
    model = PathNN(5, 4, num_layers=3, paths=paths).double()
    graph = model.required_transform()(random_graph(12, 30, seed=3))
    expected = model(graph)
    model, graph = model.to(gpu.device), graph.to(gpu.device)
    for waits in (2, 0):
        with gpu.counting() as counts:
            out = model(graph)
        assert counts.num_waits == waits, str(counts)
    torch.testing.assert_close(out.cpu(), expected)


@pytest.mark.parametrize("aggr", ["sum", "mean"])
@pytest.mark.parametrize("encoder", ["lstm", "mlp"])
def test_blocks_of_paths_are_asked_for_at_once(encoder, aggr, gpu, monkeypatch):
    edge_index, nodes, distances = _paths(3, True)
    layer = PathConv(5, 4, length=3, encoder=encoder, aggr=aggr).double()
    x = torch.randn(12, 5, dtype=torch.float64)
    expected = layer(x, edge_index, path_index=nodes, path_distance=distances)
    monkeypatch.setattr(backend, "DEVICE_BLOCK", 500)
    assert len(layer._blocks(sparsity_pattern(edge_index.to(gpu.device), 12), nodes.to(gpu.device), None)) > 5
    layer, x, given = layer.to(gpu.device), x.to(gpu.device), [part.to(gpu.device) for part in (nodes, distances)]
    there = edge_index.to(gpu.device)
    for waits in (2, 0):
        with gpu.counting() as counts:
            out = layer(x, there, path_index=given[0], path_distance=given[1])
            out.sum().backward()
        assert counts.num_waits == waits, str(counts)
    torch.testing.assert_close(out.cpu(), expected)


def test_dropout_of_blocks_is_that_of_the_way_forward(gpu, monkeypatch):
    edge_index, nodes, distances = (part.to(gpu.device) for part in _paths(3, True))
    layer = PathConv(5, 4, length=3, dropout=0.5).double().to(gpu.device)
    x = torch.randn(12, 5, dtype=torch.float64).to(gpu.device).requires_grad_()
    monkeypatch.setattr(backend, "DEVICE_BLOCK", 500)

    def summed(x):
        torch.manual_seed(0)
        return layer(x, edge_index, path_index=nodes, path_distance=distances).sum()

    grad, step = torch.autograd.grad(summed(x), x)[0], 1e-6
    direction = torch.randn_like(x)
    slope = (summed(x + step * direction) - summed(x - step * direction)) / (2 * step)
    torch.testing.assert_close((grad * direction).sum().cpu(), slope.detach().cpu(), rtol=1e-5, atol=1e-7)


def test_an_edit_of_paths_is_seen(gpu):
    model = PathNN(5, 4, num_layers=2).double()
    graph = model.required_transform()(random_graph(12, 30, seed=3)).to(gpu.device)
    model = model.to(gpu.device)
    model(graph)
    graph.path_index_2[0, 0] = graph.path_index_2[1, 0]  # no edge leads from a node to itself
    with pytest.raises(ValueError, match="but the graph has no such edge"):
        model(graph)


def test_an_edge_that_is_missing_is_named(device):
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]], device=device)
    paths = torch.tensor([[0, 0], [1, 2], [2, 1]], device=device)
    with pytest.raises(ValueError, match="a path goes from node 2 to node 0, but the graph has no such edge"):
        read_paths(paths, None, sparsity_pattern(edges, 3))


@pytest.mark.parametrize("flow", ["source_to_target", "target_to_source"])
def test_paths_that_nobody_gave_take_no_wait_of_their_own(flow, gpu):
    graph = random_graph(12, 30, seed=3)
    layer = PathConv(5, 4, length=3, flow=flow).double()
    expected = layer(graph.x, graph.edge_index)
    layer, graph = layer.to(gpu.device), graph.to(gpu.device)
    for waits in (2, 0):
        with gpu.counting() as counts:
            out = layer(graph.x, graph.edge_index)
        assert counts.num_waits == waits, str(counts)
    torch.testing.assert_close(out.cpu(), expected)
    graph.edge_index[:, 0] = graph.edge_index[:, 1]
    edited = layer(graph.x, graph.edge_index).cpu()
    torch.testing.assert_close(edited, layer.cpu()(graph.x.cpu(), graph.edge_index.cpu()))
