"""PathNN: what it is invariant to, its versions, what it refuses, which graphs it tells apart."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, permutations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_undirected

import graphkit as gk
from graphkit import testing
from graphkit.algorithms import enumerate_paths
from graphkit.algorithms.paths.enumeration import PATHS
from graphkit.datasets import load_graphs
from graphkit.diagnostics import separation
from graphkit.models import PathNN
from graphkit.nn import PathConv
from graphkit.testing import random_graph, relabelled
from graphkit.testing.kinds import weights_by_step

needs_mirror = pytest.mark.skipif(gk.datasets.available()["exp"] == "missing", reason="no raw files at hand")


def synthetic(paths, length, l2_norm, seed=0):
    torch.manual_seed(seed)
    options = {"norm": None, "head_layers": 0, "readout": "sum", "l2_norm": l2_norm}
    return PathNN(1, 16, length, paths=paths, **options).double().eval()


def counts(found):
    return found.separated, found.pairs


def run(model, data):
    return model(model.required_transform()(data))


def test_single_shortest_paths_depend_on_the_numbering_of_nodes():
    testing.check_model(  # layer norm: batch norm puts a node without paths on the kink of the ReLU
        lambda: PathNN(5, 6, num_layers=2, paths="shortest", edge_dim=3, norm="layer_norm"),
        {"permutation": "of several shortest paths, the numbers of nodes choose one"},
    )


@pytest.mark.parametrize("paths", ["all_shortest", "simple"])
def test_relabelling_changes_nothing(paths):
    graph = random_graph(9, 26, num_isolated=1)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(0)
    model = PathNN(5, 6, num_layers=4, paths=paths, edge_dim=3).double().eval()
    torch.testing.assert_close(run(model, relabelled(graph, order)), run(model, graph)[order], rtol=1e-11, atol=1e-11)


def test_all_kinds_agree_on_paths_of_length_one():
    graph = random_graph()
    torch.manual_seed(0)
    models = [PathNN(5, 6, 1, paths=paths, encode_distances=False).double().eval() for paths in PATHS]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
        assert torch.equal(run(model, graph), run(models[0], graph))


def test_codes_are_embedded_and_summed():
    data = random_graph(6, 12)
    data.x = torch.tensor([[0, 2], [1, 1], [2, 0], [0, 0], [1, 2], [2, 1]]).double()
    data.edge_attr = torch.arange(12) % 4
    torch.manual_seed(0)
    model = PathNN(2, 6, 2, node_types=[3, 3], edge_types=[4], mlp=True).double().eval()
    first, second = model.node_encoder.embeddings
    torch.testing.assert_close(model.encode(data), first(data.x[:, 0].long()) + second(data.x[:, 1].long()))
    before = run(model, data)
    data.edge_attr = data.edge_attr.flip(0)
    assert not torch.allclose(run(model, data), before)
    data.edge_attr[3] = 4
    with pytest.raises(ValueError, match=r"column 0 of row \d+ is 4, must be a whole number in 0\.\.3"):
        run(model, data)
    with pytest.raises(ValueError, match="needs 2 columns of codes, got 1"):
        model.encode(Batch(x=data.x[:, :1]))
    data.x[2, 1] = -1
    with pytest.raises(ValueError, match=r"column 1 of row \d+ is -1, must be a whole number in 0\.\.2"):
        run(model, data)


def test_layers_share_the_lstm():
    model = PathNN(5, 6, num_layers=3).double()
    graph = model.required_transform()(random_graph())
    first, second, third = weights_by_step(model, graph)
    assert {name for name in first & second & third if ".conv." in name} == {name for name in first if ".conv." in name}
    assert any(".conv." in name for name in first)
    assert len({id(layer.conv) for layer in model.layers}) == 1
    assert sum(p.numel() for p in model.layers[0].conv.parameters()) == 4 * 6 * (6 + 6 + 2)


@pytest.mark.parametrize(
    ("sizes", "variant", "parameters"),
    [  # the released classes: two each for ZINC, HIV, Peptides-func and Peptides-struct
        ({"node_types": [28], "edge_types": [4], "out_channels": 1}, ("shortest", 152, 4), 496_433),
        ({"node_types": [28], "edge_types": [4], "out_channels": 1}, ("simple", 140, 4), 501_061),
        ({"out_channels": 1}, ("shortest", 128, 2), 305_793),
        ({"out_channels": 1}, ("simple", 128, 2), 371_713),
        ({"out_channels": 10}, ("all_shortest", 128, 8), 509_706),
        ({"out_channels": 10}, ("simple", 122, 7), 494_354),
        ({"out_channels": 11, "aggr": "mean"}, ("shortest", 144, 4), 468_731),
        ({"out_channels": 11, "aggr": "mean"}, ("simple", 136, 4), 494_507),
    ],
)
def test_sizes_of_the_released_models(sizes, variant, parameters):
    paths, hidden, length = variant
    molecules = {"node_types": [119, 5, 12, 12, 10, 6, 6, 2, 2], "edge_types": [5, 6, 2]}
    options = molecules | sizes
    model = PathNN(len(options["node_types"]), hidden, length, paths=paths, mlp=True, **options)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_paths_are_asked_for_by_name():
    graph = random_graph()
    with pytest.raises(ValueError, match=r"no path_index_1; apply model\.required_transform\(\)"):
        PathNN(5, 6).double()(graph)
    shorter = PathNN(5, 6, num_layers=2).required_transform()(graph)
    with pytest.raises(ValueError, match="no path_index_3"):
        PathNN(5, 6, num_layers=3).double()(shorter)


def test_the_limit_on_paths_is_the_models():
    graph = random_graph(12, 132)
    with pytest.raises(ValueError, match="more than max_paths=500 simple paths of length up to 4"):
        run(PathNN(5, 6, num_layers=4, paths="simple", max_paths=500), graph)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 0}, "num_layers=0, must be at least 1"),
        ({"dropout": -0.1}, r"dropout=-0.1, must be in \[0, 1\)"),
        ({"head_layers": 3}, "head_layers=3, choose from: 0, 1, 2"),
        ({"head_layers": 0, "out_channels": 3}, "out_channels=3 needs a head; without one it is 6"),
        ({"edge_types": [3], "edge_dim": 2}, "not both"),
        ({"norm": "group"}, "PathNN: norm='group'"),
        ({"paths": "all"}, "PathNN: paths='all'"),
        ({"close_cycles": True}, "close_cycles is read by encoder='mlp' only, but encoder='lstm'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        PathNN(5, 6, **options)


def test_missing_edge_features():
    with pytest.raises(ValueError, match="PathNN: the batch has no edge_attr, which edge_dim=3 asks for"):
        run(PathNN(5, 6, edge_dim=3).double(), random_graph(edge_dim=None))


def by_hand(graph, length):
    """Of each node, how many simple paths of this length begin there, and how many cycles one edge longer run there."""
    found = nx.Graph(graph.edge_index.t().tolist())
    found.add_nodes_from(range(graph.num_nodes))
    found.remove_edges_from(list(nx.selfloop_edges(found)))
    starts = Counter(
        row[0] for row in permutations(found, length + 1) if all(found.has_edge(*pair) for pair in pairwise(row))
    )
    cycles = Counter(v for cycle in nx.simple_cycles(found, length + 1) if len(cycle) == length + 1 for v in cycle)
    return [torch.tensor([float(count[v]) for v in range(graph.num_nodes)]) for count in (starts, cycles)]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_perceptrons_over_paths_can_count_paths_and_cycles(length):
    """Weights by hand: one output is 1 for every path, the other the 0/1 feature of closed ones."""
    graph = random_graph(9, 16, num_isolated=1)
    graph.edge_index = to_undirected(graph.edge_index)
    conv = PathConv(1, 2, length, encode_distances=False, encoder="mlp", close_cycles=True).double()
    first, second = conv.mlp.layers
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.zero_()
        first.bias[0] = first.weight[1, -1] = second.weight[0, 0] = second.weight[1, 1] = 1.0
    found = conv(torch.zeros(9, 1).double(), graph.edge_index)
    paths, cycles = by_hand(graph, length)
    torch.testing.assert_close(found[:, 0], paths.double())
    torch.testing.assert_close(found[:, 1], 2 * cycles.double() * (length > 1))  # each cycle in both directions


def test_perceptrons_over_paths_are_those_of_each_length_and_read_whole_paths():
    torch.manual_seed(0)
    graph = random_graph(9, 30)
    model = PathNN(5, 6, 3, paths="simple", encoder="mlp", close_cycles=True, edge_dim=3).double().eval()
    assert [layer.conv.length for layer in model.layers] == [1, 2, 3]
    conv, x = model.layers[1].conv, torch.rand(9, 6, dtype=torch.float64)
    edges = torch.rand(graph.num_edges, 6, dtype=torch.float64)
    number = {tuple(pair): i for i, pair in enumerate(graph.edge_index.t().tolist())}
    paths = enumerate_paths(graph.edge_index, 9, 2)[-1]
    expected = torch.zeros(9, 6, dtype=torch.float64)
    for row, hops in zip(paths.nodes.t().tolist(), paths.distances.tolist()):
        parts = []
        for i in (2, 1, 0):
            taken = torch.zeros(6).double() if i == 2 else edges[number[row[i + 1], row[i]]]
            parts += [x[row[i]], conv.distance_encoder.weight[hops[i]], taken]
        closed = torch.tensor([float((row[0], row[2]) in number)], dtype=torch.float64)
        expected[row[0]] += conv.mlp(torch.cat([*parts, closed]))
    torch.testing.assert_close(conv(x, graph.edge_index, edges), expected)
    given = model.required_transform()(graph)
    with pytest.raises(ValueError, match="paths of length 1 were given, but the layer was made for length=2"):
        conv(x, graph.edge_index, edges, given.path_index_1, given.path_distance_1)


def test_closed_paths_tell_what_paths_alone_do_not_at_their_length():
    """Two triangles and a hexagon: paths of two edges are alike, and those of the triangles are closed."""
    triangles = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]])
    hexagon = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
    graphs = [Data(x=torch.ones(6, 1).double(), edge_index=torch.cat([e, e.flip(0)], 1)) for e in (triangles, hexagon)]
    for close, apart in ((False, False), (True, True)):
        torch.manual_seed(0)
        options = {"encode_distances": False, "encoder": "mlp", "close_cycles": close, "norm": None, "readout": "sum"}
        model = PathNN(1, 8, 2, paths="simple", **options).double().eval()
        first, second = (run(model, graph) for graph in graphs)
        assert torch.allclose(first, second, rtol=1e-12) != apart


def test_weights_of_older_versions_are_taken():
    model = PathNN(5, 6, 2)
    old = {key.replace("node_encoder.", "encoder."): value for key, value in model.state_dict().items()}
    assert old.keys() != model.state_dict().keys()
    PathNN(5, 6, 2).load_state_dict(old)


# Expressive power, as measured with the official code (random weights, double precision); SR25: tests/expressivity


@pytest.mark.parametrize("seed", [0, 1])
def test_simple_paths_tell_the_rook_from_the_shrikhande_graph(seed):
    assert counts(separation(synthetic("simple", 4, True, seed), load_graphs("sr16"))) == (1, 1)
    assert counts(separation(synthetic("all_shortest", 4, True, seed), load_graphs("sr16"))) == (0, 1)


@pytest.mark.parametrize(
    ("paths", "length", "l2_norm", "apart"),
    [("simple", 5, True, 45), ("all_shortest", 11, False, 45), ("shortest", 11, False, 44)],
)
def test_circular_skip_links(paths, length, l2_norm, apart):
    skips = gk.datasets.generators.expressive.CSL_SKIPS
    graphs = [random_graph(1, 0, edge_dim=None) for _ in skips]
    for graph, skip in zip(graphs, skips, strict=True):  # as numbered around the circle: single paths depend on it
        graph.x, graph.edge_index = torch.ones(41, 1), gk.datasets.generators.expressive.csl_edges(41, skip)
    assert counts(separation(synthetic(paths, length, l2_norm), graphs)) == (apart, 45)


@needs_mirror
@pytest.mark.slow
@pytest.mark.parametrize("name", ["exp", "cexp"])
@pytest.mark.parametrize(("paths", "length"), [("shortest", 10), ("all_shortest", 10), ("simple", 5)])
def test_all_pairs_of_exp_are_told_apart(name, paths, length):
    graphs = load_graphs(name)
    for graph in graphs:
        graph.x = torch.ones(graph.num_nodes, 1)  # the official code ignores the types of nodes
    pairs = [(2 * i, 2 * i + 1) for i in range(600)]
    assert counts(separation(synthetic(paths, length, True), graphs, pairs)) == (600, 600)


@needs_mirror
@pytest.mark.slow
def test_relabelling_moves_single_shortest_paths_on_exp():
    graph = load_graphs("exp")[0]
    graph.x = torch.ones(graph.num_nodes, 1)
    order = torch.randperm(graph.num_nodes, generator=torch.Generator().manual_seed(0))
    pair = [graph, relabelled(graph, order)]
    moved = {paths: float(separation(synthetic(paths, 5, True), pair).distances) for paths in PATHS}
    assert moved["shortest"] > 1e-7
    assert moved["all_shortest"] < 1e-12
    assert moved["simple"] < 1e-12


def test_batches_of_graphs_with_and_without_paths_of_a_length():
    model = synthetic("simple", 5, False)
    graphs = [*load_graphs("sr16"), random_graph(1, 0, edge_dim=None), random_graph(2, 2, edge_dim=None)]
    for graph in graphs:
        graph.x = torch.ones(graph.num_nodes, 1, dtype=torch.float64)
    prepared = [model.required_transform()(graph) for graph in graphs]
    together = model(Batch.from_data_list(prepared))
    alone = torch.cat([model(Batch.from_data_list([graph])) for graph in prepared])
    torch.testing.assert_close(together, alone)
