"""Gated means and rows of length one against their definitions; edges by kind."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from graphkit import ops
from graphkit.ops import gated, kernels


def definition(edge_index, a, b, x, eps=1e-6):
    source, target = edge_index
    gate = (a[target] + b[source]).sigmoid()
    zeros = a.new_zeros(a.shape)
    return zeros.index_add(0, target, gate * x[source]) / (zeros.index_add(0, target, gate) + eps)


def inputs(dtype, targets=9, sources=7, width=5, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.stack([torch.randint(n, (30,), generator=generator) for n in (sources, targets - 2)])
    rows = (targets, sources, sources)
    return edge_index, *((scale * torch.randn(n, width, generator=generator, dtype=dtype)) for n in rows)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("compiled", [True, False])
def test_values_and_gradients_are_those_of_the_definition(dtype, threads, compiled):
    edge_index, *values = inputs(dtype)
    graph = ops.sparsity_pattern(edge_index, (7, 9))
    mean = functools.partial(ops.gated_mean, graph) if compiled else functools.partial(gated.by_ends, graph, 1e-6)
    values = [value.requires_grad_() for value in values]
    direction = torch.randn(9, 5, generator=torch.Generator().manual_seed(1), dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out = mean(*values)
        gradients = torch.autograd.grad(out, values, direction)
    finally:
        torch.set_num_threads(before)
    expected = definition(edge_index, *values)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, values, direction))


def test_gradcheck():
    edge_index, *values = inputs(torch.float64)
    values = [value.requires_grad_() for value in values]
    assert gradcheck(lambda *v: ops.gated_mean(edge_index, *v), values)
    assert gradgradcheck(lambda *v: ops.gated_mean(edge_index, *v), values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_closed_and_open_gates(dtype, scale):
    """Logits beyond the range of the exponential function, some of which cancel."""
    bound = kernels.BOUND[dtype]
    edge_index, a, b, x = inputs(dtype, scale=scale)
    a, b = a.clamp(-2 * bound, 2 * bound), b.clamp(-bound / 2, bound / 2)
    values = [value.requires_grad_() for value in (a, b, x)]
    out = ops.gated_mean(edge_index, *values)
    torch.testing.assert_close(out, definition(edge_index, *values), rtol=1e-4, atol=1e-4 * scale)
    for gradient in torch.autograd.grad(out.sum(), values):
        assert torch.isfinite(gradient).all()


def test_no_edges_and_wrong_shapes():
    none = torch.empty(2, 0, dtype=torch.long)
    a = torch.ones(3, 2, requires_grad=True)
    out = ops.gated_mean(none, a, a, a)
    assert out.eq(0).all()
    assert torch.autograd.grad(out.sum(), a)[0].eq(0).all()
    with pytest.raises(ValueError, match="same number of columns"):
        ops.gated_mean(none, a, a, a[:, :1])
    with pytest.raises(ValueError, match="3 targets and 2 sources"):
        ops.gated_mean(none, a, a[:2], a, size=(2, 3))


def test_rows_of_length_one():
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[2] = 0
    x.requires_grad_()
    direction = torch.randn_like(x)
    out, expected = ops.l2_normalize(x), F.normalize(x, dim=1)
    torch.testing.assert_close(out, expected)
    gradients = [torch.autograd.grad(y, x, direction)[0] for y in (out, expected)]
    torch.testing.assert_close(*gradients)


def test_edges_by_kind_are_kept_and_checked_by_content():
    edge_index = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 2]], dtype=torch.int32)
    kind = torch.tensor([1, 2, 1, 3], dtype=torch.uint8)
    first, second, missing = ops.split_edges(edge_index, kind, [1, 2, 7], 3)
    assert (first.tolist(), second.tolist(), missing.tolist()) == ([[2, 0], [0, 1]], [[1], [2]], [[], []])
    assert ops.split_edges(edge_index, kind.clone(), [2], 3)[0] is second
    kind[1] = 1
    assert ops.split_edges(edge_index, kind, [1], 3)[0].tolist() == [[2, 0, 1], [0, 1, 2]]
    for wrong in (kind[:2], kind.float(), kind.view(2, 2)):
        with pytest.raises(ValueError, match="pass one integer for each of the 4 edges"):
            ops.split_edges(edge_index, wrong, [1], 3)


@pytest.mark.parametrize("x", [torch.ones(2, 2, dtype=torch.long), torch.eye(2).to_sparse_csr(), [[1.0, 2.0]]])
def test_rows_that_have_no_length_are_refused(x):
    with pytest.raises(TypeError, match=r"l2_normalize: x is .*, must be a dense tensor of floating point numbers"):
        ops.l2_normalize(x)
