"""Sums of rectified sums: the definition, with gradients, for every combination of parts."""

from __future__ import annotations

import itertools

import pytest
import torch

from graphkit import ops


def _parts(present, edge_index, sources, targets, width=5):
    generator = torch.Generator().manual_seed(0)
    sizes = (targets, edge_index.size(1))
    made = [torch.randn(size, width, generator=generator, dtype=torch.float64).requires_grad_() for size in sizes]
    source = torch.randn(sources, width, generator=generator, dtype=torch.float64).requires_grad_()
    return source, *(part if there else None for part, there in zip(made, present, strict=True))


@pytest.mark.parametrize("present", list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("sizes", [(9, 9), (9, 1), (1, 4)])
def test_it_is_the_definition(present, sizes):
    targets = sizes[1]
    generator = torch.Generator().manual_seed(1)
    edge_index = torch.stack([torch.randint(size, (30,), generator=generator) for size in sizes])
    source, target, edge = _parts(present, edge_index, *sizes)
    out = ops.relu_sum(edge_index, source, target, edge, size=sizes)
    messages = source[edge_index[0]]
    messages = messages if target is None else messages + target[edge_index[1]]
    messages = messages if edge is None else messages + edge
    expected = torch.zeros(targets, 5, dtype=torch.float64).index_add(0, edge_index[1], messages.relu())
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    given = [part for part in (source, target, edge) if part is not None]
    weight = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    for ours, theirs in zip(*(torch.autograd.grad(each, given, weight) for each in (out, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_derivatives_of_derivatives():
    edge_index = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
    source, target, edge = _parts((True, True), edge_index, 3, 3, width=2)
    assert torch.autograd.gradgradcheck(lambda *parts: ops.relu_sum(edge_index, *parts) ** 2, (source, target, edge))


def test_no_edges_and_wrong_shapes():
    none, x = torch.zeros(2, 0, dtype=torch.long), torch.ones(3, 2)
    assert ops.relu_sum(none, x).equal(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"relu_sum: edge has shape \[2, 2\], but the graph has 0 edges"):
        ops.relu_sum(none, x, edge=x[:2])
    with pytest.raises(ValueError, match=r"relu_sum: target has shape \[3, 1\].* and source 2 channels"):
        ops.relu_sum(none, x, x[:, :1])
