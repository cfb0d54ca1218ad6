"""What models say that they read, beyond what the common checks can build; and the table of it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from torch_geometric.nn import GAT, GIN, GraphSAGE
from torch_geometric.nn import GCN as PyGGCN

from graphkit import models, nn
from graphkit.core.reads import Reads, reads_of
from graphkit.models import GCN, KLGNN, MLP, MPNN, NCN, NCNC, DRew, LinkPredictor, PathNN, PyGModel, SheafNetwork
from graphkit.testing import random_graph
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.inputs import check_reads
from tests import tiny
from tests.temporal import streams

SCORERS = [LinkPredictor, NCN, NCNC]
ENCODERS = [GCN, MPNN, MLP, lambda *sizes: PyGGCN(*sizes, num_layers=2)]


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_scores_of_pairs_read_what_their_encoder_reads(scorer, encoder):
    if scorer is not LinkPredictor and encoder is MLP:
        pytest.skip("common neighbours are read from the edges, too")
    check_reads(CheckedModule(lambda: scorer(encoder(5, 6), hidden_channels=6), "model"))


@pytest.mark.parametrize("scorer", [NCN, NCNC])
def test_common_neighbours_read_edges_without_direction(scorer):
    assert scorer(MLP(5, 6)).reads == Reads(edge_index=True, direction=False, edge_label_index=True)
    check_reads(CheckedModule(lambda: scorer(MLP(5, 6), hidden_channels=6), "model"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: KLGNN(5, 6, num_layers=1, num_layers_id=1, num_layers_global=1, num_layers_regression=0, edge_types=3),
        lambda: PathNN(5, 6, num_layers=1, edge_types=[3]),
        lambda: DRew(5, 6, conv="rgin", num_edge_types=3),
    ],
)
def test_codes_of_edges(make):
    graph = random_graph(weighted=True)
    graph.edge_attr = torch.arange(graph.num_edges).remainder(3).view(-1, 1)
    assert make().reads.edge_attr
    check_reads(CheckedModule(make, "model"), graph)


@pytest.mark.parametrize("key", ["edge_weight", "edge_attr"])
def test_a_sheaf_that_is_given(key):
    model = SheafNetwork(5, 6, maps=key).double().eval()
    assert model.reads == Reads(direction=False, edge_weight=key == "edge_weight", edge_attr=key == "edge_attr")
    graph = random_graph()
    graph.edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    graph.edge_weight = graph.edge_attr = torch.tensor([1.0, 1.0, 2.0, 2.0]).double()
    before = model(graph)
    graph[key] = torch.tensor([1.0, 1.0, -2.0, -2.0]).double()
    assert not torch.equal(model(graph), before)


@pytest.mark.parametrize(
    ("module", "weight", "attr"),
    [
        (PyGGCN(5, 6, 2), True, False),
        (GraphSAGE(5, 6, 2), False, False),
        (GAT(5, 6, 2), False, False),
        (GAT(5, 6, 2, edge_dim=3), False, True),
        (GIN(5, 6, 2), False, False),
        (nn.PathConv(5, 6), False, False),
        (nn.PathConv(5, 6, edge_dim=3), False, True),
    ],
)
def test_other_modules_are_asked_by_their_arguments(module, weight, attr):
    found = reads_of(PyGModel(module))
    assert (found.x, found.edge_weight, found.edge_attr, found.direction) == (True, weight, attr, True)
    if not isinstance(module, nn.PathConv):
        check_reads(CheckedModule(lambda: PyGModel(module), "model"))


def test_a_module_that_takes_the_batch_may_read_everything():
    class Own(torch.nn.Module):
        def forward(self, batch):
            return batch.x

    assert reads_of(PyGModel(Own())) == Reads(edge_weight=True, edge_attr=True, edge_label_index=True)


OWN = {name: cls for name, cls in models.registry.classes().items() if cls.__module__.startswith("graphkit.")}


@pytest.fixture
def methods(monkeypatch):
    pytest.importorskip("sphinx_gallery")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs/_ext"))
    return importlib.import_module("methods")


@pytest.mark.parametrize("name", OWN)
def test_the_table_tells_which_tasks_a_model_is_for(methods, name):
    kinds = {"nodes": tiny.node_task(), "graphs": tiny.graph_task(), "links": tiny.link_task()}
    kinds |= {"sampled": tiny.sampled_task(), "rankings": tiny.ranking_task(), "events": streams.task(channels=2)}
    found = {}
    for kind, task in kinds.items():
        try:
            model = OWN[name].from_task(task)
            transform = model.required_transform()
            batch = next(iter((task if transform is None else task.transform(transform)).batches("train")))
            found[kind] = bool(task.loss(model(batch), batch).isfinite())
        except ValueError:
            found[kind] = False
    expected = methods.tasks_of(OWN[name])
    if issubclass(OWN[name], models.PairScorer):
        found["sampled"] = expected["sampled"]  # of pairs
    if not expected["events"]:
        found["events"] = False  # of a snapshot perhaps
    assert found == expected


def test_the_table_tells_what_models_read(methods):
    assert methods.reads(MLP, "edge_index") == "no"
    assert methods.reads(models.SGC, "edge_weight") == "yes"
    assert methods.reads(GCN, "edge_weight") == "by arguments"
    assert methods.reads(models.GRAND, "edge_weight") == "by arguments"
    assert methods.reads(NCN, "edge_weight") == "as encoder"
    assert methods.reads(models.SheafDiffusion, "direction") == "no"
    rows = "\n".join(methods.reads_table())
    assert all(f":class:`~graphkit.models.{name}`" in rows for name in OWN)
