"""The same results on a GPU, through torch-scatter where it is installed and through torch alone."""

from unittest import mock

import pytest
import torch

from graphkit import ops
from graphkit.ops import backend

pytestmark = pytest.mark.gpu

REDUCTIONS = ["sum", "mean", "max", "min", "logsumexp"]


@pytest.fixture(params=["auto", "torch", "torch_scatter"])
def name(request):
    if request.param != "auto" and not backend.available()[request.param]:
        pytest.skip(f"{request.param} is not installed")
    with backend.use_backend(request.param):
        yield request.param


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


def assert_same_on_cuda(function, *tensors):
    for ours, expected in zip(run(function, tensors, "cuda"), run(function, tensors, "cpu"), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def edges():
    return torch.randint(40, (2, 300), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min"])
def test_spmm(name, reduce):
    per_device = {device: edges().to(device) for device in ("cpu", "cuda")}
    x, weight = inputs((40, 8), (300,))
    assert_same_on_cuda(lambda x, w: ops.spmm(per_device[x.device.type], x, w, reduce), x, weight)


def test_sddmm_block_spmm_and_gcn_norm(name):
    per_device = {device: edges().to(device) for device in ("cpu", "cuda")}
    a, b, blocks, x, weight = inputs((40, 8), (40, 8), (300, 3, 2), (40, 2, 4), (300,))
    assert_same_on_cuda(lambda a, b: ops.sddmm(per_device[a.device.type], a, b), a, b)
    assert_same_on_cuda(lambda b, x: ops.block_spmm(per_device[b.device.type], b, x), blocks, x)
    assert_same_on_cuda(lambda w, x: ops.gcn_norm(per_device[w.device.type], w, size=40) @ x, weight.abs() + 0.1, a)


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("is_sorted", [True, False])
def test_scatter(name, reduce, is_sorted):
    index = edges()[0].sort().values if is_sorted else edges()[0]
    (src,) = inputs((300, 5))
    assert_same_on_cuda(lambda src: ops.scatter(src, index.to(src.device), 45, reduce), src)


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_segment(name, reduce):
    ptr = torch.tensor([0, 10, 10, 170, 300])
    (src,) = inputs((300, 5))
    assert_same_on_cuda(lambda src: ops.segment(src, ptr.to(src.device), reduce), src)


def test_softmax(name):
    index, ptr = edges()[0], torch.tensor([0, 10, 10, 170, 300])
    (src,) = inputs((300, 5))
    assert_same_on_cuda(lambda src: ops.softmax(src, index.to(src.device), dim_size=45), src)
    assert_same_on_cuda(lambda src: ops.softmax(src, ptr=ptr.to(src.device)), src)


def test_torch_scatter_is_chosen_where_it_is_installed():
    torch_scatter = pytest.importorskip("torch_scatter")
    src, ptr = torch.ones(4, 2, device="cuda"), torch.tensor([0, 1, 4], device="cuda")
    with mock.patch.object(torch_scatter, "segment_csr", wraps=torch_scatter.segment_csr) as kernel:
        ops.segment(src, ptr)
    assert kernel.called


def test_moving_matrices():
    matrix = ops.gcn_norm(edges(), size=40)
    moved = matrix.to("cuda")
    assert moved.device.type == "cuda"
    assert moved.to("cuda") is moved
    torch.testing.assert_close(moved.to_dense().cpu(), matrix.to_dense())
