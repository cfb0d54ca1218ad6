"""PathConv against torch's LSTM on every path by itself."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import dropout

from graphkit.algorithms import enumerate_paths
from graphkit.nn import PathConv
from graphkit.nn.path_lstm import read_paths
from graphkit.ops import sparsity_pattern
from graphkit.testing import random_graph
from graphkit.transforms import Paths

GRAPH = random_graph(10, 34, num_isolated=1)
MULTI = GRAPH.clone()  # self-loops, and an edge again with other features: its first copy counts
MULTI.edge_index = torch.cat([GRAPH.edge_index, torch.tensor([[3], [3]]), GRAPH.edge_index[:, :1]], dim=1)
MULTI.edge_attr = torch.cat([GRAPH.edge_attr, torch.randn(2, 3, dtype=torch.float64)])


def path_by_path(conv, x, graph, length, rate=0.0):
    """One call of ``torch.nn.LSTM`` for all paths, each with its own inputs."""
    paths = enumerate_paths(graph.edge_index, graph.num_nodes, length, conv.paths)[-1]
    number = {}
    for position, edge in enumerate(graph.edge_index.t().tolist()):
        number.setdefault(tuple(edge), position)
    rows = paths.nodes.t().tolist()
    sequences = []
    for p, row in enumerate(rows):
        inputs = []
        for i in range(length, -1, -1):
            parts = [x[row[i]]]
            if conv.encode_distances:
                distance = i if paths.distances is None else int(paths.distances[p, i])
                parts.append(conv.distance_encoder.weight[distance])
            if conv.edge_dim:
                came = None if i == length else number[row[i + 1], row[i]]
                parts.append(x.new_zeros(conv.edge_dim) if came is None else graph.edge_attr[came])
            inputs.append(torch.cat(parts))
        sequences.append(torch.stack(inputs))
    inputs = torch.stack(sequences, dim=1)
    last = conv.lstm(dropout(inputs, rate))[1][0][0]
    sums = [last[[p for p, row in enumerate(rows) if row[0] == v]] for v in range(graph.num_nodes)]
    if conv.aggr == "mean":
        return torch.stack([s.mean(0) if len(s) else s.sum(0) for s in sums])
    return torch.stack([s.sum(0) for s in sums])


def results(function, conv, graph):
    x = graph.x.clone().requires_grad_()
    graph = graph.clone()
    graph.edge_attr.requires_grad_()
    conv.zero_grad()
    out = function(x, graph)
    (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
    gradients = [p.grad.clone() for p in conv.parameters()]
    return [out.detach(), x.grad, *gradients, *([graph.edge_attr.grad] if conv.edge_dim else [])]


@pytest.mark.parametrize("graph", [GRAPH, MULTI], ids=["simple graph", "multigraph"])
@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"edge_dim": 3},
        {"encode_distances": False, "edge_dim": 3, "aggr": "mean"},
        {"paths": "all_shortest"},
        {"paths": "shortest", "encode_distances": True, "edge_dim": 3},
    ],
)
def test_equals_torchs_lstm_on_every_path(graph, length, options):
    torch.manual_seed(0)
    conv = PathConv(5, 7, length, **options).double()
    expected = results(lambda x, g: path_by_path(conv, x, g, length), conv, graph)
    found = results(lambda x, g: conv(x, g.edge_index, g.edge_attr), conv, graph)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_dropout_acts_on_each_input_of_each_path(monkeypatch):
    torch.manual_seed(0)
    conv = PathConv(5, 7, 3, edge_dim=3, dropout=0.4).double().train()
    paths = enumerate_paths(GRAPH.edge_index, 10, 3)[-1].nodes.size(1)
    generator = torch.Generator().manual_seed(1)
    mask = (torch.rand(4, paths, 13, generator=generator, dtype=torch.float64) < 0.6) / 0.6

    def fixed(inputs, rate):
        assert rate == 0.4
        return inputs * mask.view_as(inputs)

    monkeypatch.setattr("graphkit.nn.path_conv.F.dropout", fixed)
    monkeypatch.setitem(globals(), "dropout", fixed)
    expected = results(lambda x, g: path_by_path(conv, x, g, 3, 0.4), conv, GRAPH)
    found = results(lambda x, g: conv(x, g.edge_index, g.edge_attr), conv, GRAPH)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_features_by_kind_equal_features_by_edge(dropout):
    torch.manual_seed(0)
    conv = PathConv(5, 7, 3, edge_dim=3, dropout=dropout).double().train()
    kinds = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    kind = torch.randint(4, (GRAPH.num_edges,))
    found = []
    for edges in ((kinds[kind],), (kinds, None, None, kind)):
        torch.manual_seed(1)
        out = conv(GRAPH.x, GRAPH.edge_index, *edges)
        found.append((out, *torch.autograd.grad(out.square().sum(), [kinds, *conv.parameters()])))
    for by_edge, by_kind in zip(*found, strict=True):
        torch.testing.assert_close(by_kind, by_edge, rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match=r"edge_attr of shape \[34, 3\], got \[4, 3\] for edge_kind of shape \[33\]"):
        conv(GRAPH.x, GRAPH.edge_index, kinds, None, None, kind[1:])
    with pytest.raises(ValueError, match=r"edge_kind of PathConv: column 0 of row 0 is \d, .* in 0\.\.2"):
        conv(GRAPH.x, GRAPH.edge_index, kinds[:3], None, None, torch.full((GRAPH.num_edges,), 3))


def test_common_beginnings_are_run_once():
    star = torch.tensor([[0, 1, 1, 2, 1, 3], [1, 0, 2, 1, 3, 1]])  # 1 in the middle
    paths = enumerate_paths(star, 4, 2)[-1]
    assert paths.nodes.size(1) == 6
    merged = read_paths(paths.nodes, None, sparsity_pattern(star, 4))
    assert [step.node.tolist() for step in merged[:2]] == [[0, 2, 3], [1, 1, 1]]
    assert merged[2].node.tolist() == paths.nodes[0].tolist()
    apart = read_paths(paths.nodes, None, sparsity_pattern(star, 4), merge=False)
    assert [step.node.numel() for step in apart] == [6, 6, 6]


def test_given_paths_may_be_shorter_and_must_be_of_the_graph():
    torch.manual_seed(0)
    conv = PathConv(5, 7, 3).double()
    given = Paths(3, "simple")(GRAPH)
    for k in (1, 2, 3):
        out = conv(GRAPH.x, GRAPH.edge_index, None, given[f"path_index_{k}"], given[f"path_distance_{k}"])
        torch.testing.assert_close(out, path_by_path(conv, GRAPH.x, GRAPH, k))
    with pytest.raises(ValueError, match="paths of length 3 were given, but the layer was made for lengths up to"):
        PathConv(5, 7, 2).double()(GRAPH.x, GRAPH.edge_index, None, given.path_index_3, given.path_distance_3)
    with pytest.raises(ValueError, match="path_distance is missing"):
        conv(GRAPH.x, GRAPH.edge_index, None, given.path_index_3)
    with pytest.raises(ValueError, match=r"goes from node \d to node \d, but the graph has no such edge"):
        conv(GRAPH.x, GRAPH.edge_index[:, 5:], None, given.path_index_3, given.path_distance_3)


def test_edge_features_are_checked():
    conv = PathConv(5, 7, 2, edge_dim=4).double()
    with pytest.raises(ValueError, match=r"needs edge_attr of shape \[34, 4\], got none"):
        conv(GRAPH.x, GRAPH.edge_index)
    with pytest.raises(ValueError, match=r"needs edge_attr of shape \[34, 4\], got \[34, 3\]"):
        conv(GRAPH.x, GRAPH.edge_index, GRAPH.edge_attr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 0}, "length=0, must be at least 1"),
        ({"paths": "long"}, "PathConv: paths='long'"),
        ({"aggr": "max"}, "PathConv: aggr='max'"),
        ({"dropout": 1.0}, r"dropout=1.0, must be in \[0, 1\)"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        PathConv(5, 7, **options)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_graph_without_paths_of_the_length_gives_zeros(dropout):
    conv = PathConv(5, 7, 3, edge_dim=3, dropout=dropout).double().train()
    graph = random_graph(4, 2)
    graph.edge_index = torch.tensor([[0, 1], [1, 2]])
    out = conv(graph.x.requires_grad_(), graph.edge_index, graph.edge_attr)
    assert torch.equal(out, torch.zeros(4, 7, dtype=torch.float64))
    out.sum().backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in conv.parameters())
