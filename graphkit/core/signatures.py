"""Arguments that a constructor or function takes for another, told in one place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from graphkit.core.docstrings import arguments_of
from graphkit.core.rules import hints_of

F = TypeVar("F", bound=Callable[..., Any])


def takes_arguments_of(other: Callable[..., Any], without: Collection[str] = ()) -> Callable[[F], F]:
    """Decorator: ``**rest`` of a function stands for the arguments of another that the function does not name.

    Signature, ``help``, checks and ``Args:`` tell them as if they were written out, with the other's types and
    defaults: behind the function's own, but before those behind ``*``. All may be given by position, unless the
    other's are for names alone, and ``rest`` holds all of them, given or not.

    Args:
        other: The other function or class, to which ``rest`` is handed on.
        without: Arguments of the other that the function does not take (default: none).

    Example:
        >>> def draw(width: int, height: int = 3, colour: str = "red") -> None: ...
        >>> @takes_arguments_of(draw, without=["height"])
        ... def draw_square(width: int, *, frame: bool = False, **rest: Any) -> Any:
        ...     return rest
        >>> list(inspect.signature(draw_square).parameters), draw_square(2)
        (['width', 'colour', 'frame'], {'colour': 'red'})
    """

    def complete(function: F) -> F:
        signature, theirs = inspect.signature(function), inspect.signature(other).parameters
        own = [p for p in signature.parameters.values() if p.kind != p.VAR_KEYWORD]
        rest = [p for name, p in theirs.items() if name not in (*signature.parameters, *without, "self")]
        behind = [p for p in own if p.kind == p.KEYWORD_ONLY]
        named = [p for p in rest if p.kind == p.KEYWORD_ONLY]
        parameters = [p for p in own if p not in behind] + [p for p in rest if p.kind == p.POSITIONAL_OR_KEYWORD]
        parameters += behind if named else [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in behind]
        names = [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
        parameters += named
        defaults = {p.name: p.default for p in rest if p.default is not p.empty}

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(args) > len(names):
                raise TypeError(f"{function.__qualname__} takes {len(names)} arguments, but {len(args)} were given")
            given = dict(zip(names, args))
            return function(**given, **{name: defaults[name] for name in defaults if name not in given} | kwargs)

        hints = hints_of(other.__init__ if isinstance(other, type) else other)  # type: ignore[misc]
        call.__annotations__ = {p.name: hints[p.name] for p in rest if p.name in hints} | function.__annotations__
        parameters += [p for p in rest if p.kind == p.VAR_KEYWORD]
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return arguments_of(other)(call) if function.__doc__ else call  # type: ignore[return-value]

    return complete
