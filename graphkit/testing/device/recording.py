"""CUDA graphs on the pretended device: operations are recorded without effect, and replayed on the same tensors."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from graphkit.testing.device import rules
from graphkit.testing.device import tensor as device


class PretendGraph:
    """Stands for ``torch.cuda.CUDAGraph``.

    As on a GPU, what is recorded has no effect until it is replayed, numbers of the host stay what they were, and no
    operation may wait for the device. A result whose shape depends on values is refused.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[[], Any], dict[int, Tensor]]] = []  # with results that are no views, by place
        self._before: dict[int, tuple[Tensor, Tensor]] = {}

    def record(self, operation: Any, compute: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Compute an operation, remember how, and what its operands were where it writes into them."""
        operands = _tensors((args, kwargs))
        for operand in _written(operation, args, kwargs):
            self._before.setdefault(id(operand), (operand, operand.clone()))
        out = compute(*args, **kwargs)
        known = {_storage(operand) for operand in operands.values()}
        results = {place: result for place, result in _tensors(out).items() if _storage(result) not in known}
        if results or operation._schema.is_mutable:
            self._steps.append((functools.partial(compute, *args, **kwargs), results))
        return out

    def replay(self) -> None:
        """Compute everything again, into the tensors of the recording."""
        for compute, results in self._steps:
            again = _tensors(compute())
            for place, result in results.items():
                if result.shape != again[place].shape:
                    raise RuntimeError(f"a CUDA graph has fixed shapes; {result.shape} became {again[place].shape}")
                result.copy_(again[place])

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record what happens here, and take it back at the end."""
        drawn = torch.get_rng_state()
        device.recorders.append(self)
        try:
            yield
        finally:
            device.recorders.remove(self)
            for operand, value in reversed(self._before.values()):  # a view was seen before its base
                operand.copy_(value)
            torch.set_rng_state(drawn)


class PretendStream:
    """Stands for ``torch.cuda.Stream``: operations of the pretended device are done when they return."""

    def wait_stream(self, other: PretendStream) -> None:
        """Nothing to wait for."""


def _tensors(tree: Any) -> dict[int, Tensor]:
    return {place: leaf for place, leaf in enumerate(tree_leaves(tree)) if isinstance(leaf, Tensor)}


def _written(operation: Any, args: Any, kwargs: dict[str, Any]) -> Iterator[Tensor]:
    """What an operation writes into."""
    given, name = dict(enumerate(args)) | kwargs, operation._schema.name.partition("::")[2]
    silent = rules.SILENT_WRITES.get(name, ())
    for place, argument in enumerate(operation._schema.arguments):
        if argument.name in silent or (argument.alias_info is not None and argument.alias_info.is_write):
            yield from _tensors(given.get(argument.name, given.get(place))).values()


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr() if value.layout == torch.strided else id(value)
