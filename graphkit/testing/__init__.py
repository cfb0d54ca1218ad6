"""Checks that graphkit's own classes pass, for yours.

``check_layer``, ``check_aggregation``, ``check_model``, ``check_transform`` and ``check_strategy`` run everything
that is known about their kind: permutations, batches, isolated nodes, missing edges, precision, gradients, state dicts,
seeds, copies, ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch_geometric.transforms import BaseTransform

from graphkit.testing.arguments import check_arguments
from graphkit.testing.bad_data import Damage, damages
from graphkit.testing.discovery import CHECKS, CLAIMS, Case, cases, discover, instance_cases
from graphkit.testing.graphs import random_graph, relabelled
from graphkit.testing.report import CheckReport
from graphkit.testing.strategies import STRATEGY_CHECKS, strategy_cases
from graphkit.testing.symmetry import (
    assert_batch_independent,
    assert_close,
    assert_permutation_equivariant,
    assert_permutation_invariant,
)
from graphkit.training.strategies import Strategy

__all__ = [
    "CHECKS",
    "CLAIMS",
    "STRATEGY_CHECKS",
    "Case",
    "CheckReport",
    "Damage",
    "assert_batch_independent",
    "assert_close",
    "assert_permutation_equivariant",
    "assert_permutation_invariant",
    "cases",
    "check_aggregation",
    "check_arguments",
    "check_layer",
    "check_model",
    "check_strategy",
    "check_transform",
    "damages",
    "discover",
    "random_graph",
    "relabelled",
    "strategy_cases",
]

Target = type | Callable[[], Any]


def check_layer(target: Target, expected_failures: Mapping[str, str] | None = None) -> CheckReport:
    """Run all checks on a layer, called as ``layer(x, edge_index, ...)``.

    Args:
        target: A class whose constructor has the usual arguments (``in_channels``, ``out_channels``, ...), or a
            function that builds an instance for 5 input channels (and 3 edge features).
        expected_failures: Names of checks that need not pass, each with the reason (default: none).

    Returns:
        What was checked, and what was not: of a class that derives from nothing of graphkit's the checks
        :data:`CLAIMS`, unless its attribute ``checks`` claims them (:class:`~graphkit.core.checks.Checks`).

    Raises:
        AssertionError: After all checks, naming each that failed, and each expected failure that did not happen.

    Example:
        >>> from graphkit.nn import GCNConv
        >>> check_layer(lambda: GCNConv(5, 2, normalize="row")).not_claimed
        []
        >>> from torch_geometric.nn import SAGEConv
        >>> print(str(check_layer(lambda: SAGEConv(5, 2))).partition("; ")[2])
        not claimed: hooks_are_called, edge_masks, message_hooks, flow, bipartite, sparse_adjacency, static_graph
    """
    return _check("layer", target, expected_failures)


def check_aggregation(target: Target, expected_failures: Mapping[str, str] | None = None) -> CheckReport:
    """Run all checks on a PyG ``Aggregation``; see :func:`check_layer`.

    Example:
        >>> from torch_geometric.nn import SumAggregation
        >>> report = check_aggregation(SumAggregation)
    """
    return _check("aggregation", target, expected_failures)


def check_model(target: Target, expected_failures: Mapping[str, str] | None = None) -> CheckReport:
    """Run all checks on a model, called as ``model(batch)``, or as :class:`~graphkit.models.PyGModel` calls others.

    See :func:`check_layer`.

    Example:
        >>> from graphkit.models import GCN
        >>> report = check_model(lambda: GCN(5, 8, num_layers=2, readout="mean"))
    """
    return _check("model", target, expected_failures)


def check_transform(target: Target, expected_failures: Mapping[str, str] | None = None) -> CheckReport:
    """Run all checks on a PyG transform; see :func:`check_layer`.

    Example:
        >>> from graphkit.transforms.rewiring import RandomEdges
        >>> report = check_transform(RandomEdges, {"permutation": "edges are drawn by node number"})
    """
    return _check("transform", target, expected_failures)


def check_strategy(target: Target) -> CheckReport:
    """Run all checks on a strategy: weights that change or are named, hidden labels, runs that repeat, ...

    Args:
        target: A class that needs no arguments, or a function that builds an instance.

    Raises:
        AssertionError: Naming the check that failed, or if the strategy refuses tasks of nodes and of graphs alike.

    Example:
        >>> from graphkit.training.strategies import Backprop
        >>> report = check_strategy(Backprop)
    """
    _check_target(target)
    checks = [Case(name, check) for name, check in strategy_cases(target)]
    assert checks, f"{target!r} refuses tasks of nodes and of graphs; there is nothing to check"
    return CheckReport.of(checks)


def _check_target(target: Any) -> None:
    """Checks build instances of their own, as many as they need."""
    if isinstance(target, nn.Module | BaseTransform | Strategy):
        name = type(target).__name__
        raise TypeError(f"{name} is an instance; give the class, or a function that builds one: lambda: {name}(...)")


def _check(kind: str, target: Target, expected_failures: Mapping[str, str] | None) -> CheckReport:
    reasons = expected_failures or {}
    _check_target(target)
    if isinstance(target, type):
        todo = cases(kind, target, reasons)
    else:
        instance = target()
        todo = instance_cases(kind, type(instance), target, repr(instance).partition("(\n")[0], reasons)
    return CheckReport.of(todo)
