"""Repeated self-loops count once in every layer that adds the missing ones, as in PyG."""

from __future__ import annotations

import pytest
import torch
from torch_geometric import nn as pyg
from torch_geometric.data import Batch, Data

from graphkit import models, nn, ops
from graphkit.core.reads import reads_of
from graphkit.testing import random_graph
from graphkit.training import layerwise_inference

GRAPH = random_graph(9, 25, num_isolated=1, weighted=True)
LOOPS = torch.tensor([[3, 5, 3, 5], [3, 5, 3, 5]])
EDGES = torch.cat([LOOPS[:, :3], GRAPH.edge_index, LOOPS[:, 3:]], dim=1)
WEIGHT = torch.cat([torch.tensor([2.5, 4.0, 0.5]), GRAPH.edge_weight, torch.tensor([3.0])]).double()
FIRST = torch.zeros(29, dtype=torch.bool).index_fill(0, torch.tensor([0, 1]), True)  # loops that a later one replaces

PAIRS = {
    "GCNConv": (nn.GCNConv(5, 3), pyg.GCNConv(5, 3)),
    "improved GCNConv": (nn.GCNConv(5, 3, improved=True), pyg.GCNConv(5, 3, improved=True)),
    "GCNConv without added loops": (nn.GCNConv(5, 3, add_self_loops=False), pyg.GCNConv(5, 3, add_self_loops=False)),
    "SGConv": (nn.SGConv(5, 3, K=2, bias=False), pyg.SGConv(5, 3, K=2, bias=False)),
    "APPNP": (nn.APPNP(K=3, alpha=0.2), pyg.APPNP(K=3, alpha=0.2)),
    "PureGCNConv": (nn.PureGCNConv(5, 3, num_layers=2), pyg.SGConv(5, 3, K=2, bias=False)),
}


def _outputs(layer, edge_index, weight):
    x = GRAPH.x.clone().requires_grad_()
    weight = None if weight is None else weight.clone().requires_grad_()
    layer.zero_grad()
    out = layer(x, edge_index, weight)
    (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
    return out.detach(), x.grad, None if weight is None else weight.grad


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("name", PAIRS)
def test_equals_pyg(name, weight):
    if "improved" in name and weight is None:
        pytest.skip("PyG ignores improved without weights")
    ours, theirs = (layer.double() for layer in PAIRS[name])
    ours.load_state_dict(theirs.state_dict(), strict=False)  # the bias of PureGCNConv is 0
    mine, expected = _outputs(ours, EDGES, weight), _outputs(theirs, EDGES, weight)
    for first, second in zip(mine[:2], expected[:2]):
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12)
    if weight is not None:
        counts = slice(None) if "without" in name else ~FIRST
        torch.testing.assert_close(mine[2][counts], expected[2][counts], rtol=1e-10, atol=1e-12)
        if "without" not in name:  # where PyG has the gradient of the weight that overwrote these
            assert mine[2][FIRST].tolist() == [0, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.ShaDowGCNConv(5, 4),
        lambda: nn.ShaDowGATConv(5, 4, heads=2),
        lambda: nn.GraphDiffusion(5, attention_channels=4, heads=2),
        lambda: nn.GraphDiffusion(5, "mixed", attention_channels=4, heads=2),
        lambda: nn.GraphDiffusion(5, "constant", adjacency="sym"),
    ],
)
def test_layers_without_a_peer_read_the_last_loop(make):
    layer = make().double()
    weighted = reads_of(layer).edge_weight
    out = layer(GRAPH.x, EDGES, **({"edge_weight": WEIGHT} if weighted else {}))
    once = layer(GRAPH.x, EDGES[:, ~FIRST], **({"edge_weight": WEIGHT[~FIRST]} if weighted else {}))
    torch.testing.assert_close(out, once)


@pytest.mark.parametrize("order", [torch.arange(29), torch.randperm(29, generator=torch.Generator().manual_seed(0))])
def test_the_pattern_keeps_the_order_of_the_edges(order):
    pattern, weight = ops.sparsity_pattern(EDGES[:, order], 9).with_self_loops(WEIGHT[order], fill=7.0)
    dense = torch.zeros(9, 9).double()
    for (source, target), value in zip(EDGES[:, order].t().tolist(), WEIGHT[order].tolist()):
        dense[target, source] = value if source == target else dense[target, source] + value
    dense += torch.diag(7.0 * (dense.diag() == 0))
    torch.testing.assert_close(ops.SparseMatrix.from_edges(pattern, weight).to_dense(), dense)


@pytest.mark.parametrize("make", [models.GCN, models.APPNP, models.SGC, models.PureGCN])
def test_layerwise_inference_and_batches_agree(make):
    model = make(5, 6, out_channels=3).double().eval()
    graph = Data(x=GRAPH.x, edge_index=EDGES, edge_weight=WEIGHT)
    out = model(graph)
    batch = Batch.from_data_list([graph, Data(x=GRAPH.x, edge_index=GRAPH.edge_index, edge_weight=GRAPH.edge_weight)])
    torch.testing.assert_close(model(batch)[:9], out)
    if model.num_hops is not None:
        torch.testing.assert_close(layerwise_inference(model, graph, chunk_size=2), out)
