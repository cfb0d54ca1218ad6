"""Arguments that a class or function must refuse, made from the annotations of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from graphkit.core.constraints import place_of
from graphkit.core.rules import hints_of, rule_of

# of all types, below, above and beside what anybody may want, and no name of anything
POOL: tuple[Any, ...] = (
    None,
    True,
    -2,
    -1,
    0,
    0.5,
    1.0,
    1.5,
    -1.5,
    2**70,
    math.nan,
    math.inf,
    -math.inf,
    1j,
    "",
    "no such name",
    "3",
    b"3",
    object(),
    [],
    {},
    (0.5,),
    ("no such name",),
    {"no such name": math.nan},
)


def parameters_of(target: Callable[..., Any]) -> dict[str, Any]:
    """The evaluated annotations of a class's constructor or of a function, by the names of parameters."""
    return hints_of(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]


def bad_arguments(target: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Pairs of a parameter and a value that its annotation excludes.

    Example:
        >>> from graphkit.models import GCN
        >>> ("hidden_channels", 0) in bad_arguments(GCN), ("hidden_channels", 2**70) in bad_arguments(GCN)
        (True, False)
    """
    for name, hint in parameters_of(target).items():
        rule = rule_of(hint)
        if rule is not None:
            yield from ((name, value) for value in POOL if rule.problem(value) is not None)


def check_arguments(target: Callable[..., Any]) -> None:
    """Check that a class (or function) refuses what its annotations exclude, and says which argument is wrong.

    A subclass of graphkit's classes that annotates its constructor does; any other takes
    :func:`graphkit.core.constraints.checked`.

    Args:
        target: The class or function.

    Raises:
        AssertionError: Naming an argument that is accepted, or refused without its name.

    Example:
        >>> from graphkit.models import GCN
        >>> check_arguments(GCN)
    """
    for name, value in bad_arguments(target):
        given = f"{place_of(target)}({name}={value!r})"
        try:
            target(**{name: value})
        except (TypeError, ValueError) as error:
            if not str(error).startswith(f"{place_of(target)}: {name}"):
                raise AssertionError(f"{given} is not told what is wrong with {name!r}: {error}") from error
        else:
            raise AssertionError(f"{given} is accepted, but annotated otherwise")
