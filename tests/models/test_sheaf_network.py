"""SheafNetwork against dense algebra, signed graphs, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.models import SheafNetwork
from graphkit.testing import random_graph
from graphkit.transforms import Undirected
from tests import tiny

GRAPH = Undirected()(random_graph(9, 22, num_isolated=1, edge_dim=None))


def _dense_operator(maps, edge_index, n):
    """I - D^{-1/2} L D^{-1/2} from the coboundary of ``maps [E, q, k]``, with the root of the pseudo-inverse."""
    k, rows = maps.size(2), []
    position = {pair: e for e, pair in enumerate(zip(*edge_index.tolist(), strict=True))}
    for (v, u), e in position.items():
        if v < u:
            row = torch.zeros(maps.size(1), n, k, dtype=maps.dtype)
            row[:, v], row[:, u] = maps[e], -maps[position[u, v]]
            rows.append(row.flatten(1))
    delta = torch.cat(rows)
    laplacian = delta.t() @ delta
    root = torch.zeros_like(laplacian)
    for v in range(n):
        block = slice(v * k, (v + 1) * k)
        values, vectors = torch.linalg.eigh(laplacian[block, block])
        inverse = values.clamp(min=1e-10).rsqrt() * (values > 1e-10)
        root[block, block] = (vectors * inverse) @ vectors.t()
    return torch.eye(n * k, dtype=maps.dtype) - root @ laplacian @ root


def _dense_forward(model, x, operator):
    n, k, f = x.size(0), model.stalk_dim, model.hidden_channels
    h = model.lin_in(x).view(n, k, f)
    for i, layer in enumerate(model.layers):
        mixed = torch.einsum("ij,njf,gf->nig", layer.left, h, layer.right)
        h = (operator @ mixed.reshape(n * k, f)).view(n, k, f)
        h = h.relu() if i < model.num_layers - 1 else h
    return model.lin_out(h.flatten(1))


@pytest.mark.parametrize("q", [1, 2, 3])
def test_general_maps(q):
    maps = torch.randn(GRAPH.num_edges, q, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = tiny.with_random_weights(SheafNetwork(5, 3, out_channels=2, stalk_dim=2, maps="restriction_maps"))
    graph = GRAPH.clone()
    graph.restriction_maps = maps
    operator = _dense_operator(maps, GRAPH.edge_index, 9)
    expected = _dense_forward(model, GRAPH.x, operator)
    for _ in range(2):  # the second time the kept Laplacian is used
        torch.testing.assert_close(model(graph), expected)
    inputs = [expected.sum(), model(graph).sum()]
    for a, b in zip(*(torch.autograd.grad(loss, list(model.parameters())) for loss in inputs), strict=True):
        torch.testing.assert_close(a, b)


def test_other_maps_on_the_same_graph_are_noticed():
    graph, other = GRAPH.clone(), GRAPH.clone()
    graph.restriction_maps = torch.ones(GRAPH.num_edges, 2, dtype=torch.float64)
    other.restriction_maps = graph.restriction_maps * torch.tensor([1.0, 2.0], dtype=torch.float64)
    other.restriction_maps[0] = 5.0
    other.edge_index = graph.edge_index
    model = tiny.with_random_weights(SheafNetwork(5, 3, out_channels=2, stalk_dim=2, maps="restriction_maps"))
    first = model(graph)
    assert not torch.allclose(first, model(other))
    torch.testing.assert_close(model(graph), first)


@pytest.mark.parametrize("stalk_dim", [1, 2])
def test_the_constant_sheaf_is_a_graph_convolution_without_self_loops(stalk_dim):
    model = tiny.with_random_weights(SheafNetwork(5, 3, out_channels=2, stalk_dim=stalk_dim))
    eye = torch.eye(stalk_dim, dtype=torch.float64).expand(GRAPH.num_edges, -1, -1)
    operator = _dense_operator(eye, GRAPH.edge_index, 9)
    degree = torch.bincount(GRAPH.edge_index[0], minlength=9).double()
    v, u = GRAPH.edge_index
    torch.testing.assert_close(operator.view(9, stalk_dim, 9, stalk_dim)[v, 0, u, 0], (degree[v] * degree[u]).rsqrt())
    torch.testing.assert_close(model(GRAPH), _dense_forward(model, GRAPH.x, operator))


def test_signed_weights_give_the_signed_laplacian():
    graph = GRAPH.clone()
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(9, 9, generator=generator, dtype=torch.float64)
    matrix = matrix + matrix.t()
    v, u = GRAPH.edge_index
    graph.sign = matrix[v, u]
    weights = torch.zeros(9, 9, dtype=torch.float64)
    weights[v, u] = graph.sign
    total = weights.abs().sum(1)
    scale = total.clamp(min=1e-300).rsqrt() * (total > 0)
    operator = scale[:, None] * weights * scale + torch.diag((total == 0).double())
    model = tiny.with_random_weights(SheafNetwork(5, 3, out_channels=2, maps="sign"))
    torch.testing.assert_close(model(graph), _dense_forward(model, GRAPH.x, operator))
    lifted = tiny.with_random_weights(SheafNetwork(5, 3, out_channels=2, stalk_dim=2, maps="sign"))
    wide = torch.kron(operator, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(lifted(graph), _dense_forward(lifted, GRAPH.x, wide))


def test_batches_carry_their_maps():
    graphs = []
    for seed in range(3):
        graph = Undirected()(random_graph(6, 12, edge_dim=None, seed=seed))
        generator = torch.Generator().manual_seed(seed)
        graph.restriction_maps = torch.randn(graph.num_edges, 2, 2, generator=generator, dtype=torch.float64)
        graphs.append(graph)
    model = tiny.with_random_weights(SheafNetwork(5, 3, stalk_dim=2, maps="restriction_maps", readout="mean"))
    alone = torch.cat([model(graph) for graph in graphs])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), alone)


def test_the_sheaf_separates_what_a_graph_convolution_cannot():
    """Two classes, every edge between them negative: the harmonic space holds the labels, features say nothing."""
    y = torch.arange(40) % 2
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(40, (2, 300), generator=generator)
    pairs = pairs[:, pairs[0] < pairs[1]].unique(dim=1)
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
    sign = torch.where(y[edge_index[0]] == y[edge_index[1]], 1.0, -1.0)
    x = torch.randn(40, 4, generator=generator)
    train = torch.zeros(40, dtype=torch.bool)
    train[:20] = True
    graph = Data(x=x, edge_index=edge_index, y=y, sign=sign)
    scores = []
    for maps in ("sign", None):
        torch.manual_seed(0)
        model = SheafNetwork(4, 16, num_layers=3, out_channels=2, maps=maps)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(graph)[train], y[train]).backward()
            optimizer.step()
        scores.append((model(graph)[~train].argmax(1) == y[~train]).float().mean())
    assert scores[0] > 0.95
    assert scores[1] < 0.8


def test_what_it_refuses():
    model = SheafNetwork(5, 3, stalk_dim=2, maps="restriction_maps").double()
    with pytest.raises(ValueError, match=r"maps='restriction_maps' must be \[E\], \[E, 2\] or \[E, q, 2\].*no such"):
        model(GRAPH)
    graph = GRAPH.clone()
    graph.restriction_maps = torch.ones(3, 2, 2)
    with pytest.raises(ValueError, match=r"has shape \[3, 2, 2\]; a transform that changes edges must come before"):
        model(graph)
    graph.restriction_maps = torch.arange(GRAPH.num_edges).double()
    with pytest.raises(ValueError, match="differ between the directions of an edge"):
        model(graph)
    loop = Data(x=torch.ones(2, 5), edge_index=torch.tensor([[0, 0, 1], [0, 1, 0]]))
    with pytest.raises(ValueError, match="without self-loops"):
        SheafNetwork(5, 3)(loop)
    for arguments, message in (({"num_layers": 0}, "num_layers=0"), ({"dropout": 1.0}, r"in \[0, 1\)")):
        with pytest.raises(ValueError, match=message):
            SheafNetwork(5, 3, **arguments)


def test_trains_by_the_trainer_with_a_given_sheaf():
    task = gk.load("karate", split=0)
    weights = torch.ones(task.graphs[0].num_edges)
    signed = task.transform(lambda data: _with(data, weights))
    model = SheafNetwork.from_task(task, hidden_channels=8, maps="sign")
    result = gk.Trainer(max_epochs=3, progress=False).fit(model, signed)
    assert result.epochs == 3


def _with(data, sign):
    data = data.clone()
    data.sign = sign
    return data
