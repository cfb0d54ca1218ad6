"""Tensors of the pretended device, and what happens when an operation meets one."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from graphkit.testing.device import rules

NAME = "pretend"


class MixedDevices(RuntimeError):
    """What CUDA says of operands on different devices."""


class NoKernel(NotImplementedError):
    """What CUDA says of an operation that torch has for the CPU alone."""


class Counts:
    """How often an operation, a wait or a copy has happened.

    Attributes:
        operations: By name; about the kernels that CUDA would launch.
        waits: Of the host for the device, by the line that asked for it.
        to_device: Copies from the host, by line.
        to_host: Copies to the host, by line; each is a wait, too.
    """

    def __init__(self) -> None:
        self.operations, self.waits = Counter[str](), Counter[str]()
        self.to_device, self.to_host = Counter[str](), Counter[str]()

    @property
    def num_waits(self) -> int:
        """How often the host waits for the device, copies to it included."""
        return self.waits.total() + self.to_host.total()

    @property
    def places(self) -> list[str]:
        """The lines at which it waits."""
        return [*self.waits, *self.to_host]

    def __str__(self) -> str:
        parts = (("waits", self.waits), ("to_host", self.to_host), ("to_device", self.to_device))
        return "\n".join(f"{kind} {n} {where}" for kind, counter in parts for where, n in counter.most_common())


active: list[Counts] = []  # the latest counts
recorders: list[Any] = []  # CUDA graphs that are being recorded


def note(kind: str, what: str) -> None:
    """Count a wait or a copy at the line of the code under test."""
    if recorders:
        raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({what}, {place()})")
    if active:
        getattr(active[-1], kind)[f"{place()} {what}"] += 1


def place() -> str:
    """The innermost line on the stack that is not torch's or the pretended device's: file and number."""
    frame, through = sys._getframe(1), ""
    while frame is not None:
        file = frame.f_code.co_filename
        if "/site-packages/" not in file and "/testing/device/" not in file and not file.startswith("<"):
            short = "/".join(file.rsplit("/", 3)[1:])
            return f"{short}:{frame.f_lineno}{through}"
        if not through and "/site-packages/" in file and "/torch/" not in file:
            through = f" via {file.split('/site-packages/')[-1]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return through or "autograd"


class PretendTensor(Tensor):
    """A tensor that says it is on a CUDA device, around the CPU tensor ``host`` that has its values."""

    host: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls: type[PretendTensor], host: Tensor) -> PretendTensor:
        if host.layout == torch.strided:
            form: dict[str, Any] = {"strides": host.stride(), "storage_offset": host.storage_offset()}
        else:
            form = {"layout": host.layout, "dispatch_layout": True}
        device = torch.device(NAME, 0)
        self = Tensor._make_wrapper_subclass(cls, host.size(), dtype=host.dtype, device=device, **form)
        self.host = host
        return self

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return execute(func, args, kwargs or {})

    is_cuda = property(lambda self: True)
    is_sparse = property(lambda self: self.host.layout == torch.sparse_coo)
    is_sparse_csr = property(lambda self: self.host.layout == torch.sparse_csr)

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
                "first."
            )
        note("to_host", "numpy(force=True)")
        return self.detach().host.numpy()  # type: ignore[attr-defined]

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self.numpy()

    def tolist(self) -> Any:
        note("waits", "tolist")
        return self.host.tolist()

    def data_ptr(self) -> int:
        return self.host.data_ptr()

    def untyped_storage(self) -> Any:
        return self.host.untyped_storage()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return restore, (self.host.detach(), self.requires_grad, isinstance(self, nn.Parameter))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = restore(self.host.detach().clone(), self.requires_grad, getattr(self, "_is_param", False))
        return memo[id(self)]

    def __repr__(self, **kwargs: Any) -> str:  # type: ignore[override]
        return f"pretend({self.host!r})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.dim() == 0 else repr(self)


def restore(host: Tensor, requires_grad: bool, is_parameter: bool) -> Tensor:
    """A tensor or parameter of the device, from a file or a copy."""
    new = PretendTensor(host)
    return nn.Parameter(new, requires_grad) if is_parameter else new.requires_grad_(requires_grad)


torch.serialization.add_safe_globals([restore])  # torch.load(weights_only=True)


class PretendMode(TorchDispatchMode):
    """Sees every operation: those that make tensors on the device name it and have no operand there."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        names_it = device is not None and torch.device(device).type == NAME
        if names_it or any(isinstance(leaf, PretendTensor) for leaf in tree_flatten((args, kwargs))[0]):
            return execute(operation, args, kwargs)
        return operation(*args, **kwargs)


