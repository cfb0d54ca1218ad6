"""DRew: what reaches whom and when, options against their definitions, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv

import graphkit as gk
from graphkit.algorithms import hop_pairs
from graphkit.models import DRew
from graphkit.nn import DRewConv, DRewGCNConv, DRewGINConv, DRewRGINConv
from graphkit.nn.encoders import CodeEncoder, LaplacianEncoder
from graphkit.testing import assert_batch_independent, assert_permutation_equivariant, check_model

KINDS = ("gcn", "gin", "gatedgcn", "rgin", GATConv)


def path(n: int, width: int = 4) -> Data:
    nodes = torch.arange(n - 1)
    edge_index = torch.stack([torch.cat([nodes, nodes + 1]), torch.cat([nodes + 1, nodes])])
    x = torch.randn(n, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Data(x=x, edge_index=edge_index)


def model(conv, num_layers=3, **arguments):
    torch.manual_seed(1)
    return DRew(4, 16, num_layers, 3, conv=conv, act="tanh", **arguments).double().eval()


@pytest.mark.parametrize("conv", KINDS)
@pytest.mark.parametrize(("nu", "reach"), [(1, 4), (2, 7), (math.inf, 10)])
def test_how_far_four_layers_see(conv, nu, reach):
    """With nu = 1 one edge per layer; without delay layer t adds t edges; nu = 2 lets two edges pass at once."""
    network = model(conv, 4, nu=nu)
    data = network.required_transform()(path(14))
    data.x.requires_grad_()
    gradient = torch.autograd.grad(network(data)[0].sum(), data.x)[0]
    seen = gradient.abs().sum(1) > 0
    assert seen.tolist() == [node <= reach for node in range(14)]


@pytest.mark.parametrize("conv", KINDS)
def test_one_hop_and_k_max(conv):
    """With k_max = 1 nothing is read but neighbours, and delay means nothing."""
    first, second = (model(conv, k_max=1, nu=nu) for nu in (1, math.inf))
    data = first.required_transform()(path(6))
    assert data.hop_distance.max() == 1
    assert torch.equal(first(data), second(data))
    assert all(layer.conv.num_hops == 1 for layer in first.layers)


def test_a_layer_of_one_hop_is_the_convolution_itself():
    conv = GATConv(4, 5).double()
    data = path(6)
    hop = DRewConv(lambda: conv, num_hops=1)
    hop.convs[0].load_state_dict(conv.state_dict())
    assert torch.equal(hop(data.x, data.edge_index), hop.convs[0](data.x, data.edge_index))


@pytest.mark.parametrize(("nu", "read"), [(1, [2, 1, 0]), (2, [2, 2, 1]), (math.inf, [2, 2, 2])])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("convex", [False, True])
def test_any_convolution_against_its_sum_over_hops(nu, read, learned, convex):
    data = path(6)
    pairs, distance = hop_pairs(data.edge_index, 6, 5)  # more hops than are used
    torch.manual_seed(0)
    conv = DRewConv(lambda: GATConv(4, 5), 3, nu, convex_combination=convex, learned_hop_weights=learned).double()
    states = [torch.randn(6, 4, dtype=torch.float64) for _ in range(3)]
    alpha = torch.ones(3, dtype=torch.float64)
    if learned:
        with torch.no_grad():
            conv.hop_logits.copy_(torch.tensor([0.3, -1.0, 2.0]))
        alpha = 3 * conv.hop_logits.softmax(0)
    alpha = alpha / 3 if convex else alpha
    hops = [pairs[:, distance == k].long() for k in (1, 2, 3)]
    expected = sum(a * c(states[t], e) for a, c, t, e in zip(alpha, conv.convs, read, hops))
    torch.testing.assert_close(conv(states, pairs, distance), expected)
    constant = sum(a * c(states[0], e) for a, c, e in zip(alpha, conv.convs, hops))
    torch.testing.assert_close(conv(states[0], pairs, distance), constant)


def test_too_few_states_are_named():
    data = path(4)
    conv = DRewGINConv(4, 4, num_hops=3, nu=2).double()
    with pytest.raises(ValueError, match="num_hops=3 and nu=2 reads 2 states, got 1"):
        conv([data.x], *hop_pairs(data.edge_index, 4, 3))


def test_the_papers_form_against_dense_matrices():
    data = Batch.from_data_list([path(5), path(1), path(4)])
    pairs, distance = hop_pairs(data.edge_index, 10, 3)
    conv = DRewGCNConv(4, 3, num_hops=3, nu=1, paper_form=True).double()
    states = [torch.randn(10, 4, dtype=torch.float64) for _ in range(3)]
    adjacency = torch.zeros(3, 10, 10, dtype=torch.float64)
    adjacency[distance.long() - 1, pairs[1].long(), pairs[0].long()] = 1
    degree = adjacency[0].sum(1)
    scale = torch.diag(torch.where(degree > 0, degree.clamp(min=1) ** -0.5, 0.0))
    expected = sum(scale @ adjacency[k] @ scale @ states[2 - k] @ conv.convs[k].lin.weight.t() for k in range(3))
    torch.testing.assert_close(conv(states, pairs, distance), expected)


def test_edge_types_have_perceptrons_of_their_own():
    data = path(5)
    pairs, distance = hop_pairs(data.edge_index, 5, 2)
    kind = torch.tensor([0, 1, 2, 0, 0, 1, 2, 0])
    conv = DRewRGINConv(4, 3, num_hops=2, nu=math.inf, num_edge_types=3).double().eval()
    mlps = [conv.convs[0].mlp, *(further.mlp for further in conv.further_types)]
    alpha = conv.hop_logits.softmax(0)
    source, target = data.edge_index
    typed = torch.stack([mlps[r](data.x)[s] for r, s in zip(kind.tolist(), source.tolist())])
    far = pairs[:, distance == 2].long()
    zeros = data.x.new_zeros(5, 3)
    expected = conv.mlp(data.x) + alpha[0] * zeros.index_add(0, target, typed)
    expected = expected + alpha[1] * zeros.index_add(0, far[1], conv.convs[1].mlp(data.x)[far[0]])
    torch.testing.assert_close(conv(data.x, pairs, distance, data.edge_index, kind), expected)
    with pytest.raises(ValueError, match="num_edge_types=3 needs relation_index and edge_type"):
        conv(data.x, pairs, distance)
    network = model("rgin", num_edge_types=3)
    data.edge_attr = kind
    network(network.required_transform()(data)).sum().backward()
    assert all(p.grad is not None for p in network.layers[0].conv.further_types.parameters())


def test_the_official_code_skips_hops_that_a_whole_batch_lacks():
    small, large = path(2), path(5)
    network, official = (model("gin", official_skip_empty_hops=skip) for skip in (False, True))
    official.load_state_dict(network.state_dict())
    transform = network.required_transform()
    assert_batch_independent(network, [transform(small), transform(large)])
    alone = official(transform(small))
    together = official(Batch.from_data_list([transform(small), transform(large)]))
    assert not torch.allclose(alone, together[:2])
    torch.testing.assert_close(together, network(Batch.from_data_list([transform(small), transform(large)])))


def test_jumping_is_a_sum_of_linear_readouts():
    network = model("rgin", jumping=True, readout="mean")
    data = network.required_transform()(path(6))
    history = [network.encode(data)]
    for i in range(3):
        history.append(network.step(i, history, data))
    states = [*history[:-1], history[-1][:, -16:]]
    parts = network.head.weight.split(16, dim=1)
    expected = network.head.bias + sum(h.mean(0) @ part.t() for h, part in zip(states, parts))
    torch.testing.assert_close(network(data)[0], expected)


@pytest.mark.parametrize("official", [False, True])
def test_laplacian_encodings_follow_the_graph_or_all_pairs(official):
    network = DRew(4, 24, 2, 3, lap_pe=3, official_lap_pe=official).double().eval()
    plain, data = path(6), network.required_transform()(path(6))
    edges = hop_pairs(plain.edge_index, 6, 2)[0].long() if official else plain.edge_index
    adjacency = torch.zeros(6, 6, dtype=torch.float64)
    adjacency[edges[0], edges[1]] = 1
    scale = torch.diag(adjacency.sum(1) ** -0.5)
    laplacian = torch.eye(6, dtype=torch.float64) - scale @ adjacency @ scale
    vectors, values = data.laplacian_vectors, data.laplacian_values
    torch.testing.assert_close(laplacian @ vectors, vectors * values)
    torch.testing.assert_close(values[0], torch.linalg.eigvalsh(laplacian)[:3], rtol=0, atol=1e-10)
    assert network.encode(data).shape == (6, 24)
    assert torch.equal(network.encode(data)[:, 8:], network.pe(vectors, values))


def test_laplacian_encoder_leaves_missing_columns_out_and_flips_signs():
    encoder = LaplacianEncoder(4).double()
    vectors, values = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64)
    nan = torch.full((5, 2), torch.nan, dtype=torch.float64)
    encoder.eval()
    padded = encoder(torch.cat([vectors, nan], 1), torch.cat([values, nan], 1))
    torch.testing.assert_close(padded, encoder(vectors, values))
    encoder.train()
    seen = {tuple(encoder(vectors, values)[0].tolist()) for _ in range(60)}
    assert 4 <= len(seen) <= 8


def test_codes_are_summed_embeddings_and_checked():
    encoder = CodeEncoder(6, [3, 2])
    x = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    expected = encoder.embeddings[0].weight[[2, 0]] + encoder.embeddings[1].weight[[1, 1]]
    assert torch.equal(encoder(x), expected)
    repeated = x[[0, 1, 1, 0, 1]]
    sums, which = encoder.distinct(repeated)
    assert len(sums) == 2
    assert torch.equal(sums[which], encoder(repeated))
    for bad in (3.0, -1.0, 0.5, float("nan")):
        with pytest.raises(ValueError, match=r"column 0 of row 1 is .* must be a whole number in 0..2"):
            encoder(torch.tensor([[2.0, 1.0], [bad, 1.0]]))
    network = DRew(9, 16, 2, encoder="atom")
    data = path(3)
    data.x = torch.ones(3, 9)
    assert network(network.required_transform()(data)).shape == (3, 16)


@pytest.mark.parametrize("conv", KINDS)
def test_symmetry_with_all_options_of_depth(conv):
    network = model(conv, 4, nu=2, k_max=3)
    transform = network.required_transform()
    graph = gk.testing.random_graph(9, 16, num_isolated=2)
    graph.x = graph.x[:, :4]
    assert_permutation_equivariant(lambda data: network(transform(data)), graph)


def test_checks_of_a_users_own_convolution():
    reasons = {"copies": "a function defined in place cannot be pickled", "repr": "nor printed without its address"}
    check_model(lambda: DRew(5, 6, 2, 4, conv=lambda i, o: GATConv(i, o, heads=2, concat=False), act="elu"), reasons)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nu": 0}, "nu=0, must be a whole number from 1 on"),
        ({"nu": 1.5}, "nu=1.5, must be a whole number"),
        ({"num_layers": 0}, "num_layers=0, must be at least 1"),
        ({"k_max": 0}, "k_max=0, must be at least 1"),
        ({"conv": "gnc"}, "DRew: conv='gnc', did you mean"),
        ({"encoder": "atoms"}, "did you mean 'atom'"),
        ({"num_edge_types": 2}, "conv='gcn' reads no edge types"),
        ({"conv": "rgin", "shared_weights": True}, "has no shared_weights"),
        ({"lap_pe": 4, "hidden_channels": 16}, "leaves no room"),
        ({"dropout": 1.0}, "dropout=1.0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        DRew(4, **arguments)


def test_a_graph_without_hops_is_refused():
    with pytest.raises(AttributeError, match=r"needs batch.hop_index .*required_transform"):
        model("gcn")(path(3))


def test_ring_transfer_is_solved_at_the_depth_of_its_distance():
    task = gk.load("ring-transfer", num_nodes=8, num_train=64, num_val=5, num_test=5)
    trainer = gk.Trainer(max_epochs=10, progress=False)
    shallow = gk.models.DRew.from_task(task, num_layers=3, nu=1)
    assert trainer.fit(shallow, task).test == pytest.approx(0.2), "three edges are less than four"
    deep = gk.models.DRew.from_task(task, num_layers=4, nu=1)
    assert deep.readout == "mask"
    assert trainer.fit(deep, task).test == 1
