"""What may be passed to a constructor or function: said by the annotations of its parameters, checked as it enters.

An annotation tells the type; ``typing.Annotated`` adds which values. The usual constraints have names::

    def __init__(self, hidden_channels: Count = 64, dropout: Probability = 0.0, conv: Literal["gcn", "gin"] = "gcn")

An ``int`` takes whole numbers but neither ``True`` nor ``2.0``, a ``float`` real numbers but not NaN, a sequence or
mapping what its parts take; numbers of numpy arrive as Python's. ``Any``, and names for type checkers only, are free.
scikit-learn's ``_param_validation`` is the model.
"""

from __future__ import annotations

import functools
import inspect
import math
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from graphkit.core.docstrings import inherit_sections
from graphkit.core.rules import Rule, is_real, rules_of
from graphkit.core.validate import check_choice, suggestion, unknown_name

T = TypeVar("T", bound=Callable[..., Any])
_IMMUTABLE = frozenset({int, float, str, bool, type(None)})


@dataclass(frozen=True)
class Interval:
    """The constraint of numbers between two ends; an infinite end that is excluded leaves finite numbers.

    Args:
        low: The lower end.
        high: The upper end (default: infinity).
        closed: Which ends belong to it: ``"left"``, ``"right"``, ``"both"`` or ``"neither"`` (default: ``"left"``).
        also: A further number and what it stands for (default: none).

    Example:
        >>> Interval(1, also=(-1, "all"))(0), Interval(0, 1)(0.5)
        ('must be at least 1, or -1 for all', None)
    """

    low: float
    high: float = math.inf
    closed: Literal["left", "right", "both", "neither"] = "left"
    also: tuple[int, str] | None = None

    def __post_init__(self) -> None:
        check_choice(self.closed, ("left", "right", "both", "neither"), "value of closed")

    def __call__(self, value: Any) -> str | None:
        """What is wrong with a number."""
        left, right = self.closed in ("left", "both"), self.closed in ("right", "both")
        inside = (value >= self.low if left else value > self.low) and (
            value <= self.high if right else value < self.high
        )
        if inside or (self.also is not None and value == self.also[0]):
            return None
        if math.isinf(value):
            text = "must be finite"
        elif self.high == math.inf:
            above = "positive" if self.low == 0 else f"above {self.low:g}"
            text = f"must be at least {self.low:g}" if left else f"must be {above}"
        else:
            text = f"must be in {'[' if left else '('}{self.low:g}, {self.high:g}{']' if right else ')'}"
        return text if self.also is None else f"{text}, or {self.also[0]} for {self.also[1]}"


@dataclass(frozen=True, eq=False)
class OneOf:
    """The constraint of names that stand in a collection, such as the keys of a table."""

    options: Collection[Any]

    def __call__(self, value: Any) -> str | None:
        """What is wrong with a name."""
        return None if value in self.options else suggestion(value, map(str, self.options))


def not_empty(value: Any) -> str | None:
    """The constraint of sequences that hold something."""
    return None if len(value) else "must not be empty"


def in_a_row(value: Any) -> str | None:
    """The constraint of a list, tuple, array or column of numbers; some may be NaN or infinite."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged, or a tensor that needs gradients
        array = np.empty(())
    numeric = array.dtype.kind in "iuf" or all(map(is_real, array.flat))
    return None if array.ndim == 1 and numeric else "must be numbers in a row"


@functools.lru_cache(256)
def _activation(value: str) -> str | None:
    from torch_geometric.nn.resolver import activation_resolver

    try:
        activation_resolver(value)
    except ValueError:
        return "must be an activation of torch.nn, such as 'relu'"
    return None


Count = Annotated[int, Interval(1)]
NonNegativeInt = Annotated[int, Interval(0)]
Channels = Annotated[int, Interval(1, also=(-1, "the width of the first input"))]
Seed = Annotated[int, Interval(0, 2**32)]
Jobs = Annotated[int, Interval(1, also=(-1, "one per core"))]
Probability = Annotated[float, Interval(0, 1)]
UnitInterval = Annotated[float, Interval(0, 1, "both")]
Share = Annotated[float, Interval(0, 1, "neither")]
Positive = Annotated[float, Interval(0, closed="neither")]
NonNegative = Annotated[float, Interval(0)]
Finite = Annotated[float, Interval(-math.inf, closed="neither")]
Activation = Annotated[str, _activation]
Numbers = Annotated[ArrayLike, in_a_row]


def checked(target: T) -> T:
    """The function, or constructor, with a check of everything that is passed to it.

    Args:
        target: A function, or a class whose ``__init__`` is replaced.

    Example:
        >>> @checked
        ... def halve(rate: Probability) -> float:
        ...     return rate / 2
        >>> halve(1.5)
        Traceback (most recent call last):
        ValueError: halve: rate=1.5, must be in [0, 1)
    """
    if isinstance(target, type):
        target.__init__ = _checked(target.__init__, True)  # type: ignore[misc]
        return target
    return typing.cast(T, _checked(target, False))


class Checked:
    """Mixin: what is passed to the constructor of a class, and of its subclasses, is checked by its annotations.

    Docstrings of subclasses tell what their bases tell of arguments, shapes and errors.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument has a value out of range, or an unknown name.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            checked(cls)
        inherit_sections(cls)


