"""Sums over distances by kernels: against their definition, against layers hop by hop, and what asks for the latter."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from graphkit import ops
from graphkit.algorithms import hop_pairs
from graphkit.nn import DRewGCNConv, DRewGINConv
from graphkit.nn.drew import base
from graphkit.ops.hop_sets import hop_sets
from graphkit.ops.hop_sum import Hop, Moments, hop_sum

NODES, IN, OUT, HOPS = 150, 5, 11, 3


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def graph(num_nodes=NODES):
    """Pairs of a random directed graph by distance, a self-loop twice among them, and a node without neighbours."""
    edges = torch.randint(num_nodes - 1, (2, 2 * num_nodes), generator=torch.Generator().manual_seed(0))
    pairs, distance = hop_pairs(edges, num_nodes, HOPS)
    pairs = torch.cat([torch.tensor([[3, 3], [3, 3]]), pairs], 1)
    return pairs, torch.cat([distance.new_ones(2), distance])


def case(loops, moments, bias, dtype=torch.float64, num_nodes=NODES, width=OUT):
    """Pairs, states, summands of distances 0 to 4, of which the last has no pairs, and the moments."""
    pairs, distance = graph(num_nodes)
    sets = hop_sets(ops.sparsity_pattern(pairs, num_nodes), distance, HOPS + 1, loops)
    states = [random(num_nodes, IN, dtype=dtype, seed=s).requires_grad_() for s in range(2)]
    hops, count = [], HOPS + 2
    for k in range(count):
        weight, *rows = (random(*shape, dtype=dtype, seed=9 * k) for shape in ((width, IN), *[(width,)] * 3))
        weight, b, scale, shift = (part.requires_grad_() for part in (weight, *(row + i for i, row in enumerate(rows))))
        affine = (None, None) if moments is None else (scale, shift)
        hops.append(Hop(k, k % 2, weight, b if bias else None, *affine, 1 + k / 2, float(loops or k == 0)))
    if moments == "batch":
        moments = Moments(*torch.empty(2, count, width, dtype=dtype), True, 1e-5)
    elif moments == "given":
        mean, variance = random(2, count, width, dtype=dtype, seed=5)
        moments = Moments(mean, variance.square(), False, 1e-5)
    return (sets, states, hops, moments), (pairs, distance)


def by_definition(states, hops, moments, unit, loops, pairs, distance):
    """With dense matrices and torch's functions."""
    out = 0
    for place, (k, state, weight, bias, scale, shift, alpha, own) in enumerate(hops):
        source, target = pairs[:, distance == k].long()
        matrix = torch.zeros(len(states[0]), len(states[0]), dtype=weight.dtype)
        matrix.index_put_((target, source), torch.ones(1, dtype=weight.dtype), accumulate=True)
        if loops:
            matrix.fill_diagonal_(1)
            root = matrix.sum(1).rsqrt()
            matrix = root[:, None] * matrix * root
        elif own:
            matrix = torch.eye(len(matrix), dtype=weight.dtype)
        y = matrix @ states[state] @ weight.t()
        y = y if bias is None else y + bias
        if moments is not None:
            given = (None, None) if moments.of_batch else (moments.mean[place], moments.variance[place])
            y = nn.functional.batch_norm(y, *given, scale, shift, moments.of_batch)
        out = out + alpha * (nn.functional.normalize(y.relu(), dim=1) if unit else y.relu())
    return out


