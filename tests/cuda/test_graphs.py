"""Algorithms, diagnostics, transforms and samplers on a GPU: the results of the CPU, on the device of the graph."""

import warnings

import pytest
import torch
from torch_geometric.transforms import ToUndirected

from graphkit import algorithms, diagnostics, samplers
from graphkit.models import GCN
from graphkit.testing import discover, random_graph
from graphkit.testing.instances import factories
from tests import tiny
from tests.cuda.same import assert_same

FUNCTIONS = {
    algorithms.balanced_forman_curvature: lambda f, g: f(g.edge_index),
    algorithms.ollivier_ricci_curvature: lambda f, g: f(g.edge_index),
    algorithms.effective_resistance: lambda f, g: (f(g.edge_index), f(g.edge_index, g.pairs, g.edge_weight)),
    algorithms.biharmonic_distance: lambda f, g: (f(g.edge_index), f(g.edge_index, g.pairs, g.edge_weight)),
    algorithms.commute_time: lambda f, g: (f(g.edge_index), f(g.edge_index, g.pairs, g.edge_weight)),
    algorithms.total_resistance: lambda f, g: f(g.edge_index, g.edge_weight),
    algorithms.spectral_gap: lambda f, g: f(g.edge_index, g.edge_weight),
    algorithms.colour_hashes: lambda f, g: f(g, node_attr="x"),
    algorithms.graph_hash: lambda f, g: f(g, l=1),
    algorithms.weisfeiler_leman: lambda f, g: f([g, g]),
    algorithms.common_neighbours: lambda f, g: f(g.edge_index, g.pairs, g.num_nodes),
    algorithms.joint_neighbours: lambda f, g: f(g.edge_index, g.pairs, g.num_nodes),
    algorithms.distinct_pairs: lambda f, g: f(g.edge_index, g.pairs, g.num_nodes),
    algorithms.neighbourhoods: lambda f, g: f(g.edge_index, g.num_nodes),
    algorithms.enumerate_paths: lambda f, g: [f(g.edge_index, g.num_nodes, 2, kind) for kind in ("simple", "shortest")],
    algorithms.hop_pairs: lambda f, g: f(g.edge_index, g.num_nodes, 3),
    algorithms.node_subsets: lambda f, g: f(g.edge_index, g.num_nodes, 3, cluster=g.y),
    algorithms.fastrp: lambda f, g: (f(g.edge_index, g.edge_weight, 12), f(g.edge_index, ids=g.y, projection=g.x)),
    algorithms.node2vec: lambda f, g: f(g.edge_index, g.edge_weight, 12, dim=4, walk_length=5),
    algorithms.line: lambda f, g: f(g.edge_index, g.edge_weight, 12, dim=4, num_samples=50),
    algorithms.netmf: lambda f, g: f(g.edge_index, g.edge_weight, 12, dim=4),
    algorithms.netmf_matrix: lambda f, g: f(g.edge_index, g.edge_weight, 12),
    algorithms.random_walks: lambda f, g: f(g.edge_index, g.edge_weight, 12, g.pairs[0]),
    algorithms.expected_pair_counts: lambda f, g: f(g.edge_index, g.edge_weight, 12, 4),
    algorithms.t_batches: lambda f, g: f(g.edge_index),
    algorithms.routing_features: lambda f, g: f(g.x[:, :2], *g.pairs[:, :2].repeat(2, 1)),
    algorithms.greedy_forwarding: lambda f, g: f(g.x[:, :4]),
    algorithms.greedy_tensile: lambda f, g: f(g.x[:, :4]),
    algorithms.route: lambda f, g: f(g.edge_index, g.x[:, :2], algorithms.greedy_tensile),
    algorithms.partition: lambda f, g: f(g.edge_index, g.num_nodes, 3),
    diagnostics.adjusted_homophily: lambda f, g: f(g.edge_index, g.y),
    diagnostics.class_insensitive_homophily: lambda f, g: f(g.edge_index, g.y),
    diagnostics.cross_class_similarity: lambda f, g: f(g.edge_index, g.y),
    diagnostics.edge_homophily: lambda f, g: f(g.edge_index, g.y),
    diagnostics.label_informativeness: lambda f, g: f(g.edge_index, g.y),
    diagnostics.node_homophily: lambda f, g: f(g.edge_index, g.y),
    diagnostics.dirichlet_energy: lambda f, g: f(g.x, g.edge_index),
    diagnostics.probe: lambda f, g: [vars(one) for one in f(g.x, g.y, shares=[0.5], repeats=2)],
    diagnostics.compare_graphs: lambda f, g: f([g], [g]),
    diagnostics.energies: lambda f, g: f(_model(g), g),
    diagnostics.sensitivity: lambda f, g: f(_model(g), g, num_targets=4),
    diagnostics.recurrence: lambda f, g: vars(f(g.edge_index[:, :20], g.edge_index[:, 20:])),
    diagnostics.staleness: lambda f, g: f(g.edge_index, [1, 5]),
    diagnostics.separation: lambda f, g: f(_model(g, "mean"), [g, g]),
}
WITHOUT_GRAPHS = {
    algorithms.connected_multigraphs,
    algorithms.ppgn_computes,
    algorithms.equivariant_polynomials,  # of scipy's matrices
    algorithms.greedy_resistance,  # of a SimpleGraph, which is scipy's
    diagnostics.asynchronous,  # of a task
    diagnostics.directed_patterns,  # of a task
    diagnostics.experts,  # likewise
    diagnostics.plot_energies,
    diagnostics.plot_sensitivity,
    diagnostics.plot_staleness,
}


