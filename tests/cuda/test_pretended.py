"""What the pretended GPU promises to catch, planted."""

import numpy as np
import pytest
import torch
from torch import nn

from graphkit.nn import GCNConv
from graphkit.ops import SparsityPattern, sparsity_pattern
from graphkit.testing.device import MixedDevices, NoKernel, check_cuda


class Planted(nn.Module):
    """A layer with a fault."""

    def __init__(self, fault):
        super().__init__()
        self.conv, self.fault = GCNConv(5, 4), fault

    def forward(self, x, edge_index):
        return self.fault(self.conv(x, edge_index), x, edge_index)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad if grad.is_cuda else grad


FAULTS = {
    "a tensor made on the CPU": (lambda out, x, e: out + torch.ones(4, dtype=x.dtype), MixedDevices, "same device"),
    "a gather by ids of the CPU": (
        lambda out, x, e: out.index_select(0, torch.arange(33)),
        MixedDevices,
        "same device",
    ),
    "numpy": (lambda out, x, e: out * float(e.numpy().size > 0), TypeError, "can't convert cuda:0"),
    "an array made of it": (lambda out, x, e: out * float(np.asarray(e).size > 0), TypeError, "can't convert cuda:0"),
    "a generator of the CPU": (
        lambda out, x, e: (
            out * torch.ones(1, dtype=x.dtype, device=x.device).normal_(generator=torch.Generator()) * 0 + out
        ),
        RuntimeError,
        "'cuda' device type for generator",
    ),
    "an operation without a kernel": (
        lambda out, x, e: torch.sparse.mm(sparsity_pattern(e, 33).ones(x.dtype), out, reduce="amax"),
        NoKernel,
        "no CUDA kernel",
    ),
    "a result on the CPU": (lambda out, x, e: out.cpu(), AssertionError, "output is on cpu"),
    "another value in a branch": (lambda out, x, e: out + 1e-3 if x.is_cuda else out, AssertionError, "another output"),
    "another gradient": (lambda out, x, e: Doubled.apply(out), AssertionError, "another x than|another conv"),
    "a pattern on both": (
        lambda out, x, e: out + SparsityPattern(sparsity_pattern(e, 33).rowptr.cpu(), e[0], None, 33).row.sum(),
        MixedDevices,
        "same device",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault, gpu):
    function, error, message = FAULTS[fault]
    with pytest.raises(error, match=message):
        check_cuda(lambda: Planted(function), "layer", gpu.device)


def test_a_sound_layer_passes(gpu):
    check_cuda(lambda: Planted(lambda out, x, e: out[torch.arange(33)]), "layer", gpu.device)  # as CUDA's indexing does


WAITS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.any()),
    "a mask": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
    "equal": lambda x: torch.equal(x, x + 1),
    "repeat_interleave": lambda x: x.repeat_interleave(x.long()),
    "a list": lambda x: x.tolist(),
    "a copy to the host": lambda x: x.cpu(),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_is_counted_at_its_line(name, gpu):
    x = torch.arange(4.0, device=gpu.device)
    with gpu.counting() as counts:
        WAITS[name](x)
    assert counts.num_waits == 1
    assert "cuda/test_pretended.py" in str(counts)


def test_what_does_not_wait(gpu):
    x = torch.arange(4.0, device=gpu.device)
    with gpu.counting() as counts:
        (x * 2 + x[torch.tensor([0, 1], device=gpu.device)].sum()).clamp(min=1).repeat_interleave(2, output_size=8)
    assert counts.num_waits == 0
    assert counts.to_device.total() == 1
    assert counts.operations["mul"] == 1


def test_a_compiled_extension_is_no_hole(gpu):
    torch_scatter = pytest.importorskip("torch_scatter")  # noqa: F841
    from graphkit.ops import backend

    with backend.use_backend("torch_scatter"), pytest.raises(MixedDevices, match=r"torch_scatter\.segment_csr"):
        backend.segment(torch.ones(3, 2, device=gpu.device), torch.tensor([0, 3]), "sum")


def test_draws_repeat_and_files_keep_tensors(gpu, tmp_path):
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(torch.rand(5, device=gpu.device))
    assert torch.equal(*draws)
    torch.save({"a": draws[0]}, tmp_path / "a.pt")
    assert torch.load(tmp_path / "a.pt", weights_only=True)["a"].is_cuda
