"""SGConv and APPNP: what is computed once, states to go back to; strategies refuse layers without weights by name."""

from __future__ import annotations

import pytest
import torch
from torch_geometric import nn as pyg

import graphkit as gk
from graphkit.nn import APPNP, SGConv
from graphkit.ops import backend
from graphkit.testing import random_graph
from tests import tiny


def test_state_dicts_of_0_2_0_can_be_loaded():
    ours = SGConv(5, 3)
    of_0_2_0 = {"lin.weight": ours.lin.weight, "bias": torch.arange(3.0)}
    ours.load_state_dict({key: 2 * value.detach() for key, value in of_0_2_0.items()})
    assert torch.equal(ours.lin.bias, 2 * torch.arange(3.0))


def test_sgc_averages_constant_features_once(monkeypatch):
    graph, conv, products = random_graph(), SGConv(5, 8, K=3).double(), []
    csr_mm = backend.csr_mm
    monkeypatch.setattr(backend, "csr_mm", lambda *arguments: products.append(1) or csr_mm(*arguments))
    outputs = [conv(graph.x, graph.edge_index) for _ in range(2)]
    assert len(products) == 3
    assert torch.equal(*outputs)
    graph.x[0] += 1  # in place
    assert torch.equal(conv(graph.x, graph.edge_index), conv(graph.x.clone(), graph.edge_index.clone()))
    assert len(products) == 9
    conv(graph.x.requires_grad_(), graph.edge_index).sum().backward()
    assert graph.x.grad is not None


def test_appnp_goes_back_to_the_state_that_is_given():
    graph = random_graph()
    out = APPNP(1, 0.25)(graph.x, graph.edge_index, x_0=graph.x + 4)
    torch.testing.assert_close(out, APPNP(1, 0.25)(graph.x, graph.edge_index) + 1)


def test_the_models_steps_are_the_layers():
    graph = random_graph()
    model = gk.models.APPNP(5, 6, num_layers=4, out_channels=3, alpha=0.2).double().eval()
    expected = pyg.APPNP(4, 0.2)(model.encode(graph), graph.edge_index)
    torch.testing.assert_close(model(graph), expected)


def test_layerwise_strategies_refuse_a_layer_without_weights_by_name():
    task = tiny.task("node multiclass")
    message = r"SingleForward trains layers apart, but layer 2 of APPNP, an APPNP, has no weights"
    with pytest.raises(ValueError, match=message):
        gk.Trainer(max_epochs=1, strategy="SingleForward", progress=False).fit(gk.models.APPNP.from_task(task), task)
    result = gk.Trainer(max_epochs=2, progress=False).fit(gk.models.APPNP.from_task(task), task)
    assert result.epochs == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGConv(3, 2, K=0), "SGConv: K=0, must be at least 1"),
        (lambda: APPNP(0, 0.1), "APPNP: K=0, must be at least 1"),
        (lambda: APPNP(1, 1.5), r"APPNP: alpha=1.5, must be in \[0, 1\]"),
        (lambda: APPNP(1, 0.1, dropout=1.0), r"APPNP: dropout=1.0, must be in \[0, 1\)"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
