"""The way onto the pretended device."""

from __future__ import annotations

import contextlib
import functools
import importlib
import types
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, library

from graphkit.testing.device.recording import PretendGraph, PretendStream
from graphkit.testing.device.tensor import (
    NAME,
    Counts,
    MixedDevices,
    PretendMode,
    PretendTensor,
    active,
    execute,
    place,
)


class Gpu(Counts):
    """The pretended device, with what it has counted.

    Attributes:
        device: For ``x.to(device)``.
    """

    device = property(lambda self: torch.device(NAME, 0))

    @contextlib.contextmanager
    def counting(self) -> Iterator[Counts]:
        """Count from here on, apart from what was before.

        Example:
            >>> with pretend_gpu() as gpu:
            ...     x = torch.ones(3, device=gpu.device)
            ...     with gpu.counting() as counts:
            ...         total = float(x.sum())
            >>> total, counts.num_waits
            (3.0, 1)
        """
        counts = Counts()
        active.append(counts)
        try:
            yield counts
        finally:
            active.remove(counts)


def available() -> bool:
    """Whether this torch can take a device written in Python, and has no real GPU that it would stand in the way of."""
    registration = getattr(torch.utils, "backend_registration", None)
    return hasattr(registration, "_setup_privateuseone_for_python_backend") and not torch.cuda.is_available()


@functools.cache
def register() -> None:
    """Tell torch of the device. It stays known to the process, which must not have run a backward pass before.

    Raises:
        RuntimeError: If this torch cannot, or it is too late: autograd makes one thread per device with its first
            backward pass.
    """
    if not available():
        raise RuntimeError("the pretended GPU needs torch 2.13 or later and a machine without a GPU; use the real one")
    registration: Any = torch.utils.backend_registration
    module = _module(registration._DummyBackendModule)
    registration._setup_privateuseone_for_python_backend(NAME, backend_module=module)
    register.kept = everywhere = library.Library("_", "IMPL")  # type: ignore[attr-defined]
    everywhere.fallback(lambda operation, *args, **kwargs: execute(operation, args, kwargs), "PrivateUse1")
    probe = torch.ones(1, device=NAME, requires_grad=True)
    try:
        probe.sum().backward()
    except RuntimeError as error:
        raise RuntimeError(
            "the pretended GPU comes too late: this process has run a backward pass before, and autograd makes its "
            "threads with the first one; call graphkit.testing.device.register() at its start"
        ) from error


def _module(base: type) -> Any:
    """What ``torch.pretend`` has to offer to torch itself."""
    answers: dict[str, Any] = {
        "manual_seed_all": None,  # draws come from the CPU's generator
        "synchronize": None,
        "set_rng_state": None,
        "_is_in_bad_fork": False,
        "device_count": 1,
        "current_device": 0,
        "get_amp_supported_dtype": [torch.float16, torch.bfloat16],
    }
    methods = {name: lambda self, *args, answer=answer: answer for name, answer in answers.items()}
    return type("_Module", (base,), methods | {"get_rng_state": lambda self, device=None: torch.get_rng_state()})()


@contextlib.contextmanager
def pretend_gpu() -> Iterator[Gpu]:
    """A GPU for code that has none: real values, CUDA's rules.

    Inside, ``torch.device`` of the object is a device like CUDA's, and ``Trainer(accelerator="cuda")`` trains on it.

    Raises:
        RuntimeError: See :func:`register`.

    Example:
        >>> import graphkit as gk
        >>> with pretend_gpu() as gpu:
        ...     task = gk.load("karate")
        ...     model = gk.models.GCN.from_task(task, hidden_channels=8)
        ...     result = gk.Trainer(max_epochs=2, accelerator="cuda", progress=False).fit(model, task)
        >>> next(model.parameters()).is_cuda
        True
    """
    register()
    gpu = Gpu()
    lifts_all = torch._C._only_lift_cpu_tensors()
    with contextlib.ExitStack() as stack:
        for target, name, value in _doors():
            stack.enter_context(mock.patch.object(target, name, value))
        active.append(gpu)
        stack.callback(active.remove, gpu)
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch._C._set_only_lift_cpu_tensors, lifts_all)
        stack.enter_context(PretendMode())
        yield gpu


def _doors() -> Iterator[tuple[Any, str, Any]]:
    """What does not go through torch's dispatcher: Fabric's choice of a device, CUDA graphs, compiled extensions."""
    from lightning_fabric.accelerators import CUDAAccelerator

    answers = {
        "is_available": True,
        "auto_device_count": 1,
        "parse_devices": [0],
        "get_parallel_devices": [torch.device(NAME, 0)],
        "setup_device": None,
        "teardown": None,
    }
    for name, answer in answers.items():
        yield CUDAAccelerator, name, staticmethod(lambda *args, answer=answer: answer)
    yield torch.cuda, "CUDAGraph", PretendGraph
    yield torch.cuda, "graph", PretendGraph.recording
    yield torch.cuda, "Stream", PretendStream
    yield torch.cuda, "current_stream", PretendStream
    yield torch.cuda, "stream", contextlib.nullcontext
    try:
        scatter = importlib.import_module("torch_scatter")
    except ImportError:
        return
    stand_in = _scatter_stand_in(scatter)
    yield importlib.import_module("graphkit.ops.backend"), "_torch_scatter", lambda: stand_in
    for name in ("_scatter", "_segment"):  # PyG takes it for CUDA tensors
        yield importlib.import_module(f"torch_geometric.utils.{name}"), "torch_scatter", stand_in


def _scatter_stand_in(real: Any) -> Any:
    """The functions of ``torch_scatter`` that PyG and graphkit call, for tensors of both devices."""

    def is_ours(name: str, *tensors: Tensor | None) -> bool:
        kinds = {isinstance(tensor, PretendTensor) for tensor in tensors if tensor is not None}
        if len(kinds) == 2:
            raise MixedDevices(f"torch_scatter.{name}: tensors on cuda:0 and cpu ({place()})")
        if kinds == {True} and active:
            active[-1].operations[f"torch_scatter.{name}"] += 1
        return kinds == {True}

    def scatter(
        src: Any, index: Any, dim: int = -1, out: Any = None, dim_size: int | None = None, reduce: str = "sum"
    ) -> Any:
        if not is_ours("scatter", src, index, out):
            return real.scatter(src, index, dim, out, dim_size, reduce)
        dim = dim % src.dim()
        if index.dim() == 1:
            index = index.view([-1 if d == dim else 1 for d in range(src.dim())])
        size = list(src.shape)
        size[dim] = dim_size if dim_size is not None else int(index.max()) + 1 if index.numel() > 0 else 0
        name = {"add": "sum", "max": "amax", "min": "amin", "mul": "prod"}.get(reduce, reduce)
        return src.new_zeros(size).scatter_reduce(dim, index.expand_as(src), src, name, include_self=name == "sum")

    def segment_csr(src: Any, indptr: Any, out: Any = None, reduce: str = "sum") -> Any:
        if not is_ours("segment_csr", src, indptr, out):
            return real.segment_csr(src, indptr, out, reduce)
        dim, length = indptr.dim() - 1, indptr.size(-1) - 1
        index = torch.repeat_interleave(indptr.diff().flatten(), output_size=src.size(dim))
        return scatter(src, index, dim, None, length, reduce)

    return types.SimpleNamespace(scatter=scatter, segment_csr=segment_csr)
