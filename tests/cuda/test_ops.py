"""The same results on a GPU, through torch-scatter where it is installed and through torch alone."""

from unittest import mock

import pytest
import torch

from graphkit import ops
from graphkit.ops import backend

REDUCTIONS = ["sum", "mean", "max", "min", "logsumexp"]


@pytest.fixture(params=["auto", "torch", "torch_scatter"], autouse=True)
def kernels(request):
    if request.param != "auto" and not backend.available()[request.param]:
        pytest.skip(f"{request.param} is not installed")
    with backend.use_backend(request.param):
        yield


def inputs(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, dtype=torch.float64, generator=generator).round(decimals=1) for shape in shapes]


def run(function, tensors, device):
    """Output, first and second derivatives on a device, brought back to the CPU."""
    tensors = [tensor.to(device).requires_grad_() for tensor in tensors]
    out = function(*tensors)
    first = torch.autograd.grad(out.sin().sum(), tensors, create_graph=True)
    plain = torch.autograd.grad(function(*tensors).sin().sum(), tensors)
    second = torch.autograd.grad(sum(grad.square().sum() for grad in first), tensors)
    return [tensor.detach().cpu() for tensor in (out, *first, *plain, *second)]


def assert_same_on(device, function, *tensors):
    for ours, expected in zip(run(function, tensors, device), run(function, tensors, "cpu"), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def edges():
    return torch.randint(40, (2, 300), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])
def test_spmm(device, reduce):
    per_device = {place: edges().to(place) for place in (torch.device("cpu"), device)}
    x, weight = inputs((40, 8), (300,))
    assert_same_on(device, lambda x, w: ops.spmm(per_device[x.device], x, w, reduce), x, weight)


def test_sddmm_block_spmm_and_gcn_norm(device):
    per_device = {place: edges().to(place) for place in (torch.device("cpu"), device)}
    a, b, blocks, x, weight = inputs((40, 8), (40, 8), (300, 3, 2), (40, 2, 4), (300,))
    assert_same_on(device, lambda a, b: ops.sddmm(per_device[a.device], a, b), a, b)
    assert_same_on(device, lambda b, x: ops.block_spmm(per_device[b.device], b, x), blocks, x)
    assert_same_on(device, lambda w, x: ops.gcn_norm(per_device[w.device], w, size=40) @ x, weight.abs() + 0.1, a)


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("is_sorted", [True, False])
def test_scatter(device, reduce, is_sorted):
    index = edges()[0].sort().values if is_sorted else edges()[0]
    (src,) = inputs((300, 5))
    assert_same_on(device, lambda src: ops.scatter(src, index.to(src.device), 45, reduce), src)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_segment(device, reduce):
    ptr = torch.tensor([0, 10, 10, 170, 300])
    (src,) = inputs((300, 5))
    assert_same_on(device, lambda src: ops.segment(src, ptr.to(src.device), reduce), src)


def test_softmax(device):
    index, ptr = edges()[0], torch.tensor([0, 10, 10, 170, 300])
    (src,) = inputs((300, 5))
    assert_same_on(device, lambda src: ops.softmax(src, index.to(src.device), dim_size=45), src)
    assert_same_on(device, lambda src: ops.softmax(src, ptr=ptr.to(src.device)), src)


def test_torch_scatter_is_chosen_where_it_is_installed(device):
    pytest.importorskip("torch_scatter")
    src, ptr = torch.ones(4, 2, device=device), torch.tensor([0, 1, 4], device=device)
    kernel = mock.Mock(wraps=backend._torch_scatter().segment_csr)
    with backend.use_backend("auto"), mock.patch.object(backend._torch_scatter(), "segment_csr", kernel):
        ops.segment(src, ptr)
    assert kernel.called


def test_moving_matrices(device):
    matrix = ops.gcn_norm(edges(), size=40)
    moved = matrix.to(device)
    assert moved.device == device
    assert moved.to(device.type) is moved.to(device) is moved
    torch.testing.assert_close(moved.to_dense().cpu(), matrix.to_dense())
