"""What a function returns for a graph on a device, beside what it returns on the CPU."""

import dataclasses

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.ops import SparseMatrix, SparsityPattern


def assert_same(actual, expected, device, where):
    """Equal results, those on the device where the others are on the CPU."""
    assert type(actual) is type(expected) or isinstance(expected, Tensor), f"{where}: {type(actual)}"
    if isinstance(expected, Tensor):
        assert actual.device == device, f"{where} is on {actual.device}"
        torch.testing.assert_close(actual.cpu(), expected, rtol=1e-6, atol=1e-8, msg=lambda text: f"{where}: {text}")
    elif isinstance(expected, float):
        assert abs(actual - expected) <= 1e-6 * max(1, abs(expected)), where
    elif isinstance(expected, (tuple, list)):
        assert len(actual) == len(expected), where
        for number, pair in enumerate(zip(actual, expected)):
            assert_same(*pair, device, f"{where}[{number}]")
    elif isinstance(expected, Data):
        assert actual.keys() == expected.keys(), where
        for key in expected.keys():  # noqa: SIM118
            assert_same(actual[key], expected[key], device, f"{where}: {key}")
    elif isinstance(expected, SparsityPattern):
        assert_same(
            [actual.rowptr, actual.col, actual.perm], [expected.rowptr, expected.col, expected.perm], device, where
        )
    elif isinstance(expected, SparseMatrix):
        assert_same([actual.pattern, actual.values], [expected.pattern, expected.values], device, where)
    elif dataclasses.is_dataclass(expected):
        for part in dataclasses.fields(expected):
            assert_same(getattr(actual, part.name), getattr(expected, part.name), device, f"{where}.{part.name}")
    else:
        assert actual == expected, where
