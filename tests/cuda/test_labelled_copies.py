"""KLGNN on a GPU: labelled copies are built there, and those of a batch that was seen are kept."""

import copy

import pytest
import torch
from torch_geometric.data import Batch

from graphkit.models import KLGNN
from graphkit.testing import assert_close
from tests.models.test_kl_gnn import SMALL, coded

ARGUMENTS = {
    "kinds of edges": {"l": 2, "edge_types": 3, "readout": "max"},
    "a sample": {"l": 2, "rate": 0.4, "readout": "mean", "max_distance": 2},
    "states of nodes": {"l": 1, "edge_types": 3, "dropout": 0.5},
    "the official mean": {"l": 1, "readout": "sum", "subgraph_pool": "mean", "official_mean": True},
}


def make(name):
    torch.manual_seed(0)
    model = KLGNN(5, 6, out_channels=3, **SMALL | ARGUMENTS[name]).double()
    graphs = [coded(7, 14, 1), coded(5, 0, 2), coded(6, 16, 3, isolated=1), coded(1, 0, 4)]
    return model, Batch.from_data_list([model.required_transform()(graph) for graph in graphs])


def run(model, batch):
    torch.manual_seed(1)
    out = model(batch)
    gradients = torch.autograd.grad(
        out.square().sum(), list(model.parameters()), allow_unused=True, materialize_grads=True
    )
    return [out.detach(), *gradients]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_as_on_the_cpu(name, device):
    model, batch = make(name)
    expected = run(model, batch), run(model, batch)
    there = copy.deepcopy(model).to(device), batch.clone().to(device)
    if "dropout" in ARGUMENTS[name] or (device.type == "cuda" and "rate" in ARGUMENTS[name]):
        model.eval(), there[0].eval()  # rows that dropout acts on are others, and so are draws of a real device
        expected = run(model, batch), run(model, batch)
    for wanted in expected:  # the second time with what was kept
        for one, other in zip(wanted, run(*there)):
            assert_close(other.cpu(), one, name)


def test_evaluation_in_parts(device, monkeypatch):
    model, batch = make("kinds of edges")
    with torch.no_grad():
        expected = model(batch)
        monkeypatch.setattr("graphkit.models.expressive.kl_gnn._ROWS", 30)
        assert_close(model.to(device)(batch.to(device)).cpu(), expected, "in parts")


@pytest.mark.parametrize(("name", "new"), [("kinds of edges", 6), ("a sample", 2), ("the official mean", 2)])
def test_waits(name, new, gpu):
    """Of a new batch: its pattern, the sizes of its copies; with kinds of edges their codes, and where each kind is."""
    model, batch = make(name)
    model, batch = model.to(gpu.device), batch.to(gpu.device)
    for allowed in (new, 0, 0):
        with gpu.counting() as counts:
            run(model, batch)
        assert counts.num_waits <= allowed, str(counts)


def test_sets_that_were_edited_are_seen(device):
    model, batch = make("the official mean")
    model, batch = model.to(device), batch.to(device)
    before = run(model, batch)[0]
    batch.subset_index[0, 0] = 1  # node 1 twice, node 0 never
    expected = run(model, batch.clone())[0]
    assert_close(run(model, batch)[0].cpu(), expected.cpu(), "after an edit")
    assert not torch.equal(before.cpu(), expected.cpu())
