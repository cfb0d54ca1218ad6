"""Docstrings that a class shares with its bases, and a function with its siblings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_ORDER = ("Args", "Shapes", "Raises", "Attributes", "Cost", "Example")
_ENTRY = re.compile(r"^ {4}\**(\w+):((?:.*\n?)(?: {5,}.*\n?|\n)*)", re.MULTILINE)
_SHAPE = re.compile(r"^ {4}- \*\*([\w, ]+):\*\*.*\n?(?: {5,}.*\n?)*", re.MULTILINE)
_DEFAULT = re.compile(r" \(default: [^()]*(?:\([^()]*\)[^()]*)*\)")


def inherit_sections(target: type) -> None:
    """Complete the docstring of a class by those of its bases.

    ``Args:`` gets the arguments that it leaves out, with its own defaults, ``Shapes:`` the entries that it leaves out;
    ``Raises:`` is taken over if there is none. A base tells of its own arguments in ``Args:``, and of those that
    subclasses have in ``Usual arguments:``.

    Args:
        target: The class, whose docstring changes.
    """
    if not target.__doc__:
        return
    text = inspect.cleandoc(target.__doc__)
    bases = [inspect.cleandoc(base.__doc__ or "") for base in target.__mro__[1:]]
    text = _complete_arguments(text, bases, list(inspect.signature(target.__init__).parameters.values())[1:])  # type: ignore[misc]
    for base in filter(None, bases):
        text = _complete_shapes(text, _section(base, "Shapes"))
        if not _section(text, "Raises") and (raises := _section(base, "Raises")):
            text = _with_section(text, "Raises", raises)
    target.__doc__ = text.rstrip()


def arguments_of(*siblings: Callable[..., Any]) -> Callable[[F], F]:
    """Decorator: ``Args:`` of a function tells what those of others tell of the arguments that it leaves out.

    Defaults are the function's own.

    Args:
        siblings: The others; the first one that tells of an argument counts.
    """

    def complete(function: F) -> F:
        texts = [inspect.cleandoc(sibling.__doc__ or "") for sibling in siblings]
        parameters = list(inspect.signature(function).parameters.values())
        function.__doc__ = _complete_arguments(inspect.cleandoc(function.__doc__ or ""), texts, parameters)
        return function

    return complete


def _complete_arguments(text: str, others: Sequence[str], parameters: Sequence[inspect.Parameter]) -> str:
    shared: dict[str, str] = {}
    for other in others:
        shared = _arguments(other) | shared
    own = _arguments(text)
    missing = {p.name: _with_default(shared[p.name], p) for p in parameters if p.name in shared and p.name not in own}
    if not missing:
        return text
    told = missing | own
    return _with_section(text, "Args", "".join(_wrapped(p.name, told[p.name]) for p in parameters if p.name in told))


def _complete_shapes(text: str, of_base: str) -> str:
    own = _section(text, "Shapes")
    told = {match[1]: match[0] for match in _SHAPE.finditer(own)}
    shapes = {match[1]: match[0] for match in _SHAPE.finditer(of_base)}
    if not shapes.keys() - told or (own and not told):  # an own section in words stays
        return text
    return _with_section(text, "Shapes", "".join(part.rstrip() + "\n" for part in (shapes | told).values()))


def _section(text: str, *titles: str) -> str:
    """The content of the sections of these titles."""
    pattern = rf"^(?:{'|'.join(titles)}):\n((?:[ \t]+.*\n?|\n)*)"
    return "".join(match[1] for match in re.finditer(pattern, text, re.MULTILINE))


def _with_section(text: str, title: str, content: str) -> str:
    """The text with a section, in place of the one of this title or before those that follow it."""
    section = f"{title}:\n{content.rstrip()}\n\n"
    if old := _section(text, title):
        return text.replace(f"{title}:\n{old}", section)
    following = "|".join(_ORDER[_ORDER.index(title) + 1 :])
    before, *rest = re.split(rf"^(?=(?:{following}):)", text.rstrip() + "\n\n", maxsplit=1, flags=re.MULTILINE)
    return before + section + "".join(rest)


def _arguments(text: str) -> dict[str, str]:
    """What the sections of arguments say, by name."""
    return {name: " ".join(entry.split()) for name, entry in _ENTRY.findall(_section(text, "Args", "Usual arguments"))}


def _with_default(entry: str, parameter: inspect.Parameter) -> str:
    default: Any = parameter.default
    if default is None:
        return entry
    match default:
        case str():
            shown = f'``"{default}"``'
        case bool():
            shown = f"``{default}``"
        case int() | float():
            shown = f"{default:g}"
        case _:
            return entry
    return f"{_DEFAULT.sub('', entry)[:-1]} (default: {shown})."


def _wrapped(name: str, entry: str) -> str:
    entry = f"    {name}: {entry}"
    return textwrap.fill(entry, 116, subsequent_indent=8 * " ", break_long_words=False, break_on_hyphens=False) + "\n"
