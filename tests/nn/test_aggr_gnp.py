"""GNP: limits, borders, extreme exponents, derivatives; and recurrent aggregation without padding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.nn import GINEConv, SAGEConv
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, MinAggregation, SumAggregation

from graphkit.nn.aggr import GNPAggregation, RecurrentAggregation, gnp
from graphkit.nn.aggr.gnp import _Norms, _norms
from graphkit.nn.aggr.sets import find_sets


def some_sets(seed: int = 0, zeros: bool = False) -> tuple[torch.Tensor, torch.Tensor, int]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(40, 3, generator=generator, dtype=torch.float64) + 0.05
    if zeros:
        x[torch.rand(40, 3, generator=generator) < 0.3] = 0
    return x, torch.randint(0, 6, (40,), generator=generator) * 2, 12  # every second set is empty


LIMITS = {
    "sum": (1.0, 0.0, SumAggregation(), 1e-12),
    "mean": (1.0, 1.0, MeanAggregation(), 1e-12),
    "max": (1000.0, 0.0, MaxAggregation(), 5e-3),
    "min": (-1000.0, 0.0, MinAggregation(), 5e-3),
}


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("name", LIMITS)
def test_limits(name, zeros):
    p, q, aggregation, tolerance = LIMITS[name]
    x, index, size = some_sets(zeros=zeros)
    expected = aggregation(x, index, dim_size=size)
    torch.testing.assert_close(gnp(x, p, q, index, dim_size=size), expected, rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_the_trained_module(name):
    p, q, aggregation, tolerance = LIMITS[name]
    x, index, size = some_sets()
    module = GNPAggregation(3, 3).double()
    branch = 0 if p > 0 else 1
    with torch.no_grad():
        module.raw_p[branch] = math.log(math.expm1(abs(p) - 0.1)) if abs(p) < 30 else abs(p) - 0.1
        module.q[branch] = q
        module.lin.weight.zero_()
        module.lin.weight[:, 3 * branch : 3 * branch + 3] = torch.eye(3)
    expected = aggregation(x, index, dim_size=size)
    torch.testing.assert_close(module(x, index, dim_size=size), expected, rtol=tolerance, atol=1e-12)


def test_begins_as_sum_and_harmonic_sum():
    assert torch.allclose(GNPAggregation(4, 4, per_channel=True).p, torch.tensor([[1.0], [-1.0]]).expand(2, 4))


@settings(max_examples=60, deadline=None)
@given(
    p=st.floats(0.1, 300.0) | st.floats(-300.0, -0.1),
    q=st.floats(-2.0, 2.0),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_every_exponent_agrees_with_the_formula(p, q, scale, seed):
    x, index, size = some_sets(seed, zeros=seed % 2 == 0)
    x = x * scale
    out = gnp(x, p, q, index, dim_size=size)
    for number in range(size):
        mine = x[index == number]
        for channel in range(3):
            values = [float(v) for v in mine[:, channel]]
            if not values or max(values) == 0 or (p < 0 and min(values) == 0):
                expected = 0.0
            else:
                logs = [p * math.log(v) for v in values if v > 0]
                top = max(logs)
                log_sum = top + math.log(math.fsum(math.exp(each - top) for each in logs))
                expected = math.exp(log_sum / p - q * math.log(len(values)))
            assert float(out[number, channel]) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_overflows_in_the_whole_range(dtype):
    x = torch.tensor([[1e-20], [1.0], [1e20], [0.0], [3.0], [0.0]], dtype=dtype, requires_grad=True)
    index = torch.tensor([0, 0, 0, 1, 1, 3])
    for p in (0.1, 0.5, 1.0, 20.0, 150.0, 1e4, -0.1, -1.0, -20.0, -1e4):
        exponent = torch.tensor([p], dtype=dtype, requires_grad=True)
        out = gnp(x, exponent, torch.zeros(1, dtype=dtype), index, dim_size=4)
        assert bool(out.isfinite().all()), p
        for gradient in torch.autograd.grad(out.log1p().sum(), (x, exponent)):
            assert bool(gradient.isfinite().all()), p
    many = gnp(torch.ones(200_000, 1, dtype=dtype), 0.1, 0.0)  # 200000 ** 10
    assert bool(many.isfinite().all())
    ones = torch.ones(200_000, 1, dtype=dtype)
    torch.testing.assert_close(gnp(ones, 0.1, 10.0), ones[:1], rtol=1e-3, atol=0)


@pytest.mark.parametrize("wide", [False, True])
def test_derivatives(wide):
    x = some_sets()[0]
    x = x[:12] * (torch.logspace(-12, 0, 12, dtype=torch.float64)[:, None] if wide else 1)  # one scale, or one per set
    index = torch.arange(12) // 5
    inputs = (x * 1e3, torch.tensor([2.5, -1.5, 0.7], dtype=torch.float64), torch.tensor([0.3, -0.2, 1.0]).double())
    if wide:
        inputs = (x * 1e12, *inputs[1:])
    inputs = tuple(value.requires_grad_() for value in (value.detach().clone() for value in inputs))
    function = lambda x, p, q: gnp(x, p, q, index, dim_size=4).clamp(min=1e-30).log()[:3]  # noqa: E731
    assert gradcheck(function, inputs, eps=1e-7, atol=1e-4)
    if not wide:
        assert gradgradcheck(function, inputs, eps=1e-6, atol=1e-4)


def test_border_rules_have_no_derivatives():
    x = torch.tensor([[0.0], [2.0], [0.0], [0.0]], dtype=torch.float64, requires_grad=True)
    for p, used in ((-2.0, [False, False, False]), (2.0, [True, False, False])):
        exponents = torch.tensor([[p], [0.5]], dtype=torch.float64).unbind()
        p_, q_ = (value.clone().requires_grad_() for value in exponents)
        out = gnp(x, p_, q_, torch.tensor([0, 0, 1, 1]), dim_size=3)
        assert (out[:, 0] > 0).tolist() == used
        gradients = torch.autograd.grad(out.sum(), (x, p_, q_))
        assert all(bool(g.isfinite().all()) for g in gradients)
        assert bool((gradients[2] != 0).any()) == any(used)


def test_one_element_is_its_own_norm():
    x = torch.rand(5, 2) + 0.1
    for p, q in ((3.0, 2.0), (-0.5, -1.0)):
        torch.testing.assert_close(gnp(x, p, q, torch.arange(5)), x)


def test_order_and_other_sets_do_not_matter():
    torch.manual_seed(0)
    x, index, size = some_sets(zeros=True)
    module = GNPAggregation(3, 4, per_channel=True, act="softplus").double()
    out = module(x, index, dim_size=size)
    mixed = torch.randperm(40)
    torch.testing.assert_close(module(x[mixed], index[mixed], dim_size=size), out)
    alone = module(x[index == 4], torch.zeros(int((index == 4).sum()), dtype=torch.long), dim_size=1)
    torch.testing.assert_close(out[4:5], alone)
    far = x.clone()
    far[index == 2] *= 1e30  # makes every set use a scale of its own
    torch.testing.assert_close(module(far, index, dim_size=size)[4:5], alone)
    assert module(x[:0], index[:0], dim_size=3).abs().sum() == 0


def test_a_hub_of_200_000_elements():
    x = torch.rand(200_003, 2, requires_grad=True)
    index = torch.cat([torch.zeros(200_000, dtype=torch.long), torch.tensor([1, 1, 3])])
    module = GNPAggregation(2, 2)
    module(x, index, dim_size=4).sum().backward()
    assert bool(x.grad.isfinite().all())
    torch.testing.assert_close(gnp(x, 1.0, 0.0, index)[0], x[:200_000].sum(0), rtol=1e-4, atol=0)


def test_in_message_passing():
    edge_index = torch.randint(0, 9, (2, 30))
    assert SAGEConv(4, 5, aggr=GNPAggregation(4, 4))(torch.rand(9, 4), edge_index).shape == (9, 5)
    conv = GINEConv(torch.nn.Linear(4, 2), edge_dim=3, aggr=RecurrentAggregation(4, 4))
    assert conv(torch.rand(9, 4), edge_index, torch.rand(30, 3)).shape == (9, 2)


def test_wrong_arguments_are_named():
    x = torch.ones(2, 1)
    with pytest.raises(ValueError, match=r"smallest -3.*relu"):
        gnp(-3 * x, 1.0, 0.0)
    with pytest.raises(ValueError, match="p=0 is a pole"):
        gnp(x, 0.0, 0.0)
    with pytest.raises(ValueError, match="p_min=0"):
        GNPAggregation(2, 2, p_min=0)
    with pytest.raises(ValueError, match="eps=-1"):
        GNPAggregation(2, 2, eps=-1)
    with pytest.raises(ValueError, match="RecurrentAggregation: cell='rnn'"):
        RecurrentAggregation(2, 2, cell="rnn")


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_reads_each_set_alone(cell):
    torch.manual_seed(0)
    module = RecurrentAggregation(3, 4, cell=cell, order="given").double()
    x = torch.randn(11, 3, dtype=torch.float64)
    index = torch.tensor([0, 0, 2, 2, 2, 2, 3, 5, 5, 5, 5])
    out = module(x, index, dim_size=7)
    for number in range(7):
        mine = x[index == number]
        if len(mine) == 0:
            assert bool((out[number] == 0).all())
            continue
        state = module.rnn(mine.unsqueeze(1))[1]
        torch.testing.assert_close(out[number], (state[0] if cell == "lstm" else state)[0, 0])


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_order(cell):
    torch.manual_seed(0)
    module = RecurrentAggregation(3, 4, cell=cell).eval()
    x, index = torch.randint(0, 3, (30, 3)).float(), torch.randint(0, 4, (30,))
    expected = module(x, index, dim_size=5)
    mixed = torch.randperm(30)
    torch.testing.assert_close(module(x[mixed], index[mixed], dim_size=5), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [3, 16])
def test_kernels_give_what_operations_do_whatever_the_threads(dtype, width):
    """Values and gradients, of sets in any order, with zeros, tiny and huge elements, and of empty sets."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(60, width, generator=generator, dtype=dtype)
    x[torch.rand(x.shape, generator=generator) < 0.2] = 0
    x[:2] = torch.tensor([[torch.finfo(dtype).tiny / 4], [1e30]], dtype=dtype)
    index = torch.randint(1, 9, (60,), generator=generator)
    index[:2] = torch.tensor([9, 10])
    p, q = (torch.rand(2, width, generator=generator, dtype=dtype) for _ in range(2))
    p = (p + 0.5) * torch.tensor([[1.0], [-1.0]], dtype=dtype)
    inputs, sets = [each.requires_grad_() for each in (x, p, q)], find_sets(index, None, 12, 60)

    def run(function):
        out = function(*inputs)
        return [out, *torch.autograd.grad(out.clamp(max=1e6).sum(), inputs)]

    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(run(lambda *given: _norms(*given, sets)))
    finally:
        torch.set_num_threads(before)
    rtol = 2e-4 if dtype == torch.float32 else 1e-9
    for one, three, expected in zip(*results, run(_Norms(sets).definition), strict=True):
        assert torch.equal(one, three)
        torch.testing.assert_close(one, expected, rtol=rtol, atol=1e-6)
    with torch.no_grad():
        x[3] = torch.nan
        assert _norms(*inputs, sets).isnan().any(1).tolist() == [k == int(index[3]) for k in range(12)]
