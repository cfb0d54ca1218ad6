"""Group reductions and softmax against one group at a time, and the same from every backend."""

import contextlib
import sys
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit import ops
from graphkit.ops import backend

REDUCTIONS = ["sum", "mean", "max", "min", "logsumexp"]


@st.composite
def groups(draw):
    """Rows of up to three dimensions with ties, a group for each, and the number of groups."""
    num_groups = draw(st.integers(1, 6))
    index = torch.tensor(draw(st.lists(st.integers(0, num_groups - 1), max_size=20)), dtype=torch.int64)
    shape = draw(st.sampled_from([(), (3,), (2, 2)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    src = torch.randn(index.numel(), *shape, generator=generator, dtype=torch.float64)
    if draw(st.booleans()):
        src = src.round()
    return src, index.sort().values if draw(st.booleans()) else index, num_groups


def oracle(src, index, num_groups, reduce):
    rows = []
    for group in range(num_groups):
        members = src[index == group]
        if members.size(0) == 0:
            rows.append(0 * src.sum(0))
        elif reduce == "logsumexp":
            rows.append(members.logsumexp(0))
        else:
            rows.append(getattr(members, {"max": "amax", "min": "amin"}.get(reduce, reduce))(0))
    return torch.stack(rows)


@contextlib.contextmanager
def using(name):
    """A backend by name, or ``"compiled"``: graphkit's own kernels, whatever the size."""
    if name == "compiled":
        with mock.patch.object(backend, "LARGE", 0):
            yield
    else:
        with backend.use_backend(name):
            yield


def installed(name):
    if name not in ("auto", "compiled") and not backend.available()[name]:
        pytest.skip(f"{name} is not installed")
    return name


def with_gradient(function, src):
    src = src.clone().requires_grad_()
    out = function(src)
    seed = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view(out.shape)
    return out.detach(), *torch.autograd.grad(out, src, seed, materialize_grads=True)


def assert_same(ours, expected):
    for mine, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["auto", "torch", "torch_scatter", "compiled"])
@pytest.mark.parametrize("reduce", REDUCTIONS)
@settings(max_examples=25, deadline=None)
@given(data=groups())
def test_scatter_and_segment_equal_the_oracle(name, reduce, data):
    installed(name)
    src, index, num_groups = data
    with using(name):
        expected = with_gradient(lambda src: oracle(src, index, num_groups, reduce), src)
        assert_same(with_gradient(lambda src: ops.scatter(src, index, num_groups, reduce), src), expected)
        order = index.argsort(stable=True)
        ptr = torch.nn.functional.pad(torch.bincount(index, minlength=num_groups).cumsum(0), (1, 0))
        expected = with_gradient(lambda src: oracle(src, index[order], num_groups, reduce), src[order])
        assert_same(with_gradient(lambda src: ops.segment(src, ptr, reduce), src[order]), expected)


@pytest.mark.parametrize("name", ["torch", "torch_scatter", "compiled"])
@settings(max_examples=25, deadline=None)
@given(data=groups())
def test_softmax_equals_the_oracle(name, data):
    installed(name)
    src, index, num_groups = data

    def one_by_one(src):
        out = torch.zeros_like(src)
        for group in range(num_groups):
            members = index == group
            out[members] = src[members].softmax(0)
        return out

    with using(name):
        ours = with_gradient(lambda src: ops.softmax(src, index, dim_size=num_groups), src)
    assert_same(ours, with_gradient(one_by_one, src))


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("is_sorted", [True, False])
def test_backends_agree_on_many_rows(reduce, is_sorted):
    """Many ties and rows, with first and second derivatives."""
    installed("torch_scatter")
    generator = torch.Generator().manual_seed(0)
    src = torch.randn(20_000, 32, generator=generator, dtype=torch.float64).mul_(3).round_().requires_grad_()
    index = torch.randint(3000, (20_000,), generator=generator) + 5
    index = index.sort().values if is_sorted else index
    results = []
    for name in ("torch", "torch_scatter", "compiled"):
        with using(name):
            out = ops.scatter(src, index, 3010, reduce)
            (first,) = torch.autograd.grad(out.sin().sum(), src, create_graph=True)
            (plain,) = torch.autograd.grad(ops.scatter(src, index, 3010, reduce).sin().sum(), src)
            (second,) = torch.autograd.grad(first.square().sum(), src)
            results.append((out.detach(), first.detach(), plain, second))
    for result in results:
        assert_same(result, results[0])
        assert_same(result[1:2], result[2:3])


def test_empty_groups_give_zero_and_ties_share():
    src = torch.tensor([2.0, 2.0, 1.0], requires_grad=True)
    for reduce in REDUCTIONS:
        assert ops.scatter(src, torch.tensor([1, 1, 1]), 3, reduce)[[0, 2]].tolist() == [0.0, 0.0]
    ops.scatter(src, torch.tensor([0, 0, 0]), reduce="max").sum().backward()
    assert src.grad.tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_no_rows(reduce):
    src = torch.empty(0, 3, requires_grad=True)
    empty = torch.empty(0, dtype=torch.int64)
    out = ops.scatter(src, empty, 2, reduce)
    out.sum().backward()
    assert out.tolist() == [[0.0] * 3] * 2
    assert src.grad.shape == (0, 3)
    assert ops.scatter(src, empty, reduce=reduce).shape == (0, 3)
    assert ops.segment(src, torch.tensor([0, 0]), reduce).tolist() == [[0.0] * 3]
    assert ops.softmax(src, empty).shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_and_infinite_values(dtype):
    index = torch.tensor([0, 0, 1, 1, 2, 3, 3])
    src = torch.tensor([1e4, 1e4 - 1, -1e4, -1e4, -torch.inf, torch.inf, 0.0], dtype=dtype)
    out = ops.scatter(src, index, 4, "logsumexp")
    expected = torch.stack([src[index == group].logsumexp(0) for group in range(4)])
    torch.testing.assert_close(out, expected)
    finite = ops.softmax(src[:5], index[:5])
    torch.testing.assert_close(finite[:4], torch.cat([src[:2].softmax(0), src[2:4].softmax(0)]))
    assert finite[4] == 0  # a group of minus infinities


def test_softmax_is_accurate_when_one_group_is_far_below_another():
    src = torch.tensor([0.0, -30.0, -31.0])
    out = ops.softmax(src, torch.tensor([0, 1, 1]))
    torch.testing.assert_close(out[1:], src[1:].softmax(0), rtol=1e-6, atol=0)
    src = torch.tensor([0.0, -300.0, -301.0])
    torch.testing.assert_close(ops.softmax(src, torch.tensor([0, 1, 1]))[1:], src[1:].softmax(0), rtol=1e-6, atol=0)


def test_integers_can_be_added_and_compared():
    src, index = torch.tensor([3, 1, 2]), torch.tensor([0, 1, 1])
    assert ops.scatter(src, index).tolist() == [3, 3]
    assert ops.scatter(src, index, 3, "max").tolist() == [3, 2, 0]
    assert ops.segment(src, torch.tensor([0, 1, 3]), "min").tolist() == [3, 1]


def test_strided_index():
    edges = torch.tensor([[0, 5], [0, 6], [2, 7]])
    assert ops.scatter(torch.ones(3), edges[:, 0], 3).tolist() == [2.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("index", [[0, 0, 2, 2], [2, 0, 2, 0]])
def test_low_precision(dtype, reduce, index):
    src = torch.tensor([1.0, 2.0, 0.5, 4.0], dtype=dtype, requires_grad=True)
    out = ops.scatter(src, torch.tensor(index), 3, reduce)
    out.sum().backward()
    expected = ops.scatter(src.detach().double(), torch.tensor(index), 3, reduce)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.scatter(torch.ones(3), torch.tensor([0, 1])), ValueError, r"index has shape \[2\].*\[3\]"),
        (lambda: ops.scatter(torch.ones(2, 2), torch.zeros(2, 2).long()), ValueError, r"index has shape \[2, 2\]"),
        (lambda: ops.scatter(torch.ones(2), torch.tensor([0.0, 1.0])), TypeError, "index.long"),
        (lambda: ops.scatter(torch.ones(2), torch.tensor([0, 5]), 3), IndexError, "group 5.*3 groups"),
        (lambda: ops.scatter(torch.ones(2), torch.tensor([0, -1]), 3), IndexError, "-1"),
        (lambda: ops.scatter(torch.ones(2), torch.tensor([0, 1]), reduce="mul"), ValueError, "mul"),
        (lambda: ops.scatter(torch.ones(2).long(), torch.tensor([0, 1]), reduce="mean"), TypeError, "src.float"),
        (lambda: ops.segment(torch.ones(2), torch.tensor([0, 3])), ValueError, "0 to 2"),
        (lambda: ops.segment(torch.ones(2), torch.tensor([0, 2, 1, 2])), ValueError, "rise"),
        (lambda: ops.segment(torch.ones(2), torch.tensor([0.0, 2.0])), ValueError, "int64"),
        (lambda: ops.softmax(torch.ones(2)), ValueError, "exactly one"),
        (lambda: backend.use_backend("numpy").__enter__(), ValueError, "numpy"),
    ],
)
def test_errors_name_value_and_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_missing_backend_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_scatter", None)
    backend._torch_scatter.cache_clear()
    try:
        with pytest.raises(ImportError, match="pip install"), backend.use_backend("torch_scatter"):
            pass
    finally:
        backend._torch_scatter.cache_clear()
