"""All common checks on every public class, found by discovery."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from torch import nn
from torch_geometric.transforms import BaseTransform

import graphkit as gk
from graphkit import testing
from graphkit.core.checks import checks_of
from graphkit.core.registry import Registry
from graphkit.testing.discovery import check_docstring
from graphkit.testing.traced import TRACED


def _cases() -> list:
    params = []
    for kind, classes in testing.discover().items():
        for cls in classes.values():
            if not cls.__module__.startswith("graphkit."):
                continue  # classes that other tests define
            for case in testing.cases(kind, cls):
                # strict: a check that passes again has to leave the list of expected failures
                reason = case.expected_failure
                marks = [pytest.mark.xfail(strict=True, reason=reason, raises=AssertionError)] if reason else []
                params.append(pytest.param(case, id=case.name, marks=marks))
    return params


@pytest.mark.parametrize("case", _cases())
def test_check(case: testing.Case):
    case.run()


PLACES = [gk.nn, gk.nn.aggr, gk.nn.sheaf, gk.models, gk.transforms, gk.rewiring, gk.features]
PUBLIC = {value for place in PLACES for value in vars(place).values() if isinstance(value, type)}


def _is_abstract(cls: type) -> bool:
    return any(getattr(inspect.getattr_static(cls, name, None), "__isabstractmethod__", False) for name in dir(cls))


def _of_the_package(place) -> list[type]:
    """All modules and transforms in the files of a room, but abstract and private ones."""
    files = [importlib.import_module(info.name) for info in pkgutil.walk_packages(place.__path__, place.__name__ + ".")]
    return [
        value
        for file in files
        for name, value in vars(file).items()
        if isinstance(value, type)
        and value.__module__ == file.__name__
        and not name.startswith("_")
        and issubclass(value, (nn.Module, BaseTransform))
        and not _is_abstract(value)
    ]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_every_class_is_public_and_has_checks(place):
    """A class without checks says why, and has a docstring at least."""
    checked = {cls for classes in testing.discover().values() for cls in classes.values()}
    exported = [getattr(place, name) for name in place.__all__]
    modules = [value for value in exported if isinstance(value, type) and issubclass(value, (nn.Module, BaseTransform))]
    for cls in {*_of_the_package(place), *(cls for cls in modules if not _is_abstract(cls))}:
        if checks_of(cls).skip is not None:
            check_docstring(cls)
            continue
        assert cls in PUBLIC, f"{cls.__module__}.{cls.__name__} is in no __all__, so nothing checks it"
        assert cls in checked, f"{place.__name__}.{cls.__name__} is public but no common check runs over it"


def test_expected_failures_name_checks_that_exist():
    for kind, classes in testing.discover().items():
        for cls in classes.values():
            assert set(checks_of(cls).expected_failures) <= {*testing.CHECKS[kind], *TRACED, "docstring"}, cls


def test_registries_are_found():
    for place in [gk.nn, gk.nn.aggr, gk.models, gk.rewiring, gk.features, gk.samplers, gk.strategies]:
        assert isinstance(place.registry, Registry)
        assert place.registry.names()
