"""Modules and transforms that are written outside graphkit are checked as they are used, and told what they lack."""

from __future__ import annotations

import pytest
from torch import nn
from torch_geometric.nn import SAGEConv

from graphkit.testing import check_model, check_transform
from graphkit.transforms.features import NodeFeatures


class _Plain(nn.Module):
    """What the trainer calls with ``x`` and ``edge_index``, and prints in many lines."""

    def __init__(self):
        super().__init__()
        self.first, self.second = SAGEConv(5, 6), SAGEConv(6, 4)

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)

    def reset_parameters(self):
        self.first.reset_parameters()
        self.second.reset_parameters()


class _Leaking(_Plain):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index) + x.mean()


def test_a_model_of_somebody_else_is_called_as_the_trainer_calls_it():
    assert len(check_model(_Plain).passed) > 10
    with pytest.raises(
        AssertionError, match=r"^\d+ checks failed:\n(_Leaking-.*\n)*_Leaking-batch_independence: an output"
    ):
        check_model(lambda: _Leaking())


class _Forgetful(NodeFeatures):
    """Keeps its argument under another name."""

    def __init__(self, power):
        self.p = power

    def columns(self, data):
        return data.x**self.p


def test_an_argument_that_is_not_kept_is_named():
    with pytest.raises(
        AttributeError, match=r"_Forgetful does not keep its argument 'power'; its constructor must set self.power"
    ):
        check_transform(lambda: _Forgetful(2))
