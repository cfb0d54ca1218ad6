"""Every public class, and every check that it has to pass."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn
from unittest import SkipTest

from torch import nn
from torch_geometric.transforms import BaseTransform

from graphkit import models
from graphkit import nn as layers
from graphkit.core.checks import checks_of, derives_from_graphkit
from graphkit.testing.bad_data import check_bad_data
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.inputs import check_reads, check_sparse_adjacency, check_static_graph
from graphkit.testing.instances import examples
from graphkit.testing.kinds import (
    check_edge_direction,
    check_empty_groups,
    check_layered_contract,
    check_same_as,
    check_separate_layers,
)
from graphkit.testing.messages import MESSAGES, check_masked_model
from graphkit.testing.modules import COMMON
from graphkit.testing.traced import TRACED
from graphkit.testing.transforms import TRANSFORM
from graphkit.transforms import features, rewiring

CHECKS: dict[str, dict[str, Any]] = {
    "layer": COMMON
    | MESSAGES
    | {
        "edge_direction": check_edge_direction,
        "reads": check_reads,
        "sparse_adjacency": check_sparse_adjacency,
        "static_graph": check_static_graph,
        "bad_data": check_bad_data,
    },
    "aggregation": COMMON | {"empty_groups": check_empty_groups},
    "model": COMMON
    | {
        "layered_contract": check_layered_contract,
        "separate_layers": check_separate_layers,
        "reads": check_reads,
        "masked_model": check_masked_model,
        "bad_data": check_bad_data,
    },
    "transform": TRANSFORM | {"bad_data": check_bad_data},
}
# What graphkit's own classes promise, and others only if they say so.
CLAIMS = (*MESSAGES, "sparse_adjacency", "static_graph", "hooks_are_called", *TRACED)


@dataclass(frozen=True)
class Case:
    """One check of one instance.

    Attributes:
        name: The instance and the check, as shown by test runners.
        run: Runs the check; raises ``AssertionError``, or ``unittest.SkipTest`` for what the class does not claim.
        expected_failure: Why it is known to fail, if it is.
    """

    name: str
    run: Callable[[], None]
    expected_failure: str | None = None


def discover() -> dict[str, dict[str, type]]:
    """The public concrete classes by kind: layers, aggregations, models, transforms.

    Example:
        >>> discover()["model"]["GCN"].__name__
        'GCN'
    """
    in_models = {name: getattr(models, name) for name in models.__all__}
    of_models = _concrete(in_models, nn.Module) | models.registry.classes()
    transforms = _concrete(vars(importlib.import_module("graphkit.transforms")), BaseTransform)
    transforms |= _concrete(vars(rewiring), BaseTransform) | rewiring.registry.classes() | features.registry.classes()
    return {
        "layer": layers.registry.classes(),
        "aggregation": layers.aggr.registry.classes(),
        "model": of_models,
        "transform": transforms,
    }


def cases(kind: str, cls: type, expected_failures: Mapping[str, str] | None = None) -> Iterator[Case]:
    """All checks of all small instances of a class, and the check of its docstring.

    Args:
        kind: ``"layer"``, ``"aggregation"``, ``"model"`` or ``"transform"``.
        cls: The class.
        expected_failures: Reasons by the names of checks (default: those that the class's ``checks`` name).
    """
    checks = checks_of(cls)
    of_class = checks.expected_failures if expected_failures is None else expected_failures
    yield Case(f"{cls.__name__}-docstring", lambda: check_docstring(cls), of_class.get("docstring"))
    for i, (name, make, facts) in enumerate(examples(cls, checks)):
        reasons = facts.expected_failures if expected_failures is None else expected_failures
        yield from instance_cases(kind, cls, make, name, reasons)
        if facts.same_as is not None and isinstance(make, partial) and "checks" in vars(cls):
            check = partial(check_same_as, CheckedModule(make, kind), partial(facts.same_as, **make.keywords))
            yield Case(f"{name}-same_as", check, reasons.get("same_as"))
        if kind == "layer" or (kind == "model" and i == 0):  # the first one stands for all: tracing takes seconds
            yield from _cases(TRACED, cls, CheckedModule(make, kind), name, reasons)


def instance_cases(
    kind: str, cls: type, make: Callable[[], Any], name: str, reasons: Mapping[str, str]
) -> Iterator[Case]:
    """All checks of one instance of a class."""
    checked = make if kind == "transform" else CheckedModule(make, kind)
    yield from _cases(CHECKS[kind], cls, checked, name, reasons)


def _cases(checks: Mapping[str, Any], cls: type, checked: Any, name: str, reasons: Mapping[str, str]) -> Iterator[Case]:
    for check_name, check in checks.items():
        if is_claimed(cls, check_name):
            yield Case(f"{name}-{check_name}", partial(check, checked), reasons.get(check_name))
        else:
            yield Case(f"{name}-{check_name}", _not_claimed)


def is_claimed(cls: type, check: str) -> bool:
    """Whether a class has to pass a check: graphkit's and what derives from them all, others what they claim."""
    return derives_from_graphkit(cls) or check not in CLAIMS or check in checks_of(cls).claims


def _not_claimed() -> NoReturn:
    raise SkipTest("not claimed")


def check_docstring(cls: type) -> None:
    """The docstring has an ``Args:`` section that lists each argument of the constructor."""
    text = inspect.getdoc(cls) or ""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", text, re.MULTILINE)
    documented = re.findall(r"^ {4}\*{0,2}(\w+)", section.group(1), re.MULTILINE) if section else []
    for parameter in inspect.signature(cls).parameters.values():
        assert parameter.name in documented, f"the docstring of {cls.__name__} does not explain {parameter.name!r}"


def _concrete(members: Mapping[str, Any], base: type) -> dict[str, type]:
    return {
        name: value
        for name, value in members.items()
        if isinstance(value, type) and issubclass(value, base) and not inspect.isabstract(value)
    }