def graph(seed=0):
    data = random_graph(12, 30, weighted=True, seed=seed)
    data.edge_index = torch.cat([data.edge_index, data.edge_index.flip(0)], dim=1)
    data.edge_weight, data.edge_attr = data.edge_weight.repeat(2), data.edge_attr.repeat(2, 1)
    data.pairs = torch.tensor([[0, 1, 2, 5], [3, 4, 2, 9]])
    data.y = torch.arange(12) % 3
    return data


def _model(g, readout="nodes"):
    torch.manual_seed(0)
    return GCN(5, 8, 2, 3, readout=readout).double().to(g.x.device)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions(function, device):
    call = FUNCTIONS[function]
    assert_same(call(function, graph().to(device)), call(function, graph()), device, function.__name__)


def test_every_function_is_there():
    public = {getattr(place, name) for place in (algorithms, diagnostics) for name in place.__all__}
    assert {each for each in public if callable(each) and not isinstance(each, type)} == {*FUNCTIONS, *WITHOUT_GRAPHS}


TRANSFORMS = {
    name: make
    for cls in discover()["transform"].values()
    if cls.__module__.startswith("graphkit.")
    for name, make in factories(cls).items()
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name, device):
    data = graph()
    del data.pairs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a transform does not read
        expected, actual = (TRANSFORMS[name]()(given) for given in (data.clone(), data.clone().to(device)))
    assert_same(actual, expected, device, name)


SAMPLERS = {
    samplers.ClusterSampler: {"num_clusters": 3},
    samplers.GraphSAINTEdge: {"num_draws": 8},
    samplers.GraphSAINTNode: {"num_draws": 8},
    samplers.GraphSAINTRandomWalk: {"num_roots": 4},
    samplers.NeighborSampler: {"num_neighbors": [3, 3]},
    samplers.ShaDowKHop: {},
    samplers.ShaDowPPR: {"k": 5},
}


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda cls: cls.__name__)
def test_samplers(sampler, device):
    data = ToUndirected()(tiny.graph())
    expected = list(sampler(**SAMPLERS[sampler]).batches(data, torch.arange(6)))
    actual = list(sampler(**SAMPLERS[sampler]).batches(data.clone().to(device), torch.arange(6)))
    assert_same(actual, expected, device, sampler.__name__)


def test_every_sampler_is_there():
    assert {cls for cls in samplers.registry.classes().values() if cls.__module__.startswith("graphkit.")} == {
        *SAMPLERS
    }
