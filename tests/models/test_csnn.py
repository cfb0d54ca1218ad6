"""CSNN: maps that are orthogonal, what maps of size zero do, graphs with directions, one kind of mean per learner."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GraphSAGE, LayerNorm

from graphkit.models import CSNN
from graphkit.nn.sheaf import CooperativeSheafConv, NodeLearner, transport
from graphkit.testing import random_graph

EDGES = torch.tensor([[0, 1, 1, 2, 3, 2], [1, 0, 2, 1, 2, 3]])


@torch.no_grad()
@pytest.mark.parametrize("method", ["householder", "cayley", "matrix_exp", "euler"])
@pytest.mark.parametrize("d", [2, 3, 5])
def test_maps_are_orthogonal_in_single_precision(method, d):
    if method == "euler" and d > 3:
        pytest.skip("Euler angles exist up to 3")
    torch.manual_seed(0)
    conv = CooperativeSheafConv(d, 32, orthogonal=method, learner_layers=0, learner_channels=64)
    x = 10 * torch.randn(10_000, 32 * d)
    for maps in (conv.target, conv.source):
        q, scale = maps(x, EDGES)
        torch.testing.assert_close(
            torch.einsum("kin,kjn->nij", q, q), torch.eye(d).expand(10_000, d, d), atol=2e-6, rtol=0
        )
        assert bool((scale > 0).all())
        assert bool((scale <= 10.0001).all())


def test_transport_is_a_product_with_each_matrix():
    maps, x = torch.randn(3, 3, 7, dtype=torch.float64), torch.randn(7, 3, 4, dtype=torch.float64)
    maps.requires_grad_(), x.requires_grad_()
    torch.testing.assert_close(transport(maps, x), maps.permute(2, 0, 1) @ x)
    torch.testing.assert_close(transport(maps, x, transpose=True), maps.permute(2, 1, 0) @ x)
    assert torch.autograd.gradcheck(transport, (maps, x, True))
    assert torch.autograd.gradgradcheck(transport, (maps, x))


def _conv(silent: str | None = None) -> CooperativeSheafConv:
    """A convolution with the same maps everywhere, or such that nodes with a large last channel have maps of size 0."""
    torch.manual_seed(0)
    conv = CooperativeSheafConv(2, 3, learner_layers=0, learner_channels=4).double()
    if silent is not None:
        learner = getattr(conv, silent).learner
        with torch.no_grad():
            learner.lin_in.weight.zero_()[0, -1] = 1.0
            learner.lin_out.weight.zero_()[-1, 0] = -100.0
    return conv


def test_a_node_without_target_map_does_not_listen_and_one_without_source_map_is_not_heard():
    x = torch.randn(4, 6, dtype=torch.float64)
    x[:, -1], x[2, -1] = -1.0, 1e3
    assert torch.equal(_conv("target")(x, EDGES)[2], torch.zeros(6, dtype=torch.float64))
    other = x.clone()
    other[2, :-1] += 1.0
    conv = _conv("source")
    torch.testing.assert_close(conv(x, EDGES)[[0, 1, 3]], conv(other, EDGES)[[0, 1, 3]])


def test_the_model_listens_along_outgoing_edges():
    torch.manual_seed(0)
    model = CSNN(4, 3, num_layers=1, stalk_dim=2, learner_layers=0).eval()
    x, changed = torch.randn(3, 4), torch.randn(3, 4)
    changed[0] = x[0]
    edges = torch.tensor([[0, 0], [1, 2]])  # node 0 receives from both
    out, other = (model(Data(x=features, edge_index=edges)) for features in (x, changed))
    assert not torch.allclose(out[0], other[0])
    changed = torch.cat([torch.randn(1, 4), x[1:]])
    torch.testing.assert_close(model(Data(x=changed, edge_index=edges))[1:], out[1:])


@pytest.mark.parametrize(
    ("kind", "options"),
    [("sage", {"act": "relu", "norm": LayerNorm(8)}), ("projected", {"act": "gelu", "project": True})],
)
def test_learners_are_graph_sage(kind, options):
    learner = NodeLearner(6, 8, 4, num_layers=3, kind=kind).eval()
    theirs = GraphSAGE(6, 8, 3, 4, **options).eval()
    theirs.load_state_dict(learner.state_dict())
    graph = random_graph(20, 60)
    x = torch.randn(20, 6)
    torch.testing.assert_close(learner(x, graph.edge_index), theirs(x, graph.edge_index))


def test_graphs_of_a_batch_are_standardised_apart_like_a_single_one():
    model = CSNN(5, 4, num_layers=1, stalk_dim=2, learner_layers=3, readout="mean").double().eval()
    graphs = [Data(x=torch.randn(n, 5).double(), edge_index=random_graph(n, 12).edge_index) for n in (5, 9, 7)]
    together = model(Batch.from_data_list(graphs))
    for graph, out in zip(graphs, together, strict=True):
        torch.testing.assert_close(model(graph)[0], out, rtol=1e-12, atol=1e-12)


def test_options_that_nothing_reads_are_refused():
    with pytest.raises(ValueError, match="NodeLearner: conv='gcn' and residual=False are read with kind='embedded'"):
        CSNN(5, 4, learner_conv="gcn")
    with pytest.raises(ValueError, match="stalk dimension of at least 2, got 1"):
        CSNN(5, 4, stalk_dim=1)
