"""Gated means over several distances at once: against those of each distance, and layers hop by hop."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from graphkit import ops
from graphkit.algorithms import hop_pairs
from graphkit.nn import DRewGatedGCNConv
from graphkit.nn.drew import gated_gcn
from graphkit.ops.hop_gates import hop_gates
from graphkit.ops.hop_sets import hop_sets

NODES, HOPS = 60, 3


def graph(num_nodes=NODES):
    """Pairs of a random directed graph by distance, with a self-loop, and a node without neighbours."""
    edges = torch.randint(num_nodes - 1, (2, 2 * num_nodes), generator=torch.Generator().manual_seed(0))
    pairs, distance = hop_pairs(edges, num_nodes, HOPS)
    return torch.cat([torch.tensor([[3], [3]]), pairs], 1), torch.cat([distance.new_ones(1), distance])


def inputs(dtype, width, num_nodes=NODES, hops=HOPS + 1):
    """Logits of targets, then those of sources and values for each distance, of which the last has no pairs."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(1 + 2 * hops, num_nodes, width, generator=generator, dtype=dtype)
    return [x.clone().requires_grad_() for x in rows]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 8, 21, 48])
def test_values_and_gradients_are_those_of_each_distance(dtype, width, threads):
    pairs, distance = graph()
    logit, *others = inputs(dtype, width)
    sets = hop_sets(ops.sparsity_pattern(pairs, NODES), distance, HOPS + 1, loops=False)
    direction = torch.randn(NODES, width, generator=torch.Generator().manual_seed(2), dtype=dtype)

    def results():
        out = hop_gates(sets, logit, others[: HOPS + 1], others[HOPS + 1 :], 0.5, 1e-6)
        return [out, *torch.autograd.grad(out, [logit, *others], direction)]

    before, one = torch.get_num_threads(), results()
    try:
        torch.set_num_threads(threads)
        assert all(torch.equal(*both) for both in zip(one, results()))
    finally:
        torch.set_num_threads(before)
    each = zip(range(1, HOPS + 2), others[: HOPS + 1], others[HOPS + 1 :])
    expected = sum(0.5 * ops.gated_mean(pairs[:, distance == k].long(), logit, *both) for k, *both in each)
    expected = [expected, *torch.autograd.grad(expected, [logit, *others], direction)]
    torch.testing.assert_close(one, expected)


def test_derivatives_of_derivatives():
    pairs, distance = graph(7)
    sets = hop_sets(ops.sparsity_pattern(pairs, 7), distance, 2, loops=False)
    given = inputs(torch.float64, 2, 7, 2)

    def run(logit, *others):
        return hop_gates(sets, logit, others[:2], others[2:], 0.5, 1e-6)

    assert gradcheck(run, given)
    assert gradgradcheck(run, given)


@pytest.mark.parametrize("options", [{}, {"nu": 2, "convex_combination": True}, {"shared_weights": False}])
@pytest.mark.parametrize("constant", [False, True])
def test_a_layer_is_what_it_is_hop_by_hop(options, constant, monkeypatch):
    torch.manual_seed(0)
    layer = DRewGatedGCNConv(4, 9, num_hops=HOPS, **options).double()
    states = list(torch.randn(HOPS, NODES, 4, dtype=torch.float64).requires_grad_().unbind())
    given, results = states[-1] if constant else states, []
    for at_once in (True, False):
        one = copy.deepcopy(layer)
        if not at_once:
            monkeypatch.setattr(gated_gcn, "has_kernels", lambda *_: False)
            monkeypatch.setattr(gated_gcn, "hop_gates", None)
        out = one(given, *graph())
        results.append([out, *torch.autograd.grad(out.square().sum(), [states[-1], *one.parameters()])])
    torch.testing.assert_close(*results)