def execute(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Check an operation by the device's rules, count it, and compute it on the host tensors."""
    if operation is torch.ops.prim.layout.default:
        return args[0].host.layout
    name = operation._schema.name.partition("::")[2]
    leaves, spec = tree_flatten((args, kwargs))
    ours = [leaf for leaf in leaves if isinstance(leaf, PretendTensor)]
    device = None if kwargs.get("device") is None else torch.device(kwargs["device"])
    onto = bool(ours) if device is None else device.type == NAME
    if name in rules.COPIES:
        onto = _note_copy(name, args, onto)
    elif ours:
        _refuse(operation, name, args, leaves)
    if onto and any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{operation}: expected a 'cuda' device type for generator but found 'cpu' ({place()})")
    _count(name, args, kwargs)
    hosts = {id(tensor.host): tensor for tensor in ours}
    args, kwargs = tree_unflatten([leaf.host if isinstance(leaf, PretendTensor) else leaf for leaf in leaves], spec)
    if device is not None and device.type == NAME:
        kwargs["device"] = torch.device("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compute = rules.STAND_INS.get(name, operation)
        out = recorders[-1].record(operation, compute, args, kwargs) if recorders else compute(*args, **kwargs)
    if onto:
        return tree_map(
            lambda t: (hosts[id(t)] if id(t) in hosts else PretendTensor(t)) if isinstance(t, Tensor) else t, out
        )
    return out.clone() if ours and out is ours[0].host else out  # a copy to the host must be one


def _note_copy(name: str, args: Any, onto: bool) -> bool:
    """Count what goes over the bus, and say where the result is."""
    target, source = (onto, args[0]) if name == "_to_copy" else (isinstance(args[0], PretendTensor), args[1])
    if isinstance(source, PretendTensor) != target:
        note("to_device" if target else "to_host", f"copy of {args[0].numel()}")
    return target


def _refuse(operation: Any, name: str, args: Any, leaves: list[Any]) -> None:
    """Raise what CUDA raises: for operands of the CPU, and where it has no kernel."""
    strangers = [leaf for leaf in leaves if isinstance(leaf, Tensor) and not isinstance(leaf, PretendTensor)]
    if name in rules.INDEXING and isinstance(args[0], PretendTensor):
        indices = [index for index in args[1] if isinstance(index, Tensor) and not isinstance(index, PretendTensor)]
        for index in indices:
            note("to_device", f"{name} by an index of {index.numel()} on the CPU")
        strangers = [tensor for tensor in strangers if all(tensor is not index for index in indices)]
    if any(tensor.dim() > 0 or name in rules.STRICT for tensor in strangers):
        raise MixedDevices(
            f"{operation}: expected all tensors to be on the same device, but found cuda:0 and cpu ({place()})"
        )
    if not rules.has_cuda_kernel(operation):
        raise NoKernel(f"{operation} has no CUDA kernel ({place()})")


def _count(name: str, args: Any, kwargs: dict[str, Any]) -> None:
    if not active:
        return
    masks = (torch.bool, torch.uint8)
    if name in rules.WAITS or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        note("waits", name)
    elif name in rules.INDEXING and any(isinstance(index, Tensor) and index.dtype in masks for index in args[1]):
        note("waits", f"{name} by a mask")
    if name not in rules.FREE:
        active[-1].operations[name] += 1
