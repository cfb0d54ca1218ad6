"""All common checks on every public class, found by discovery."""

from __future__ import annotations

import inspect

import pytest
from torch import nn
from torch_geometric.transforms import BaseTransform

import graphkit as gk
from graphkit import testing
from graphkit.core.registry import Registry
from graphkit.testing.discovery import OF_OTHER_GRAPHS, check_docstring
from graphkit.testing.instances import EXPECTED_FAILURES, INSTANCES


def _cases() -> list:
    found = []
    for kind, classes in testing.discover().items():
        for cls in classes.values():
            if not cls.__module__.startswith("graphkit."):
                continue  # classes that other tests define
            for case in testing.cases(kind, cls):
                # strict: a check that passes again has to leave the list of expected failures
                reason = case.expected_failure
                marks = [pytest.mark.xfail(strict=True, reason=reason, raises=AssertionError)] if reason else []
                found.append(pytest.param(case, id=case.name, marks=marks))
    return found


@pytest.mark.parametrize("case", _cases())
def test_check(case: testing.Case):
    case.run()


PLACES = [gk.nn, gk.models, gk.transforms, gk.rewiring, gk.features]
OPERATORS = {gk.nn.aggr.GRUOperator, gk.nn.aggr.MLPOperator}  # parts of an aggregation, checked with it


def test_every_public_class_has_checks():
    checked = {cls for classes in testing.discover().values() for cls in classes.values()}
    for place in [*PLACES, gk.nn.aggr]:
        for name in place.__all__:
            value = getattr(place, name)
            if not isinstance(value, type) or inspect.isabstract(value) or value in OPERATORS:
                continue
            if name in OF_OTHER_GRAPHS:
                check_docstring(value)
                continue
            assert value in checked, f"{place.__name__}.{name} is public but no common check runs over it"


def test_every_layer_and_transform_of_the_package_is_public():
    import importlib
    import pkgutil

    public = {getattr(place, name) for place in [*PLACES, gk.nn.aggr] for name in place.__all__}
    public |= {gk.models.LayerStack, gk.models.grand_equation.Equation, gk.nn.aggr.base.SetAggregation}  # parts
    public |= {gk.nn.encoders.CodeEncoder, gk.nn.encoders.LaplacianEncoder}  # no graphs, no layers: tests/nn has them
    # these work on pairs of nodes: tests/models has them
    public |= {gk.nn.ppgn.PPGNBlock, gk.nn.common_neighbours.CommonNeighbourDecoder}
    for place in [*PLACES, gk.nn.aggr]:
        for info in pkgutil.iter_modules(place.__path__, place.__name__ + "."):
            module = importlib.import_module(info.name)
            for name, value in vars(module).items():
                own = isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
                if own and issubclass(value, (nn.Module, BaseTransform)):
                    assert value in public, f"{info.name}.{name} is in no __all__, so nothing checks it"


def test_tables_name_classes_and_checks_that_exist():
    names = {name for classes in testing.discover().values() for name in classes}
    checks = {check for of_kind in testing.CHECKS.values() for check in of_kind} | {"docstring"}
    assert set(INSTANCES) <= names
    assert set(EXPECTED_FAILURES) <= names
    for reasons in EXPECTED_FAILURES.values():
        assert set(reasons) <= checks


def test_registries_are_found():
    for place in [gk.nn, gk.nn.aggr, gk.models, gk.rewiring, gk.features, gk.samplers, gk.strategies]:
        assert isinstance(place.registry, Registry)
        assert place.registry.names()
