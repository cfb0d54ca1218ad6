"""KLGNN against one labelled copy at a time, what it tells apart, sampling, what it refuses."""

from __future__ import annotations

from itertools import combinations, permutations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.datasets import load_graphs
from graphkit.datasets.generators.expressive import csl_edges
from graphkit.diagnostics import separation
from graphkit.models import KLGNN
from graphkit.nn.labelled_copies import LabelledCopies
from graphkit.ops import sparsity_pattern
from graphkit.testing import assert_batch_independent, assert_permutation_equivariant, random_graph

SMALL = {"num_layers": 2, "num_layers_id": 3, "num_layers_global": 2, "num_layers_regression": 1}


def coded(n, m, seed=0, isolated=0):
    graph = random_graph(n, m, num_isolated=isolated, edge_dim=None, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    graph.edge_attr = torch.randint(3, (graph.num_edges, 1), generator=generator)
    return graph


def run(model, *graphs):
    batch = Batch.from_data_list([model.required_transform()(graph) for graph in graphs])
    return model(batch)


def build(seed=0, **arguments):
    torch.manual_seed(seed)
    return KLGNN(5, 6, out_channels=3, **SMALL | arguments).double().eval()


# ---------------------------------------------------------------------- an oracle with loops and dense matrices


def dense(model, graph):
    """States of nodes per set, ``[num_sets, num_nodes, channels]``, by the formulas of the class's documentation."""
    n = graph.num_nodes
    count = 1 if model.edge_types is None else model.edge_types
    codes = torch.zeros(graph.num_edges).long() if model.edge_types is None else graph.edge_attr.view(-1)
    adjacency = torch.zeros(count, n, n, dtype=torch.float64)
    for (u, v), code in zip(graph.edge_index.t().tolist(), codes.tolist(), strict=True):
        adjacency[code, v, u] += 1
    scale = torch.ones(1, 6, dtype=torch.float64) if model.edge_encoder is None else model.edge_encoder.weight
    aggregate = lambda h: torch.einsum("kvu,kd,ud->vd", adjacency, scale, h)  # noqa: E731
    h = model.encode(graph)
    for block in model.layers:
        h = h + block(aggregate(h))
    network = nx.Graph(graph.edge_index.t().tolist())
    network.add_nodes_from(range(n))
    hops = dict(nx.all_pairs_shortest_path_length(network))
    limit = n if model.max_distance is None else model.max_distance
    far = n if model.max_distance is None else n + 1  # without a limit, no path is no obstacle
    found = []
    for chosen in combinations(range(n), model.l):
        if any(hops[a].get(b, far) > limit for a, b in combinations(chosen, 2)):
            continue
        by_order = []
        for order in permutations(range(model.l)):
            label = torch.full((n,), model.l)
            label[list(chosen)] = torch.tensor(order)
            z = model.label_encoder.weight[label]
            for block in model.id_layers:
                z = z + block(aggregate(z))
            by_order.append(z)
        z = model.id_out(torch.stack(by_order).mean(0))
        u = {"add": h + z, "hadamard": h * z, "cat": torch.cat([h, z], dim=1)}[model.fuse]
        u = model.fuse_in(u)
        for block in model.global_layers:
            u = u + block(aggregate(u))
        found.append(u)
    return torch.stack(found) if found else h.new_zeros(0, n, 6)


def dense_output(model, graph):
    u = dense(model, graph)
    if model.readout is None:
        g = model.subgraph_out(u.mean(0) if len(u) else u.sum(0))
    else:
        pools = {"sum": lambda x, d: x.sum(d), "mean": lambda x, d: x.mean(d), "max": lambda x, d: x.amax(d)}
        sets = model.subgraph_out(pools[model.subgraph_pool](u, 1))
        g = pools[model.readout](sets, 0).unsqueeze(0) if len(u) else u.new_zeros(1, 6)
    for block in model.regression_layers:
        g = g + block(g)
    return model.head(g)


@pytest.mark.parametrize(
    "arguments",
    [
        {"l": 1, "readout": "max", "fuse": "add", "edge_types": 3},
        {"l": 2, "readout": "sum", "max_distance": 2, "subgraph_pool": "mean"},
        {"l": 3, "readout": "mean", "fuse": "cat", "subgraph_pool": "max", "edge_types": 3, "max_distance": 3},
        {"l": 2, "fuse": "add", "edge_types": 3},
        {"l": 4, "max_distance": 1},
    ],
)
def test_equals_one_copy_at_a_time_with_dense_matrices(arguments):
    model = build(**arguments)
    graphs = [coded(7, 14, 1), coded(5, 0, 2), coded(6, 16, 3, isolated=1), coded(1, 0, 4)]
    graphs.append(Data(x=torch.ones(2, 5).double(), edge_index=torch.tensor([[0, 0], [1, 1]])))  # an edge, twice
    graphs[-1].edge_attr = torch.tensor([[1], [1]])
    parameters = list(model.parameters())
    ours, expected = run(model, *graphs), torch.cat([dense_output(model, graph) for graph in graphs])
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = [
        torch.autograd.grad((out * weight).sum(), parameters, allow_unused=True, materialize_grads=True)
        for out in (ours, expected)
    ]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(run(model, *graphs), expected, rtol=1e-10, atol=1e-10)


def test_evaluation_in_parts_changes_nothing(monkeypatch):
    model = build(l=2, readout="mean", edge_types=3)
    graphs = [coded(7, 14, 1), coded(6, 9, 2)]
    with torch.no_grad():
        whole = run(model, *graphs)
        monkeypatch.setattr("graphkit.models.expressive.kl_gnn._ROWS", 30)
        torch.testing.assert_close(run(model, *graphs), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("types", [1, 2])
def test_merged_rows_are_the_distinct_ones(types):
    """Merging changes no state, and rows that stay apart have different states."""
    ring = torch.stack([torch.arange(8), (torch.arange(8) + 1) % 8])
    edges = torch.cat([ring, ring.flip(0)], dim=1)
    kinds = torch.arange(16) // 8 * (types - 1)
    graph = sparsity_pattern(edges, 8)
    copies = LabelledCopies(graph, kinds, types, torch.tensor([0, 8]), torch.tensor([[0, 0, 3], [1, 4, 5]]))
    merged, mean = copies.steps(6)
    plain, plain_mean = copies.steps(6, merge=False)
    sizes = [step.own.numel() for step in merged]
    assert sizes == sorted(sizes)
    assert sizes[-1] < 3 * 2 * 8 == plain[-1].own.numel()
    z = z_plain = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for (own, adjacency), (own_plain, adjacency_plain) in zip(merged, plain, strict=True):
        z = torch.tanh(0.3 * z[own] + sum((i + 1) * (a @ z) for i, a in enumerate(adjacency)))
        z_plain = torch.tanh(
            0.3 * z_plain[own_plain] + sum((i + 1) * (a @ z_plain) for i, a in enumerate(adjacency_plain))
        )
        assert len(z_plain.round(decimals=9).unique(dim=0)) == len(z)
    torch.testing.assert_close(mean @ z, plain_mean @ z_plain)


# ---------------------------------------------------------------------- symmetry and expressive power


def test_states_of_nodes():
    model = build(l=2, max_distance=2, edge_types=3)
    step = model.required_transform()
    graph = coded(8, 18, 5)
    graph.edge_attr = torch.zeros(graph.num_edges, 1, dtype=torch.long)
    assert_permutation_equivariant(lambda data: model(step(data)), graph)
    assert_batch_independent(model, [step(coded(n, 2 * n, n)) for n in (6, 1, 4)])
    marked = build(l=2, max_distance=2, edge_types=3, readout="mask")
    graph.readout_mask = torch.arange(8) == 3
    torch.testing.assert_close(marked(step(graph)), model(step(graph))[3:4])


@pytest.mark.parametrize(("l", "sr16"), [(1, 0), (2, 1)])
def test_graphs_told_apart(l, sr16):  # noqa: E741
    options = {"num_layers": 1, "num_layers_regression": 0, "readout": "sum", "fuse": "add", "l": l}
    torch.manual_seed(0)
    model = KLGNN(1, 16, num_layers_id=4, num_layers_global=2, **options).double()
    found = separation(model, load_graphs("sr16"))
    assert (found.separated, found.pairs) == (sr16, 1)
    rings = [Data(x=torch.ones(13, 1), edge_index=csl_edges(13, skip)) for skip in (2, 3)]
    assert separation(model, rings).separated == 1


def test_the_mean_of_the_official_code_counts_padding():
    graphs = [coded(7, 14, 1), coded(4, 6, 2)]
    model, official = (build(readout="sum", subgraph_pool="mean", official_mean=how) for how in (False, True))
    torch.testing.assert_close(run(model, graphs[1]), run(official, graphs[1]))
    assert not torch.allclose(run(model, *graphs)[1], run(official, *graphs)[1])
    torch.testing.assert_close(run(model, *graphs)[0], run(official, *graphs)[0])


# ---------------------------------------------------------------------- sampling


def sampled(model, batch, seed):
    torch.manual_seed(seed)
    (copies,) = model.copies(batch)
    return copies


def test_training_draws_sets_by_the_seed_and_evaluation_takes_all():
    model = build(l=2, rate=0.3, readout="sum").train()
    graphs = [model.required_transform()(coded(n, 2 * n, n)) for n in (7, 2, 1, 5)]
    batch = Batch.from_data_list(graphs)
    counts = torch.tensor([21, 1, 0, 10])
    drawn = sampled(model, batch, 0)
    assert torch.bincount(drawn.graph, minlength=4).tolist() == [7, 1, 0, 4]  # int(rate * n) + 1, at most n
    again, other = sampled(model, batch, 0), sampled(model, batch, 1)
    assert torch.equal(drawn.subsets, again.subsets)
    assert not torch.equal(drawn.subsets, other.subsets)
    all_sets = {tuple(column) for column in batch.subset_index.t().tolist()}
    rows = [tuple(column) for column in drawn.subsets.t().tolist()]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= all_sets
    often = torch.zeros(14)
    for seed in range(400):
        often += torch.bincount(sampled(model, batch, seed).subsets.flatten(), minlength=15)[:14] / 400
    assert often[:7].tolist() == pytest.approx([2.0] * 7, abs=0.3)  # 14 places, 7 nodes
    torch.manual_seed(0)
    first = model(batch)
    torch.manual_seed(0)
    assert torch.equal(model(batch), first)
    assert torch.bincount(sampled(model.eval(), batch, 0).graph, minlength=4).tolist() == counts.tolist()


def test_rate_one_is_no_sampling():
    model = build(l=2, readout="sum")
    graph = coded(7, 14)
    assert torch.equal(run(model.train(), graph), run(model.eval(), graph))


# ---------------------------------------------------------------------- use


def test_a_structural_encoding_has_a_perceptron_of_its_own():
    task = gk.load("csl", split="cv-5/0").transform(gk.features.RandomWalkPE(3))
    model = KLGNN.from_task(task, hidden_channels=8, structure_features=3, structure_channels=3, **SMALL)
    assert (model.in_channels, model.readout) == (4, "mean")
    assert model.structure_encoder[0].in_features == 3
    assert model.node_encoder.out_features == 5
    batch = next(iter(task.transform(model.required_transform()).batches("val")))
    h = model.encode(batch)
    torch.testing.assert_close(h[:, 5:], model.structure_encoder(batch.x[:, 1:]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"l": 0}, "l=0, must be at least 1"),
        ({"num_layers": 0}, "num_layers=0, must be at least 1"),
        ({"num_layers_global": -1}, "num_layers_global=-1, must be at least 0"),
        ({"rate": 0.0}, r"rate=0.0, must be in \(0, 1\]"),
        ({"dropout": 1.0}, r"dropout=1.0, must be in \[0, 1\)"),
        ({"fuse": "sum"}, "KLGNN: fuse='sum'"),
        ({"readout": "lcm"}, "KLGNN: readout='lcm'"),
        ({"subgraph_pool": "maximum"}, "KLGNN: subgraph_pool='maximum'"),
        (
            {"structure_features": 5},
            "structure_features=5 and structure_channels=28 must be smaller than in_channels=5",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        KLGNN(5, 6, **arguments)


def test_bad_graphs():
    graph = coded(5, 8)
    with pytest.raises(ValueError, match=r"no subset_index of 1 rows; apply model.required_transform\(\)"):
        build(readout="sum")(graph)
    with pytest.raises(ValueError, match=r"no subset_index of 2 rows"):
        build(readout="sum", l=2)(gk.transforms.NodeSubsets(1)(graph))
    model = build(readout="sum", edge_types=2)
    graph.edge_attr[3] = 2
    with pytest.raises(ValueError, match=r"an edge has the code 2, must be a whole number in 0..1; set edge_types"):
        run(model, graph)
    large = gk.transforms.NodeSubsets(1)(Data(x=torch.ones(12_000, 5).double(), edge_index=torch.zeros(2, 0).long()))
    with pytest.raises(
        ValueError, match=r"12000 sets of 1 nodes make 1.44e\+08 labelled nodes at once, more than 2\*\*27"
    ):
        build(readout="sum")(large)
    del graph.edge_attr
    with pytest.raises(ValueError, match="edge_types needs one code per edge in edge_attr, got none"):
        run(model, graph)
