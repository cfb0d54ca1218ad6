"""Roots of small matrices on a GPU: those of the CPU, for which the host does not wait."""

import pytest
import torch

from graphkit.nn.sheaf import inverse_sqrt


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["random", "repeated", "diagonal", "singular"])
def test_inverse_roots(kind, size, gpu):
    torch.manual_seed(size)
    b = torch.randn(50, size, size, dtype=torch.float64)
    b = b @ b.mT + 0.1 * torch.eye(size)
    if kind == "repeated":
        b = 0 * b + 2 * torch.eye(size)
    elif kind == "diagonal":
        b = torch.diag_embed(torch.arange(size, 0.0, -1)).expand_as(b).double()
    elif kind == "singular":
        b = b[:, :, :1] @ b[:, :1]
    cut = 1e-9 if kind == "singular" else 0.0
    results = []
    for place in ("cpu", gpu.device):
        leaf = b.to(place).requires_grad_()
        with gpu.counting() as counts:
            out = inverse_sqrt(leaf, cut)
            grad = torch.autograd.grad((out * out.detach().cos()).sum(), leaf)[0]
        results.append((out.detach().cpu(), grad.cpu()))
    assert counts.num_waits == (size > 4), str(counts)
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-7, atol=1e-9)