def enforce(target: Callable[..., Any], arguments: Mapping[str, Any], place: str = "") -> None:
    """Check arguments by name without calling what they are meant for, a class or function.

    Args:
        target: The class or function.
        arguments: The arguments.
        place: What messages begin with (default: its name).

    Raises:
        TypeError: If one has a wrong type.
        ValueError: If one has a wrong value; what is unknown or missing is left to the call.
    """
    rules = rules_of(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    for name, value in arguments.items():
        if name in rules:
            rules[name].enforce(place or place_of(target), name, value)


def enforce_config(target: Callable[..., Any], arguments: Mapping[str, Any], place: str = "") -> None:
    """:func:`enforce` for what a file says.

    Raises:
        ValueError: If a type or value is wrong.
    """
    try:
        enforce(target, arguments, place)
    except TypeError as error:
        raise ValueError(str(error)) from None


def place_of(target: Callable[..., Any]) -> str:
    """What messages call a class, a function, or with its class a class method."""
    return target.__qualname__.rpartition("<locals>.")[2]


def _takers(owner: type, name: str) -> str:
    """Which other methods of a class take an argument of this name, in words."""
    methods = [
        place_of(function)
        for method, function in chain.from_iterable(vars(cls).items() for cls in owner.__mro__)
        if inspect.isfunction(function)
        and name in inspect.signature(function).parameters
        and (method == "__init__" or not method.startswith("_"))
        and not function.__module__.startswith("torch")
    ]
    return f" ({name!r} is an argument of {' and '.join(methods).replace('.__init__', '')})" if methods else ""


def _checked(function: Callable[..., Any], is_method: bool) -> Callable[..., Any]:
    place = place_of(function)
    passed: set[tuple[str, type, Any]] = set()  # constructors get the same few numbers and names over and over

    @functools.cache  # at the first call: by then all names are defined
    def told() -> tuple[dict[str, Rule], list[str], list[str], bool]:
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return rules_of(function), names, positional, any(p.kind == p.VAR_KEYWORD for p in parameters)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        known, names, positional, takes_others = told()
        for name, value in chain(zip(positional, args, strict=False), kwargs.items()):
            kind = type(value)
            if kind in _IMMUTABLE and (name, kind, value) in passed:
                continue
            if isinstance(value, np.generic):
                return call(*map(_of_python, args), **{name: _of_python(value) for name, value in kwargs.items()})
            where = type(args[0]).__name__ if is_method else place
            if name in known:
                known[name].enforce(where, name, value)
            elif name not in names and not takes_others:
                own = [each for each in names if each not in ("self", "cls")]
                elsewhere = _takers(type(args[0]), name) if positional[:1] == ["self"] else ""
                raise TypeError(f"{where}: {unknown_name(name, own, 'argument')}{elsewhere}")
            if kind in _IMMUTABLE and len(passed) < 512:
                passed.add((name, kind, value))
        return function(*args, **kwargs)

    return call


def _of_python(value: Any) -> Any:
    """A number of numpy as Python's, which goes wherever a number does; torch's generators take no other."""
    return value.item() if isinstance(value, np.generic) else value
