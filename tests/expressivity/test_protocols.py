"""What counts as telling two graphs apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graphkit.datasets import available, load_graphs
from graphkit.expressivity import NamedModel, PairedTraining, RandomWeights, Suite, expressivity, load_suite, t_squared
from graphkit.models import GIN
from graphkit.transforms import LaplacianEigenvectors
from graphkit.transforms.features import RandomWalkPE

needs_brec = pytest.mark.skipif(available()["brec"] == "missing", reason="no raw files at hand")

PROTOCOLS = [RandomWeights(seeds=2), PairedTraining(seeds=1)]
QUICK = PairedTraining(seeds=1, epochs=1)


def gin(in_channels, **arguments):
    return GIN(in_channels, 16, num_layers=3, readout="sum", **arguments)


def hexagon():
    return Suite.from_pairs("hexagon", [tuple(load_graphs("pairs")[:2])])


@pytest.fixture
def run(tmp_path):
    def call(model, suites, transform=None, protocol=None):
        return expressivity(model, suites, transform, protocol, folder=tmp_path).suites

    return call


# The statistic


@pytest.mark.parametrize("ridge", [0.0, 1e-7, 0.3])
@pytest.mark.parametrize("rank", [3, 6])
def test_t_squared_is_numpys(rank, ridge):
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(32, rank)) @ rng.normal(size=(rank, 6)) + 0.2
    mean, covariance = differences.mean(0), np.cov(differences.T) + ridge * np.eye(6)
    expected = mean @ np.linalg.pinv(covariance, rcond=1e-13) @ mean
    assert t_squared(torch.from_numpy(differences), ridge) == pytest.approx(expected, rel=1e-6)


def test_t_squared_does_not_depend_on_the_basis():
    generator = torch.Generator().manual_seed(0)
    differences = torch.randn(32, 4, generator=generator, dtype=torch.float64) + 1
    basis = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    assert t_squared(differences @ basis) == pytest.approx(t_squared(differences), rel=1e-9)


def test_equal_differences_are_found_in_spite_of_a_covariance_of_zero():
    constant = torch.full((32, 16), 0.5, dtype=torch.float64)
    assert t_squared(constant) == 0
    assert t_squared(constant, 1e-14) > 1e6
    assert t_squared(1e-15 * constant, 1e-14) < 1e-3


# Both protocols


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_hexagon_and_two_triangles(run, protocol):
    plain = run(gin, [hexagon()], protocol=protocol)["hexagon"]
    assert plain.num_separated == 0
    walks = run(gin, [hexagon()], RandomWalkPE(3), protocol)["hexagon"]
    assert walks.num_separated == 1
    assert walks.verdict.noise < 1e-12
    assert not walks.verdict.unreliable.any()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_batch_norm_does_not_carry_over_from_one_side_to_the_other(run, protocol):
    found = run(lambda n: gin(n, norm="batch_norm"), [hexagon()], protocol=protocol)["hexagon"]
    assert found.num_separated == 0


class Numbering(nn.Module):
    """Reads the numbers of nodes."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16))

    def forward(self, batch):
        place = torch.arange(batch.num_nodes) - batch.ptr[batch.batch]
        source, target = batch.edge_index
        product = (place[source] * place[target]).to(self.weight)
        found = product.new_zeros(batch.num_graphs).index_add(0, batch.batch[source], product)
        return found[:, None] * self.weight


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_model_that_reads_the_numbers_of_nodes_tells_nothing_apart(run, protocol):
    found = run(lambda n: Numbering(), [hexagon()], protocol=protocol)["hexagon"]
    assert found.num_separated == 0
    assert found.verdict.noise > 1e-2


class Parity(Numbering):
    """Reads the place in the batch, by which the two sides of a pair differ."""

    def forward(self, batch):
        return (1.0 + torch.arange(batch.num_graphs)[:, None] % 2) * self.weight + 1e-6 * super().forward(batch)


def test_what_also_holds_for_copies_of_one_graph_is_unreliable(run):
    found = run(lambda n: Parity(), [hexagon()], protocol=PairedTraining(seeds=2, epochs=1))["hexagon"]
    assert found.num_separated == 0
    assert found.verdict.unreliable.tolist() == [True]
    assert found.total()["unreliable"] == 1


def test_eigenvectors_depend_on_the_numbering_and_eigenvalues_do_not(run):
    vectors = run(gin, [hexagon()], LaplacianEigenvectors(4))["hexagon"]
    assert vectors.num_separated == 0
    assert vectors.verdict.noise > 1e-6

    def values(graph):
        graph = LaplacianEigenvectors(8)(graph)  # two columns more than there are: NaN
        del graph.laplacian_vectors
        return graph

    found = run(gin, [hexagon()], values)["hexagon"]
    assert found.num_separated == 1
    assert found.verdict.noise < 1e-12


