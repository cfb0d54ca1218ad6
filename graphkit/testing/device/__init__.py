"""A pretended GPU: what code for CUDA does is seen on machines without one.

A tensor of this device wraps a CPU tensor and says ``is_cuda``. Every operation on it obeys CUDA's rules, is
counted and is computed on the CPU, so that values, gradients and what depends on them are real. It raises, as
CUDA does,

- when tensors of the CPU and the device meet (single numbers and indices of ``x[i]`` may),
- when ``.numpy()`` is called,
- when a generator of the CPU is to draw on the device,
- when torch has no CUDA kernel for an operation.

It counts operations, waits of the host for the device and copies, by file and line, and records CUDA graphs, in which
a wait raises. Blind spots: cuSPARSE's rounding, memory, time, CUDA's autocast, NCCL and several devices, kernels of
Triton and of other compiled extensions (torch stands in for torch-scatter). Those need a real GPU: ``pytest -m gpu``.

torch learns of the device once per process, before the first backward pass: :func:`register`, e.g. in ``conftest.py``.
It needs an interface that is in torch 2.13; :func:`available` tells.
"""

from graphkit.testing.device.compare import check_cuda
from graphkit.testing.device.door import Gpu, available, pretend_gpu, register
from graphkit.testing.device.tensor import Counts, MixedDevices, NoKernel

__all__ = [
    "Counts",
    "Gpu",
    "MixedDevices",
    "NoKernel",
    "available",
    "check_cuda",
    "pretend_gpu",
    "register",
]
