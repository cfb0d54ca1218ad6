"""Roots and eigenvectors of small matrices on a GPU: those of the CPU, for which the host does not wait."""

import pytest
import torch

from graphkit.nn.sheaf import inverse_sqrt
from graphkit.nn.sheaf.eigenvectors import eigh


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 13])
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
        low = b[:, :, : (size + 1) // 2]
        b = low @ low.mT
    cut = 1e-9 if kind == "singular" else 0.0
    results = []
    for place in ("cpu", gpu.device):
        leaf = b.to(place).requires_grad_()
        with gpu.counting() as counts:
            out = inverse_sqrt(leaf, cut)
            grad = torch.autograd.grad((out * out.detach().cos()).sum(), leaf)[0]
        results.append((out.detach().cpu(), grad.cpu()))
    assert counts.num_waits == 0, str(counts)
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [2, 3, 6, 9, 16])
def test_eigenvectors(size, dtype, device):
    x = torch.randn(200, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    graded = torch.linalg.qr(x)[0] * 10 ** torch.linspace(0, -3, size, dtype=torch.float64)
    for b in (x + x.mT, x @ x.mT, graded @ torch.linalg.qr(x)[0].mT, 0 * x):
        b = b.to(dtype)
        values, vectors = (part.cpu() for part in eigh(b.to(device)))
        size_of = 20 * torch.finfo(dtype).eps * (1 + torch.linalg.matrix_norm(b).amax())
        expected = torch.linalg.eigvalsh(b)
        torch.testing.assert_close(values.sort().values, expected, rtol=0, atol=float(size_of))
        torch.testing.assert_close((vectors * values.unsqueeze(1)) @ vectors.mT, b, rtol=0, atol=float(size_of))
        identity = torch.eye(size, dtype=dtype).expand_as(b)
        torch.testing.assert_close(vectors.mT @ vectors, identity, rtol=0, atol=100 * torch.finfo(dtype).eps)
