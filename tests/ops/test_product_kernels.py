"""Compiled products against dense ones, for every way in which columns are cut."""

from __future__ import annotations

import pytest
import torch

from graphkit import ops
from graphkit.ops import backend, rows
from tests import tiny

product_kernels = pytest.importorskip("graphkit.ops.product_kernels")
NODES, EDGES = 9, 40


@pytest.fixture(scope="module")
def pattern():
    return ops.sparsity_pattern(tiny.crowded_edges(NODES, NODES, EDGES, hub=20), NODES)


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("width", [1, 7, 8, 31, 32, 33, 64, 71, 100, 136])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_of_any_number(width, dtype, pattern):
    values, x = drawn(pattern.num_edges, dtype=dtype), drawn(NODES, width, dtype=dtype)
    expected = torch.zeros_like(x).index_add(0, pattern.row, values[:, None] * x[pattern.col])
    torch.testing.assert_close(product_kernels.product(pattern.rowptr, pattern.col, values, x), expected)


@pytest.mark.parametrize(("heads", "channels"), [(1, 8), (3, 8), (2, 24), (5, 16), (3, 72)])
def test_heads_with_values_of_their_own_in_any_order(heads, channels, pattern):
    values, x = drawn(pattern.num_edges, heads), drawn(NODES, heads, channels)
    sizes, order = (heads, channels), pattern.csc_perm
    expected = torch.zeros_like(x).index_add(0, pattern.row, values[..., None] * x[pattern.col])
    ours = product_kernels.product_of_heads((pattern.rowptr, pattern.col), values, x, sizes)
    torch.testing.assert_close(ours, expected)
    expected = torch.zeros_like(x).index_add(0, pattern.col, values[..., None] * x[pattern.row])
    ours = product_kernels.product_of_heads((pattern.colptr, pattern.csc_row), values, x, sizes, order)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize(("heads", "channels"), [(1, 5), (3, 8), (9, 3)])
def test_inner_products_of_heads(heads, channels, pattern):
    a, b = drawn(2, NODES, heads, channels)
    ours = product_kernels.inner_products((pattern.rowptr, pattern.col), a, b, (heads, channels), scale=0.5)
    torch.testing.assert_close(ours, 0.5 * (a[pattern.row] * b[pattern.col]).sum(-1))


def test_what_is_not_a_number_stays_in_its_column_and_infinity_where_it_is(pattern):
    x = drawn(NODES, 70)
    x[0, 3], x[1, 66] = float("nan"), float("inf")
    found = product_kernels.product(pattern.rowptr, pattern.col, torch.ones(pattern.num_edges).double(), x)
    expected = torch.zeros_like(x).index_add(0, pattern.row, x[pattern.col])
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_threads_do_not_change_a_bit(pattern):
    values, x = drawn(pattern.num_edges, dtype=torch.float32), drawn(NODES, 65, dtype=torch.float32)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(product_kernels.product(pattern.rowptr, pattern.col, values, x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_products_of_rows_are_the_same_with_the_kernel_and_without(monkeypatch):
    states, a, b = drawn(4, 6, 5), drawn(6, 5).sin(), drawn(6, 5).cos()
    expected = torch.stack([(states * other).sum(2) for other in (a, b, states)], dim=1)
    for large in (backend.LARGE, 0):
        monkeypatch.setattr(backend, "LARGE", large)
        torch.testing.assert_close(rows.row_products(states, 4, a, b), expected)
