"""Sums at edges, and means by gates of edges: the definitions, with gradients of any order."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkit import ops


def inputs(dtype=torch.float64, sources=7, targets=9, edges=30, width=5, in_order=False):
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.stack([torch.randint(n, (edges,), generator=generator) for n in (sources, targets - 2)])
    if in_order:
        edge_index = edge_index[:, (edge_index[1] * sources + edge_index[0]).argsort()]
    rows = [torch.randn(n, width, generator=generator, dtype=dtype) for n in (sources, targets, edges)]
    return edge_index, (sources, targets), *(row.requires_grad_() for row in rows)


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("with_edges", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_and_means_are_the_definitions(dtype, with_edges, in_order):
    edge_index, size, x, own, edge = inputs(dtype, in_order=in_order)
    edge = edge if with_edges else None
    logit = ops.edge_sum(edge_index, x, own, edge, size=size)
    out = ops.edge_gated_mean(edge_index, logit, x, size=size)
    plain = x[edge_index[0]] + own[edge_index[1]] + (0 if edge is None else edge)
    gate, zeros = plain.sigmoid(), torch.zeros_like(own)
    expected = zeros.index_add(0, edge_index[1], gate * x[edge_index[0]]) / (
        zeros.index_add(0, edge_index[1], gate) + 1e-6
    )
    torch.testing.assert_close(logit, plain)
    torch.testing.assert_close(out, expected)
    given = [part for part in (x, own, edge) if part is not None]
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(part.shape, generator=generator, dtype=dtype) for part in (out, logit)]
    ours, theirs = (torch.autograd.grad(pair, given, weights) for pair in ((out, logit), (expected, plain)))
    torch.testing.assert_close(ours, theirs)


def test_derivatives_of_derivatives():
    edge_index, size, *parts = inputs(sources=3, targets=4, edges=6, width=2)

    def both(x, own, edge):
        logit = ops.edge_sum(edge_index, x, own, edge, size=size)
        return ops.edge_gated_mean(edge_index, logit, x, size=size), logit**2

    assert gradcheck(both, parts)
    assert gradgradcheck(both, parts)


def test_no_edges_and_wrong_shapes():
    none, x = torch.zeros(2, 0, dtype=torch.long), torch.ones(3, 2)
    assert ops.edge_sum(none, x, x).shape == (0, 2)
    assert ops.edge_gated_mean(none, x[:0], x).equal(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"edge_sum: target has shape \[3, 1\].* and source 2 channels"):
        ops.edge_sum(none, x, x[:, :1])
    with pytest.raises(ValueError, match=r"edge_gated_mean: edge has shape \[1, 2\], but the graph has 0 edges"):
        ops.edge_gated_mean(none, x[:1], x)
