"""The answer of a transfer task is read at one node, so it can be known only from within reach."""

from __future__ import annotations

import pytest

import graphkit as gk


@pytest.mark.parametrize(("num_layers", "expected"), [(2, 0.2), (3, 1.0)])
def test_ring_transfer_needs_as_many_layers_as_the_distance(num_layers: int, expected: float) -> None:
    task = gk.load("ring-transfer", num_nodes=6)
    model = gk.models.GCN.from_task(task, num_layers=num_layers)
    assert model.readout == "mask"
    result = gk.Trainer(max_epochs=5, progress=False).fit(model, task)
    assert result.test == pytest.approx(expected, abs=0.05)
