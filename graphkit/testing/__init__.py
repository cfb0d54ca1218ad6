"""Checks that graphkit's own classes pass, for yours.

``check_layer``, ``check_aggregation``, ``check_model``, ``check_transform`` and ``check_strategy`` run everything
that is known about their kind: permutations, batches, isolated nodes, missing edges, precision, gradients, state dicts,
seeds, copies, ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphkit.testing.arguments import check_arguments
from graphkit.testing.bad_data import Damage, damages
from graphkit.testing.discovery import CHECKS, Case, cases, discover, instance_cases
from graphkit.testing.graphs import random_graph, relabelled
from graphkit.testing.strategies import STRATEGY_CHECKS, strategy_cases
from graphkit.testing.symmetry import (
    assert_batch_independent,
    assert_close,
    assert_permutation_equivariant,
    assert_permutation_invariant,
)

__all__ = [
    "CHECKS",
    "STRATEGY_CHECKS",
    "Case",
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


def check_layer(target: Target, expected_failures: Mapping[str, str] | None = None) -> None:
    """Run all checks on a layer, called as ``layer(x, edge_index, ...)``.

    Args:
        target: A class whose constructor has the usual arguments (``in_channels``, ``out_channels``, ...), or a
            function that builds an instance for 5 input channels (and 3 edge features).
        expected_failures: Names of checks that need not pass, each with the reason (default: none).

    Raises:
        AssertionError: Naming the check that failed, or the expected failure that did not happen.

    Example:
        >>> from graphkit.nn import GCNConv
        >>> check_layer(lambda: GCNConv(5, 2, normalize="row"))
    """
    _check("layer", target, expected_failures)


def check_aggregation(target: Target, expected_failures: Mapping[str, str] | None = None) -> None:
    """Run all checks on a PyG ``Aggregation``; see :func:`check_layer`.

    Example:
        >>> from torch_geometric.nn import SumAggregation
        >>> check_aggregation(SumAggregation)
    """
    _check("aggregation", target, expected_failures)


def check_model(target: Target, expected_failures: Mapping[str, str] | None = None) -> None:
    """Run all checks on a model, called as ``model(batch)``; see :func:`check_layer`.

    Example:
        >>> from graphkit.models import GCN
        >>> check_model(lambda: GCN(5, 8, num_layers=2, readout="mean"))
    """
    _check("model", target, expected_failures)


def check_transform(target: Target, expected_failures: Mapping[str, str] | None = None) -> None:
    """Run all checks on a PyG transform; see :func:`check_layer`.

    Example:
        >>> from graphkit.transforms.rewiring import RandomEdges
        >>> check_transform(RandomEdges, {"permutation": "edges are drawn by node number"})
    """
    _check("transform", target, expected_failures)


def check_strategy(target: Target) -> None:
    """Run all checks on a strategy: weights that change or are named, hidden labels, runs that repeat, ...

    Args:
        target: A class that needs no arguments, or a function that builds an instance.

    Raises:
        AssertionError: Naming the check that failed, or if the strategy refuses tasks of nodes and of graphs alike.

    Example:
        >>> from graphkit.training.strategies import Backprop
        >>> check_strategy(Backprop)
    """
    checks = list(strategy_cases(target))
    assert checks, f"{target!r} refuses tasks of nodes and of graphs; there is nothing to check"
    for name, check in checks:
        try:
            check()
        except Exception as error:
            raise AssertionError(f"{name}: {error}") from error


def _check(kind: str, target: Target, expected_failures: Mapping[str, str] | None) -> None:
    reasons = expected_failures or {}
    if isinstance(target, type):
        todo = list(cases(kind, target, reasons))
    else:
        todo = list(instance_cases(kind, target, repr(target()), reasons))
    for case in todo:
        try:
            case.run()
        except Exception as error:
            if case.expected_failure is None:
                raise AssertionError(f"{case.name}: {error}") from error
        else:
            if case.expected_failure is not None:
                raise AssertionError(f"{case.name} passes although it is expected to fail ({case.expected_failure})")
