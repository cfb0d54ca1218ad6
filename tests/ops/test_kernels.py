from __future__ import annotations

import pytest
import torch

from graphkit import ops
from graphkit.ops import backend, kernels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("width", [1, 5, 33])
def test_sampled_product_against_gather(dtype: torch.dtype, threads: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    pattern = ops.sparsity_pattern(torch.randint(40, (2, 300), generator=generator), (50, 45))
    a = torch.randn(45, width, generator=generator, dtype=dtype)
    b = torch.randn(50, width, generator=generator, dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        dots = kernels.sampled(pattern.rowptr, pattern.col, a, b)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(dots, (a[pattern.row] * b[pattern.col]).sum(1))


def test_nan_and_infinity_are_kept() -> None:
    pattern = ops.sparsity_pattern(torch.tensor([[0, 1, 2], [0, 1, 2]]), 3)
    a = torch.tensor([[float("nan"), 1.0], [float("inf"), 1.0], [2.0, 3.0]])
    dots = kernels.sampled(pattern.rowptr, pattern.col, a, torch.ones(3, 2))
    assert dots.isnan().tolist() == [True, False, False]
    assert dots[1:].tolist() == [float("inf"), 5.0]


@pytest.mark.parametrize("large", [backend.LARGE, 0])
def test_extremes_of_nan_infinity_and_signed_zeros(monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(backend, "LARGE", large)
    nan, inf = float("nan"), float("inf")
    src = torch.tensor([[nan, -inf, 0.0], [1.0, -inf, -0.0], [2.0, -1.0, -1.0]], requires_grad=True)
    out = ops.segment(src, torch.tensor([0, 2, 3]), "max")
    out.sum().backward()
    assert out[0, 0].isnan()
    assert out[0, 1:].tolist() == [-inf, 0.0]
    assert out[1].tolist() == [2.0, -1.0, -1.0]
    assert src.grad is not None
    assert src.grad.tolist() == [[0.0, 0.5, 0.5], [0.0, 0.5, 0.5], [1.0, 1.0, 1.0]]


def test_large_products_use_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = kernels.sampled
    monkeypatch.setattr(kernels, "sampled", lambda *arguments: calls.append(1) or real(*arguments))
    monkeypatch.setattr(backend, "LARGE", 100)
    edge_index = torch.randint(20, (2, 60), generator=torch.Generator().manual_seed(0))
    x = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(60, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: ops.spmm(edge_index, x, w, size=20), (x, weight))
    assert torch.autograd.gradgradcheck(lambda x, w: ops.spmm(edge_index, x, w, size=20), (x, weight))
    assert calls
