"""What is told of checks: all failures at once, those expected, what a class does not claim, what it is the same as."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing

from graphkit.core.checks import Checks
from graphkit.models import GCN
from graphkit.nn import GCNConv
from graphkit.testing import CHECKS, cases, check_layer, check_model, check_strategy, check_transform
from graphkit.training.strategies import Backprop
from graphkit.transforms.rewiring import FoSR


class _Own(MessagePassing):
    """An ordinary layer of PyG, as a stranger writes one."""

    def __init__(self):
        super().__init__(aggr="add")
        self.lin = nn.Linear(5, 4)

    def forward(self, x, edge_index):
        return self.propagate(edge_index, x=self.lin(x))

    def reset_parameters(self):
        self.lin.reset_parameters()


class _Claiming(_Own):
    checks = Checks(claims=["flow", "bipartite"])


class _Hooked(_Own):
    checks = Checks(claims=["message_hooks"])


class _WeighsEdges(MessagePassing):
    """Computes a weight per edge in a step of its own, as PyG's attention does."""

    checks = Checks(claims=["message_hooks"])

    def __init__(self):
        super().__init__(aggr="add")
        self.lin = nn.Linear(5, 4)

    def reset_parameters(self):
        self.lin.reset_parameters()

    def forward(self, x, edge_index):
        x = self.lin(x)
        return self.propagate(edge_index, x=x, weight=self.edge_updater(edge_index, x=x))

    def edge_update(self, x_i, x_j):
        return torch.tanh((x_i * x_j).sum(-1, keepdim=True))

    def message(self, x_j, weight):
        return weight * x_j


class _WeighsWithoutHooks(_WeighsEdges):
    def edge_updater(self, edge_index, x):
        return self.edge_update(x[edge_index[1]], x[edge_index[0]])


class _WrongTwice(_Own):
    """Sees node numbers, and keeps what it has learned."""

    def forward(self, x, edge_index):
        return super().forward(x, edge_index) * torch.arange(1, x.size(0) + 1).view(-1, 1)

    def reset_parameters(self):
        pass


class _Derived(GCNConv):
    """One of graphkit's by another name."""


class _IgnoresWeights(GCNConv):
    def forward(self, x, edge_index, edge_weight=None):
        return super().forward(x, edge_index)


@pytest.mark.parametrize(
    ("check", "instance"),
    [
        (check_layer, GCNConv(5, 4)),
        (check_model, GCN(5, 8)),
        (check_transform, FoSR()),
        (check_strategy, Backprop()),
    ],
)
def test_an_instance_is_no_class_to_check(check, instance):
    name = type(instance).__name__
    with pytest.raises(TypeError, match=rf"{name} is an instance; give the class, or .* lambda: {name}\(\.\.\.\)"):
        check(instance)


def _names(cases):
    return {name.rpartition("-")[2] for name in cases}


def test_a_layer_of_somebody_else_passes_with_what_it_does_not_claim_named():
    report = check_layer(lambda: _Own())
    optional = {
        "edge_masks",
        "message_hooks",
        "flow",
        "bipartite",
        "sparse_adjacency",
        "static_graph",
        "hooks_are_called",
    }
    assert _names(report.not_claimed) == optional
    assert _names(report.passed) == CHECKS["layer"].keys() - optional
    assert "not claimed: hooks_are_called, edge_masks" in str(report)


def test_what_a_layer_claims_is_checked():
    with pytest.raises(AssertionError, match="-bipartite: ") as caught:
        check_layer(lambda: _Claiming())
    assert "-flow" not in str(caught.value)  # which it passes
    report = check_layer(lambda: _Claiming(), {"bipartite": "not yet"})
    assert "bipartite" in _names(report.failed_as_expected)
    assert "flow" in _names(report.passed)


@pytest.mark.parametrize("cls", [_Hooked, _WeighsEdges])
def test_hooks_of_steps_that_a_layer_does_not_take_are_not_asked_for(cls):
    assert "message_hooks" in _names(check_layer(lambda: cls()).passed)


def test_hooks_of_steps_that_a_layer_takes_are_asked_for():
    with pytest.raises(AssertionError, match="a hook by register_edge_update_forward_pre_hook is never called"):
        check_layer(lambda: _WeighsWithoutHooks())


def test_what_derives_from_graphkit_claims_all():
    assert check_layer(lambda: _Derived(5, 4)).not_claimed == []


def test_all_failures_are_told_at_once():
    with pytest.raises(AssertionError, match="checks failed:") as caught:
        check_layer(lambda: _WrongTwice())
    names = _names(line.partition(":")[0] for line in str(caught.value).splitlines()[1:])
    assert {"permutation", "reset_parameters"} <= names
    assert len(caught.value.__cause__.exceptions) == len(names)


def test_a_check_that_passes_in_spite_of_its_reason_is_reported():
    with pytest.raises(AssertionError, match="repr: passes although it is expected to fail"):
        check_layer(lambda: GCNConv(5, 4), {"repr": "no reason"})


def test_expected_failures_are_allowed():
    report = check_layer(lambda: _IgnoresWeights(5, 4), {"reads": "made so", "sparse_adjacency": "made so"})
    assert _names(report.failed_as_expected) == {"reads", "sparse_adjacency"}


class _SumsOverNeighbours(pyg.GraphConv):
    """Says that it is another layer of PyG's than it is."""

    checks = Checks(same_as=pyg.LEConv)

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)


class _AveragesByRows(GCNConv):
    checks = Checks([{"normalize": "row"}], same_as=lambda **given: pyg.GCNConv(**given | {"normalize": True}))


class _SameByInheritance(_AveragesByRows):
    pass


class _WrongGradientAlone(torch.nn.Module):
    """PyG's values with another gradient of the weights."""

    checks = Checks(same_as=pyg.GraphConv)

    def __init__(self, in_channels, out_channels):
        super().__init__()
        made = pyg.GraphConv(in_channels, out_channels)
        self.lin_rel, self.lin_root, self.along = made.lin_rel, made.lin_root, made.propagate

    def forward(self, x, edge_index, edge_weight=None):
        out = self.lin_rel(self.along(edge_index, x=(x, x), edge_weight=edge_weight))
        return out + 2 * self.lin_root(x) - self.lin_root(x).detach()


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (_SumsOverNeighbours, "(?s)same_as: the state dict is not that of LEConv: .*lin_rel.weight"),
        (_AveragesByRows, "same_as: another output than GCNConv gives: largest componentwise error"),
        (_WrongGradientAlone, "same_as: another gradient of x than GraphConv gives"),
    ],
)
def test_a_layer_that_is_not_the_same_is_caught(cls, message):
    with pytest.raises(AssertionError, match=message):
        check_layer(cls)


def test_a_subclass_need_not_be_the_same():
    assert "same_as" in _names(case.name for case in cases("layer", _AveragesByRows))
    assert "same_as" not in _names(case.name for case in cases("layer", _SameByInheritance))