@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("moments", [None, "given", "batch"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients_are_those_of_the_definition(loops, unit, bias, moments, dtype):
    given, pairs = case(loops, moments, bias, dtype)
    _, states, hops, moments = given
    inputs = [*states, *(part for hop in hops for part in hop if isinstance(part, torch.Tensor))]
    wide = {id(part): part.detach().double().requires_grad_() for part in inputs}
    in_double = [Hop(*(wide.get(id(part), part) for part in hop)) for hop in hops]
    if moments is not None:
        moments = moments._replace(mean=moments.mean.double(), variance=moments.variance.double())
    expected = by_definition([wide[id(x)] for x in states], in_double, moments, unit, loops, *pairs)
    out = hop_sum(*given, unit)
    rtol, atol = (1e-7, 1e-9) if dtype == torch.float64 else (1e-2, 1e-2)
    torch.testing.assert_close(out.double(), expected, rtol=rtol, atol=atol)
    direction = random(*out.shape, seed=3)
    gradients = torch.autograd.grad(out, inputs, direction.to(dtype))
    for mine, other in zip(gradients, torch.autograd.grad(expected, list(wide.values()), direction), strict=True):
        torch.testing.assert_close(mine.double(), other, rtol=rtol, atol=atol * float(other.abs().max().clamp(min=1)))


@pytest.mark.parametrize("moments", [None, "batch"])
def test_derivatives_of_derivatives(moments):
    (sets, states, hops, moments), _ = case(True, moments, False, num_nodes=9, width=3)
    hops = [hops[1], hops[2]]
    if moments is not None:
        moments = moments._replace(mean=moments.mean[:2], variance=moments.variance[:2])

    def run(first, second, weight):
        return hop_sum(sets, [first, second], [hops[0]._replace(weight=weight), hops[1]], moments, True)

    inputs = (*states, hops[0].weight)
    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


@pytest.mark.parametrize("width", [8, OUT, 40])
def test_threads_change_nothing(width):
    """Of what kernels compute: the linear maps are of whole numbers here, for which torch's order does not matter."""
    (sets, states, hops, moments), _ = case(True, "batch", False, torch.float32, width=width)
    states = [x.round() for x in states]
    hops = [hop._replace(weight=hop.weight.round()) for hop in hops]
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            out = hop_sum(sets, states, hops, moments, True)
            parts = [part for hop in hops for part in (hop.scale, hop.shift)]
            results.append([out, *torch.autograd.grad(out.square().sum() + out.sum(), parts)])
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*results):
        assert torch.equal(one, three)


LAYERS = {
    "gcn": lambda **kw: DRewGCNConv(4, 9, num_hops=HOPS, **kw),
    "gin": lambda **kw: DRewGINConv(4, 9, num_hops=HOPS, eps=0.5, **kw),
}


def both(layer, monkeypatch, *inputs):
    """Values, gradients and buffers at once, and hop by hop; whether the first was at once."""
    used, results = [], []
    at_once = base.sum_at_once
    monkeypatch.setattr(base, "sum_at_once", lambda *given: used.append(1) or at_once(*given))
    for hop_by_hop in (False, True):
        one = copy.deepcopy(layer)
        if hop_by_hop:
            monkeypatch.setattr(base, "takes", lambda *_: False)
        out = one(*inputs)
        weights = [p for p in one.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(out, weights, random(*out.shape, seed=7))
        results.append((out, gradients, list(one.buffers())))
    monkeypatch.undo()
    return results, bool(used)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"nu": 2, "convex_combination": True}, {"shared_weights": True}])
def test_layers_are_what_they_are_hop_by_hop(kind, batch_norm, training, options, monkeypatch):
    torch.manual_seed(0)
    layer = LAYERS[kind](batch_norm=batch_norm, **options).double().train(training)
    for buffer in layer.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    pairs, distance = graph()
    states = [random(NODES, 4, seed=s) for s in range(3)]
    (mine, other), at_once = both(layer, monkeypatch, states, pairs, distance)
    assert at_once
    for part, expected in zip(mine, other):
        torch.testing.assert_close(part, expected)


def test_what_asks_for_hops_one_by_one(monkeypatch):
    """Another activation, dropout, hooks, learnt weights of hops, empty hops that are left out, a changed part."""
    pairs, distance = graph()
    states = [random(NODES, 4, seed=s) for s in range(3)]
    calls = []
    hooked, changed = DRewGCNConv(4, 9, num_hops=HOPS), DRewGINConv(4, 9, num_hops=HOPS)
    hooked.convs[1].norm.register_forward_hook(lambda *_: calls.append(1))
    changed.convs[2].mlp[1] = nn.BatchNorm1d(9, momentum=None)
    layers = [
        DRewGCNConv(4, 9, num_hops=HOPS, act="elu"),
        DRewGINConv(4, 9, num_hops=HOPS, act="tanh"),
        DRewGCNConv(4, 9, num_hops=HOPS, learned_hop_weights=True),
        DRewGCNConv(4, 9, num_hops=HOPS, official_skip_empty_hops=True),
        DRewGCNConv(4, 9, num_hops=HOPS, paper_form=True),
        hooked,
        changed,
    ]
    for layer in layers:
        results, at_once = both(layer.double(), monkeypatch, states, pairs, distance)
        assert not at_once
        assert torch.equal(results[0][0], results[1][0])
    assert calls
    dropping = DRewGCNConv(4, 9, num_hops=HOPS, dropout=0.5).double()
    torch.manual_seed(0)
    assert not both(dropping, monkeypatch, states, pairs, distance)[1]
    assert both(dropping.eval(), monkeypatch, states, pairs, distance)[1]


def test_sets_are_the_pairs_of_each_distance_and_shared_by_layers():
    pairs, distance = graph()
    pattern = ops.sparsity_pattern(pairs, NODES)
    for loops, reverse in itertools.product((False, True), (False, True)):
        sets = hop_sets(pattern, distance, HOPS, loops)
        assert hop_sets(pattern, distance.clone(), 1, loops) is sets
        ptr, others = (sets.colptr, sets.row) if reverse else (sets.ptr, sets.col)
        for k in range(1, HOPS + 1):
            wanted = distance == k
            if loops:
                wanted &= pairs[0] != pairs[1]
            source, target = pairs[:, wanted].flip(0).tolist() if reverse else pairs[:, wanted].tolist()
            begins = ptr[sets.number(k)].tolist()
            found = [(int(s), t) for t in range(NODES) for s in others[begins[t] : begins[t + 1]]]
            assert sorted(found) == sorted(zip(source, target))
    far = hop_sets(pattern, distance.long() * 70, 210, False)
    assert far.ptr[far.number(210), -1] - far.ptr[far.number(210), 0] == (distance == 3).sum()
