"""PyG's ``summary`` of every public layer, aggregation and model."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.nn import MessagePassing, summary

from graphkit import testing
from graphkit.testing.checked_module import KINDS, CheckedModule
from graphkit.testing.graphs import random_graph
from graphkit.testing.instances import factories


def instances():
    for kind in KINDS:
        for cls in testing.discover()[kind].values():
            if cls.__module__.startswith("graphkit."):
                for name, make in list(factories(cls).items())[:1]:
                    yield pytest.param(CheckedModule(make, kind), id=name)


@pytest.mark.parametrize("checked", list(instances()))
def test_the_summary_tells_sizes_and_leaves_the_module_as_it_was(checked, monkeypatch):
    rows = []
    table = SimpleNamespace(tabulate=lambda content, **_: rows.extend(content) or str(rows))
    monkeypatch.setitem(sys.modules, "tabulate", table)  # which PyG formats with, if it is installed
    module = checked.build().train()
    data = checked.prepare(module, random_graph(9, 20))
    positional, named = checked.arguments(module, data)
    with warnings.catch_warnings(action="ignore"):
        summary(module, *positional, **named)
    assert module.training
    assert not any(part._forward_hooks for part in module.modules())
    module.eval()
    with torch.no_grad():
        out = module(*positional, **named)
    _, (name, _, shape, number), *parts = rows
    assert name == type(module).__name__
    assert isinstance(out, tuple) or shape == str(list(out.shape))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    assert number == (f"{parameters:,}" if parameters else "--")
    names = [] if isinstance(module, MessagePassing) else [key for key, _ in module.named_children() if key[0] != "_"]
    assert all(any(f"({key})" in row[0] for row in parts) for key in names), "of layers PyG shows no parts"
