"""Where results are: with the graph. What is computed on the CPU alone goes there and comes back."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch_geometric.data import Data

P = ParamSpec("P")
R = TypeVar("R")
CPU = torch.device("cpu")


def device_of(values: Iterable[Any]) -> torch.device:
    """The device of the first tensor among values, in graphs and lists too; the CPU if there is none."""
    return next((device for device in map(_device, values) if device is not None), CPU)


def moved(value: Any, device: torch.device) -> Any:
    """Tensors, graphs, and what holds them, on a device; the graphs are copied, everything else stays as it is."""
    if isinstance(value, Data):
        return copy.copy(value).to(str(device))
    if isinstance(value, list | tuple):
        return type(value)(moved(each, device) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {part.name: moved(getattr(value, part.name), device) for part in dataclasses.fields(value)}
        return dataclasses.replace(value, **parts)
    return value.to(device) if isinstance(value, Tensor) else value


def read(*numbers: Tensor) -> list[int]:
    """Whole numbers and truth values for the host, which waits for a device once for all of them and all asked for."""
    return Asked(numbers).values


class Asked:
    """Whole numbers and truth values that the host will want: read with the next ones, else when first looked at.

    Whoever knows of two questions asks the first of them before the second is read, and the host waits once.

    Args:
        numbers: Single numbers, or tensors of them, all on one device.

    Example:
        >>> ids = torch.tensor([3, 0, 2])
        >>> asked = Asked([ids.min(), ids.max()])
        >>> asked.values
        [0, 3]
    """

    def __init__(self, numbers: Sequence[Tensor]) -> None:
        self._device = numbers[0].device
        self._values: list[int] | None = None
        if self._device == CPU:
            self._values = [int(one) for number in numbers for one in (number.flatten() if number.dim() else (number,))]
            return
        self._numbers = [number.long().flatten() for number in numbers]
        _unread.add(self)

    @property
    def values(self) -> list[int]:
        """The numbers."""
        if self._values is None:
            together = [self, *(asked for asked in _unread if asked is not self and asked._device == self._device)]
            values = iter(torch.cat([number for asked in together for number in asked._numbers]).tolist())
            for asked in together:
                _unread.discard(asked)
                asked._values = list(itertools.islice(values, sum(number.numel() for number in asked._numbers)))
                asked._numbers = []
        return self._values  # type: ignore[return-value]


def ask_ahead(ask: Callable[[Tensor], Asked], given: Tensor) -> None:
    """Ask a device what will be wanted of a tensor; the CPU answers when it is wanted."""
    if given.device != CPU:
        ask(given)


_unread: weakref.WeakSet[Asked] = weakref.WeakSet()  # what nobody wants any more is not read


def on_cpu(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of tensors or graphs compute on the CPU, and bring its result to the device of the first of them.

    Example:
        >>> @on_cpu
        ... def half(x):
        ...     return torch.from_numpy(x.numpy() / 2)
        >>> half(torch.tensor([1.0]))
        tensor([0.5000])
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        device = device_of([*args, *kwargs.values()])
        if device == CPU:
            return function(*args, **kwargs)
        there = {name: moved(value, CPU) for name, value in kwargs.items()}
        return moved(function(*moved(args, CPU), **there), device)

    return run


def _device(value: Any) -> torch.device | None:
    if isinstance(value, Tensor):
        return value.device
    parts = value.to_dict().values() if isinstance(value, Data) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        if (device := _device(part)) is not None:
            return device
    return None
