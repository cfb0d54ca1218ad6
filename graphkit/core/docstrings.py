"""Docstrings that a class shares with its bases."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

_SECTION = re.compile(r"^(?:Args|Usual arguments):\n((?:[ \t]+.*\n?|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}\**(\w+):((?:.*\n?)(?: {5,}.*\n?|\n)*)", re.MULTILINE)
_DEFAULT = re.compile(r" \(default: [^()]*(?:\([^()]*\)[^()]*)*\)")


def inherit_arguments(target: type) -> None:
    """Tell in ``Args:`` of a class what its bases tell of the arguments that it leaves out, with its own defaults.

    A base tells of its own arguments in ``Args:``, and of those that subclasses have in ``Usual arguments:``.

    Args:
        target: The class, whose docstring changes.
    """
    if not target.__doc__:
        return
    shared: dict[str, str] = {}
    for base in target.__mro__[1:]:
        shared = _entries(inspect.cleandoc(base.__doc__ or "")) | shared
    text = inspect.cleandoc(target.__doc__)
    own = _entries(text)
    parameters = list(inspect.signature(target.__init__).parameters.values())[1:]  # type: ignore[misc]
    missing = {p.name: _with_default(shared[p.name], p) for p in parameters if p.name in shared and p.name not in own}
    if not missing:
        return
    told = missing | own
    lines = [_wrapped(p.name, told[p.name]) for p in parameters if p.name in told]
    section = "Args:\n" + "".join(lines) + "\n"
    if "Args:\n" in text:
        text = _SECTION.sub(lambda _: section, text, count=1)
    else:
        before, *rest = re.split(r"^(?=(?:Shapes|Raises|Example):\n)", text + "\n\n", maxsplit=1, flags=re.MULTILINE)
        text = before + section + "".join(rest)
    target.__doc__ = text


def _entries(text: str) -> dict[str, str]:
    """What the sections of arguments say, by name."""
    sections = "".join(match[1] for match in _SECTION.finditer(text))
    return {name: " ".join(entry.split()) for name, entry in _ENTRY.findall(sections)}


def _with_default(entry: str, parameter: inspect.Parameter) -> str:
    default: Any = parameter.default
    if default is None:
        return entry
    entry = _DEFAULT.sub("", entry)
    match default:
        case str():
            shown = f'``"{default}"``'
        case bool():
            shown = f"``{default}``"
        case int() | float():
            shown = f"{default:g}"
        case _:
            return entry
    return f"{entry[:-1]} (default: {shown})."


def _wrapped(name: str, entry: str) -> str:
    entry = f"    {name}: {entry}"
    return textwrap.fill(entry, 116, subsequent_indent=8 * " ", break_long_words=False, break_on_hyphens=False) + "\n"
