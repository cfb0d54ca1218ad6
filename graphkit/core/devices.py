"""Where results are: with the graph. What is computed on the CPU alone goes there and comes back."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterable
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
    """Whole numbers and truth values for the host, which waits for a device once for all of them."""
    if numbers[0].device == CPU:
        return [int(number) for number in numbers]
    return torch.stack([number.long() for number in numbers]).tolist()


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
    if isinstance(value, Data):
        return next((part.device for part in value.to_dict().values() if isinstance(part, Tensor)), None)
    if isinstance(value, list | tuple):
        return next((device for device in map(_device, value) if device is not None), None)
    return None
