"""Messages in the words of the shell: where an error says ``norm='row'``, the flag is ``--model.norm row``."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

_VALUE = r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\{[^}]*\}|-?[\w.]*\w|"
_ARGUMENT = re.compile(rf"(\bfit\(\.\.\., )?(?<![\w.-])(?<!\w\()([a-z]\w*)=({_VALUE})(?![\w(])(?(1)\))")
_PART = re.compile(r"(?:\btask\.(?:sampled|transform)\()?\bgk\.(features|rewiring|samplers)\.(\w+)(?:\((.*?)\)+)?")
_CLASSES = {"features": "--features", "rewiring": "--rewiring", "samplers": "--sampler"}  # flags that name a class

_UNREADABLE = (SyntaxError, ValueError, TypeError)  # of a value that is no literal
_sources: ContextVar[list[Callable[[], Iterable[str]]]] = ContextVar("sources")


@contextmanager
def shell_words() -> Iterator[None]:
    """Meanwhile one command runs, whose flags :func:`offer` tells."""
    token = _sources.set([])
    try:
        yield
    finally:
        _sources.reset(token)


def offer(flags: Callable[[], Iterable[str]]) -> None:
    """Tell what the running command takes.

    Args:
        flags: Gives its flags once a message needs them.
    """
    if (sources := _sources.get(None)) is not None:
        sources.append(flags)


def in_flags(text: str) -> str:
    """A message whose arguments are flags of the running command, where these have them.

    Args:
        text: What is said in Python.

    Example:
        >>> with shell_words():
        ...     offer(lambda: ["--task.impute", "--overwrite"])
        ...     print(in_flags("fill them by impute='mean', or replace the run by fit(..., overwrite=True)"))
        fill them by --task.impute mean, or replace the run by --overwrite
    """
    if "=" not in text and "gk." not in text:
        return text
    flags: set[str] = set()
    for source in _sources.get([]):
        with suppress(Exception):  # of a configuration that is wrong, which the message tells
            flags.update(source())
    text = _PART.sub(lambda match: _class(match, flags) or match[0], text)
    return _ARGUMENT.sub(lambda match: _argument(match[2], match[3], flags) or match[0], text)


def _argument(name: str, value: str, flags: set[str]) -> str | None:
    """``name=value`` as a flag: the command's own, else that of the only class with such an argument."""
    known = flags - set(_CLASSES.values())
    fitting = [flag for flag in known if flag == f"--{name}"] or [flag for flag in known if flag.endswith(f".{name}")]
    if len(fitting) != 1:
        return None
    [flag] = fitting
    if "." not in flag and value in ("True", "False"):  # of the command itself: there or not there
        return flag if value == "True" else f"no {flag}"
    try:
        return f"{flag} {_word(ast.literal_eval(value))}"
    except _UNREADABLE:  # nothing, [...] or a name that stands for a value
        return flag if value in ("", "[...]") else None


def _class(match: re.Match[str], flags: set[str]) -> str | None:
    """``gk.features.FastRP()`` as a flag."""
    import inspect

    from graphkit.recipes.config import PARTS

    flag = _CLASSES[match[1]]
    if flag not in flags:
        return None
    names = list(inspect.signature(PARTS[flag[2:]][0].get(match[2])).parameters)
    try:
        call: Any = ast.parse(f"call({match[3] or ''})", mode="eval").body
        given = [*zip(names, call.args), *((each.arg, each.value) for each in call.keywords)]
        arguments = [f"{flag}.{name} {_word(ast.literal_eval(value))}" for name, value in given]
    except _UNREADABLE:
        return None
    return " ".join([f"{flag} {match[2]}", *arguments])


def _word(value: Any) -> str:
    """A value as the shell takes it."""
    return shlex.quote(value if isinstance(value, str) else json.dumps(value))