def test_paired_training_is_brecs(monkeypatch):
    """Loss, optimiser, order and the end of training, against a plain loop."""
    from graphkit.expressivity.random_models import RandomModels, copies, reproducible

    graphs = load_graphs("pairs")[:2]
    protocol = PairedTraining(seeds=1, epochs=3)
    models = RandomModels(gin, RandomWalkPE(3))
    with reproducible():
        (statistic, reference), *_ = protocol.measure(models, graphs, 0)["t_squared"]
        first, second = (models.prepare(copies(graph, 32, seed)) for graph, seed in zip(graphs, (0, 1)))
        same = models.prepare(copies(graphs[0], 64, -1))
        model = models.build(4, 0)
        optimizer = torch.optim.Adam(model.parameters(), 1e-4, weight_decay=1e-4)
        for _ in range(3):
            for start in range(0, 32, 8):
                a, b = (torch.cat([model(g) for g in side[start : start + 8]]) for side in (first, second))
                loss = torch.cosine_similarity(a, b).clamp(min=0).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            y, z, c = (torch.cat([model(graph) for graph in side]).numpy() for side in (first, second, same))

    def oracle(differences):
        ridge = 1e-14 * np.mean(c**2)
        mean = differences.mean(0)
        return mean @ np.linalg.inv(np.cov(differences.T) + ridge * np.eye(16)) @ mean

    assert statistic == pytest.approx(oracle(y - z), rel=1e-6)
    assert reference == pytest.approx(oracle(c[0::2] - c[1::2]), rel=1e-3, abs=1e-12)
    assert statistic > 72.34 > reference


# Known powers


@pytest.mark.parametrize(("paths", "apart"), [("all_shortest", 0), ("simple", 1)])
def test_simple_paths_tell_the_rook_from_the_shrikhande_graph(run, paths, apart):
    options = {"hidden_channels": 16, "num_layers": 4, "norm": None, "head_layers": 0, "paths": paths}
    model = NamedModel("PathNN", options | {"l2_norm": paths == "simple"})
    assert run(model, ["sr16"], protocol=RandomWeights(seeds=1))["sr16"].num_separated == apart


@needs_brec
@pytest.mark.slow
@pytest.mark.parametrize(("paths", "apart"), [("shortest", 0), ("all_shortest", 0), ("simple", 94)])
def test_paths_of_length_four_on_sr25(run, paths, apart):  # 94: as the official code
    options = {"hidden_channels": 16, "num_layers": 4, "norm": None, "head_layers": 0, "paths": paths}
    model = NamedModel("PathNN", options | {"l2_norm": paths == "simple"})
    assert run(model, ["sr25"], protocol=RandomWeights(seeds=1, copies=2))["sr25"].num_separated == apart


@needs_brec
@pytest.mark.slow
@pytest.mark.parametrize("name", ["GCN", "GIN"])
def test_message_passing_tells_no_pair_of_brec_apart(run, name):
    model = NamedModel(name, {"hidden_channels": 16, "num_layers": 5})
    found = run(model, ["brec"], protocol=RandomWeights(seeds=1))["brec"]
    assert found.num_separated == 0
    assert found.verdict.noise < 1e-12


@needs_brec
@pytest.mark.slow
@pytest.mark.parametrize("name", ["GCN", "GIN"])
def test_message_passing_tells_no_pair_of_brec_apart_after_training(run, name):
    suite = load_suite("brec")
    some = Suite.from_pairs("some", [(suite.graphs[2 * i], suite.graphs[2 * i + 1]) for i in range(0, 400, 8)])
    model = NamedModel(name, {"hidden_channels": 16, "num_layers": 3})
    found = run(model, [some], protocol=PairedTraining(seeds=1))["some"]
    assert found.num_separated == 0
    assert not found.verdict.unreliable.any()


@needs_brec
@pytest.mark.slow
def test_random_walks_stay_within_what_bounds_them(run):
    """Return probabilities are within 2-FWL."""
    model = NamedModel("GIN", {"hidden_channels": 16, "num_layers": 5})
    found = run(model, ["brec"], RandomWalkPE(16), RandomWeights(seeds=1))["brec"]
    assert found.beyond("2-FWL") == 0
    assert found.beyond("1-WL") == found.num_separated
    assert found.categories()["basic"]["separated"] == 60
