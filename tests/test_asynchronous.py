"""Nodes that act in their own time: layers break, energies do not; and the tasks of chains."""

from __future__ import annotations

import pytest
import torch
from scipy.sparse.csgraph import connected_components
from torch_geometric.utils import to_scipy_sparse_matrix

import graphkit as gk
from graphkit.diagnostics import asynchronous
from graphkit.models import GAT, GCN, EnergyGNN
from tests import tiny

SCHEDULES = ["stale", "random", "partial"]


def _double(task):
    for graph in task.graphs:
        graph.x = graph.x.double()
    return task


@pytest.fixture(scope="module")
def task():
    return _double(gk.load("chains", length=6, chains_per_class=4))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("energy", ["edgewise", "denoising"])
def test_every_schedule_reaches_the_minimiser(task, energy, delay, schedule):
    torch.manual_seed(0)
    model = EnergyGNN.from_task(task, hidden_channels=4, energy=energy, tol=1e-13).double()
    found = asynchronous(model, task, delay, schedule, seed=1)
    assert found.change < 1e-6
    assert found.score == found.synchronous


@pytest.mark.parametrize("make", [GCN, GAT], ids=lambda cls: cls.__name__)
def test_layers_are_right_when_all_act_at_once_on_news(task, make):
    torch.manual_seed(0)
    model = make.from_task(task, num_layers=4, **({"heads": 2} if make is GAT else {})).double()
    found = asynchronous(model, task, 0, "stale")
    assert found.change < 1e-12
    assert found.ticks == 4
    for schedule, delay in (("stale", 2), ("random", 0), ("partial", 2)):
        assert asynchronous(model, task, delay, schedule).change > 1e-3


def test_the_seed_decides():
    task = tiny.task("node multiclass")
    torch.manual_seed(0)
    model = GCN.from_task(task, num_layers=2, hidden_channels=4)
    results = [asynchronous(model, task, 2, "partial", seed=seed).change for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass", "node sampled multiclass"])
def test_tasks_of_other_kinds(kind):
    task = tiny.task(kind)
    found = asynchronous(GCN.from_task(task), task, 0, "stale")
    assert found.change < 1e-5
    assert found.score == pytest.approx(found.synchronous)


def test_what_reads_the_whole_graph_is_refused(task):
    with pytest.raises(TypeError, match="the layers of this SheafDiffusion may read the whole graph"):
        asynchronous(gk.models.SheafDiffusion.from_task(task), task)
    with pytest.raises(ValueError, match="schedule='never'"):
        asynchronous(GCN.from_task(task), task, schedule="never")


def test_chains():
    task = gk.load("chains", length=4, chains_per_class=4, num_classes=3, num_features=3, seed=2)
    data = task.graphs[0]
    x, y = data.x.view(12, 4, 3), data.y.view(12, 4)
    assert torch.equal(x[:, 0].argmax(1), y[:, 0])
    assert x.sum() == 12
    assert bool((y == y[:, :1]).all())
    assert sorted(y[:, 0].tolist()) == [0] * 4 + [1] * 4 + [2] * 4
    assert data.num_edges == 12 * 6
    assert task.split.sizes == (24, 12, 12)
    with pytest.raises(ValueError, match="chains: num_features=2, must be at least num_classes=3"):
        gk.load("chains", num_classes=3, num_features=2)


def test_count():
    task = gk.load("count", num_chains=8, max_length=5)
    data = task.graphs[0]
    number, component = connected_components(to_scipy_sparse_matrix(data.edge_index, num_nodes=data.num_nodes))
    assert number == 8
    totals = torch.zeros(8).index_add(0, torch.from_numpy(component).long(), data.x[:, 0])
    assert torch.equal(data.y.flatten(), totals[component])
    assert torch.equal(data.x.sum(1), torch.ones(data.num_nodes))
    with pytest.raises(ValueError, match="max_length=1, must be at least 2"):
        gk.load("count", max_length=1)
    with pytest.raises(ValueError, match="count: max_length=3, must be at least min_length=4"):
        gk.load("count", min_length=4, max_length=3)
