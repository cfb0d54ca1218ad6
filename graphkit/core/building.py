"""Objects as plain values, by which another process builds equal ones: the class's import path and the arguments."""

from __future__ import annotations

import importlib
import inspect
import numbers
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from torch import nn
from torch_geometric.transforms import BaseTransform

from graphkit.core.config import Configurable
from graphkit.core.validate import unknown_name

T = TypeVar("T")
KEYS = {"class_path", "init_args"}
_TUPLE = "tuple"
_BUILT = (Configurable, nn.Module, BaseTransform)  # what may stand among arguments


class UntoldError(ValueError):
    """An object does not tell how it was built; the message says what and why."""


def build_noted(cls: type[T], arguments: Mapping[str, Any]) -> T:
    """``cls(**arguments)``, which tells its arguments from now on, whatever its class."""
    built = cls(**arguments)
    built._arguments_given = dict(arguments)  # type: ignore[attr-defined]
    return built


def told(value: Any, **changes: Any) -> dict[str, Any]:
    """The class and the arguments of an object, as plain values.

    Args:
        value: A :class:`~graphkit.core.config.Configurable`, what :func:`build_noted` made, or a transform that keeps
            its arguments under their own names, as PyG's do.
        **changes: Arguments that are told otherwise.

    Raises:
        UntoldError: If it is another object, or has such an argument, or nobody can import its class.

    Example:
        >>> from graphkit.training.strategies import ScalableFF
        >>> told(ScalableFF())["class_path"]
        'graphkit.training.strategies.ScalableFF'
    """
    if isinstance(value, Configurable):
        arguments = value.config()
    elif hasattr(value, "_arguments_given"):
        arguments = value._arguments_given
    elif isinstance(value, BaseTransform):
        arguments = _kept_arguments(value)
    else:
        raise UntoldError(f"{type(value).__name__} does not keep the arguments of its constructor")
    owner = type(value).__name__
    return {
        "class_path": import_path(type(value)),
        "init_args": {name: _plain(argument, f"{owner}: {name}") for name, argument in (arguments | changes).items()},
    }


def rebuilt(description: Any, base: type[T] | tuple[type[Any], ...], place: str) -> T:
    """The object that :func:`told` described.

    Nothing but classes derived from ``base``, and modules, transforms and configurable objects among their arguments,
    is built.

    Args:
        description: The class and the arguments.
        base: What the class must derive from.
        place: What messages begin with.

    Raises:
        UntoldError: If there is no such class here, or it takes no such arguments.
    """
    if not isinstance(description, Mapping) or description.keys() != KEYS:
        raise UntoldError(f"{place}: expected class_path and init_args, got {description!r}")
    cls = import_class(description["class_path"], base, place)
    arguments = {name: _value(argument, place) for name, argument in description["init_args"].items()}
    try:
        return cls(**arguments) if issubclass(cls, Configurable) else build_noted(cls, arguments)
    except (TypeError, ValueError) as error:
        raise UntoldError(f"{place}: {description['class_path']} cannot be built as it was ({error})") from error


def import_path(cls: type) -> str:
    """The shortest path by which a class can be imported.

    Raises:
        UntoldError: If it cannot, as a class that a function has defined.
    """
    parts = cls.__module__.split(".")
    for count in range(1, len(parts) + 1):
        module = sys.modules.get(".".join(parts[:count]))
        if getattr(module, cls.__qualname__, None) is cls:
            return f"{'.'.join(parts[:count])}.{cls.__qualname__}"
    raise UntoldError(f"{cls.__qualname__} stands in no module under its name, so nobody can import it")


def import_class(path: str, base: type[T] | tuple[type[Any], ...], place: str) -> type[T]:
    """The class at an import path.

    Raises:
        UntoldError: If there is none, or it does not derive from ``base``.
    """
    module_name, _, name = str(path).rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UntoldError(f"{place}: {path}: cannot import {module_name} here ({error})") from error
    cls = getattr(module, name, None)
    if cls is None:
        fitting = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
        raise UntoldError(f"{place}: {unknown_name(name, sorted(fitting), f'class of {module_name}')}")
    if not (isinstance(cls, type) and issubclass(cls, base)):
        wanted = base if isinstance(base, tuple) else (base,)
        kinds = " or ".join(f"{kind.__module__}.{kind.__qualname__}" for kind in wanted)
        raise UntoldError(f"{place}: {path} is not a subclass of {kinds}")
    return cast(type[T], cls)


def _kept_arguments(transform: BaseTransform) -> dict[str, Any]:
    """The arguments of a transform by its attributes of the same names, if these alone build an equal one."""
    owner, parameters = type(transform).__name__, list(inspect.signature(type(transform)).parameters.values())
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    lost = [name for name in named if not hasattr(transform, name)]
    if lost:
        raise UntoldError(f"{owner} does not keep the argument {lost[0]!r} of its constructor under that name")
    arguments = {name: getattr(transform, name) for name in named}
    try:
        again = type(transform)(**arguments)
    except Exception as error:
        raise UntoldError(f"{owner} cannot be built by what it keeps of its arguments ({error})") from error
    if not _alike(again, transform):
        raise UntoldError(f"{owner} has changed since it was built, or keeps something else than its arguments")
    return arguments


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are of one type and have equal parts."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, BaseTransform | nn.Module):
        return _alike(vars(one), vars(other))
    return bool(np.array_equal(one, other))


def _plain(value: Any, place: str) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list):
        return [_plain(item, place) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [_plain(item, place) for item in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value) and _TUPLE not in value:
        return {key: _plain(item, place) for key, item in value.items()}
    if isinstance(value, _BUILT):
        return told(value)
    raise UntoldError(f"{place} is a {type(value).__name__}, which is no plain value")


def _value(plain: Any, place: str) -> Any:
    if isinstance(plain, list):
        return [_value(item, place) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if plain.keys() == {_TUPLE}:
        return tuple(_value(item, place) for item in plain[_TUPLE])
    if plain.keys() == KEYS:
        return rebuilt(plain, _BUILT, place)
    return {key: _value(item, place) for key, item in plain.items()}
