"""Packages whose members are imported on first use list them all the same."""

import importlib

import pytest


@pytest.mark.parametrize("package", ["graphkit.datasets", "graphkit.recipes"])
def test_dir_knows_the_members(package):
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
