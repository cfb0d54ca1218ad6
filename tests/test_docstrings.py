"""Docstrings say what the signatures say.

Checked for everything public (no name with a leading underscore); every offender is listed at once.

- The docstring begins with a sentence.
- ``Args:`` has each parameter, in order, and no other; a default is told as ``(default: X)`` with the value of the
  signature where that is a number, a string or a boolean (``10 million``, ``1e-7`` and :math:`2^{26}` are numbers).

For what packages export in ``__all__``, further:

- It has a docstring, and ``Args:`` (``Attributes:`` for records) if it takes arguments, or refers to its sibling.
- ``Raises:``, of itself or of its class, names each exception that its own body raises.
- Layers and aggregations have ``Shapes:``.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import math
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import graphkit
from graphkit.testing import discover

Documented = type | Callable[..., Any]

DEFAULT = re.compile(r"\(default: ([^()]*(?:\([^()]*\)[^()]*)*)\)")
EXCEPTIONS_OF_CHECKS = {"AssertionError", "NotImplementedError"}  # contracts between classes, not errors of users


def modules() -> Iterator[Any]:
    """All modules but those whose import runs something or needs Triton."""
    yield graphkit
    for found in pkgutil.walk_packages(graphkit.__path__, "graphkit."):
        if not found.name.endswith("__main__") and not found.name.startswith("graphkit.ops.triton."):
            yield importlib.import_module(found.name)


def members(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods that a class defines itself."""
    for name, value in vars(cls).items():
        function = getattr(value, "__func__", value)  # of class methods and static methods
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, function


def public() -> dict[str, Documented]:
    """Every class, function and method without a leading underscore, where it is defined."""
    found: dict[str, Documented] = {}
    for module in modules():
        for name, value in vars(module).items():
            own = getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
            if own and (inspect.isclass(value) or inspect.isfunction(value)):
                found[f"{module.__name__}.{name}"] = value
                for method, function in members(value) if inspect.isclass(value) else ():
                    found[f"{module.__name__}.{name}.{method}"] = function
    return found


def exported() -> dict[str, Documented]:
    """What packages list in ``__all__``."""
    found: dict[str, Documented] = {}
    for module in modules():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("graphkit"):
                found[f"{value.__module__}.{name}"] = value
    return found


def docstring(what: Documented) -> str:
    """Its own docstring, not one that it inherits."""
    return inspect.cleandoc(what.__doc__ or "")


def section(text: str, title: str) -> dict[str, str]:
    """The entries ``name: text`` of one section."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n)*)", text, re.MULTILINE)
    entries = re.findall(r"^ {4}\**([\w, ]+)(?: \([^)]*\))?:(.*\n?(?: {5,}.*\n?|\n)*)", found[1] if found else "", re.M)
    return {name: " ".join(entry.split()) for name, entry in entries}


def parameters(what: Documented) -> list[inspect.Parameter]:
    """What a caller passes."""
    if inspect.isclass(what) and (issubclass(what, Exception | enum.Enum) or not hasattr(what, "__init__")):
        return []
    found = list(inspect.signature(what).parameters.values())
    return found[1:] if found and found[0].name in ("self", "cls") else found


def same_value(said: str, default: Any) -> bool:
    """Whether a docstring tells a default; words are taken for what is no number, string or boolean."""
    if isinstance(default, str):
        return not default or said.replace("`", "").strip('"').startswith(default)
    if isinstance(default, bool):
        return said.startswith(f"``{default}``")
    if not isinstance(default, int | float) or math.isinf(default):
        return True
    words = said.replace("`", "").replace(",", "").replace("{", "").replace("}", "").replace(":math:", "")
    number = re.match(r"(-?[\d.]+(?:e-?\d+)?)(?:\^(\d+))?( million)?", words)
    return number is not None and float(number[1]) ** int(number[2] or 1) * (1e6 if number[3] else 1) == default


def argument_faults(what: Documented) -> Iterator[str]:
    """What ``Args:`` and the signature disagree about."""
    told, real = section(docstring(what), "Args"), parameters(what)
    if not told:
        return
    if list(told) != [p.name for p in real]:
        yield f"Args: {', '.join(told)}; signature: {', '.join(p.name for p in real)}"
        return
    for parameter in real:
        found = DEFAULT.search(told[parameter.name])
        if parameter.default is parameter.empty:
            if found and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                yield f"{parameter.name} has no default, told is {found[1]}"
        elif not found:
            yield f"{parameter.name}: say (default: {parameter.default!r})"
        elif not same_value(found[1], parameter.default):
            yield f"{parameter.name}: the default is {parameter.default!r}, told is {found[1]}"


def raised(function: Documented) -> set[str]:
    """The exceptions that a function's own body raises."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return {name for name in names if name.endswith(("Error", "Interrupt"))} - EXCEPTIONS_OF_CHECKS


def raises_faults(what: Documented) -> Iterator[str]:
    """Exceptions that no ``Raises:`` tells."""
    of_class = section(docstring(what), "Raises")
    bodies = [("", what)]
    if inspect.isclass(what):
        constructor = vars(what).get("__post_init__" if dataclasses.is_dataclass(what) else "__init__")
        bodies = [("", constructor)] if constructor is not None else []
        bodies += members(what)
    for name, function in bodies:
        told = ", ".join([*of_class, *section(docstring(function), "Raises")])
        untold = raised(function) - set(told.split(", "))
        if untold:
            yield f"{name or 'it'} raises {', '.join(sorted(untold))}: say when"


def faults(what: Documented) -> Iterator[str]:
    """What is wrong with the docstring of something public."""
    text = docstring(what)
    if text and not re.search(r"[.?!:][`\")]*$", text.split("\n\n")[0].rstrip()):
        yield "the first paragraph is no sentence"
    yield from argument_faults(what)


def faults_of_exported(what: Documented) -> Iterator[str]:
    """What is missing in the docstring of something exported."""
    text = docstring(what)
    if not text:
        yield "no docstring"
    elif parameters(what) and not (section(text, "Args") or section(text, "Attributes") or re.search(r":\w+:`", text)):
        yield f"no Args: for {', '.join(p.name for p in parameters(what))}"
    yield from raises_faults(what)


def listed(found: dict[str, list[str]]) -> str:
    """All faults, one per line."""
    return "\n".join(f"{name}: {fault}" for name, several in sorted(found.items()) for fault in several)


def test_docstrings_agree_with_signatures() -> None:
    found = {name: list(faults(what)) for name, what in public().items()}
    assert len(found) > 500
    assert not any(found.values()), "\n" + listed(found)


def test_exported_names_are_documented() -> None:
    found = {name: list(faults_of_exported(what)) for name, what in exported().items()}
    assert len(found) > 150
    assert not any(found.values()), "\n" + listed(found)


def test_layers_tell_shapes() -> None:
    layers = {**discover()["layer"], **discover()["aggregation"]}
    assert [name for name, cls in layers.items() if "\nShapes:\n" not in docstring(cls)] == []


def wrong(x: int, name: str = "a", rate: float = 0.5, flag: bool = True, steps: int = 10_000_000) -> None:
    """A function whose docstring is out of date.

    Args:
        x: A number (default: 3).
        name: A name (default: ``"b"``).
        rate: A rate.
        flag: A switch (default: ``False``).
        steps: A bound (default: 1 million).
    """
    raise ValueError("always")


def right(x: int, rate: float = 1e-7, steps: int = 10_000_000, *rest: int, bound: int = 2**26, **more: int) -> None:
    r"""A function whose docstring is right.

    Args:
        x: A number.
        rate: A rate (default: 1e-7).
        steps: A bound
            (default: 10 million).
        rest: Further numbers (default: none).
        bound: Another one (default: :math:`2^{26}`).
        more: Anything.

    Raises:
        ValueError: Always.
    """
    raise ValueError("always")


def swapped(x: int, y: int) -> None:
    """Arguments in another order

    Args:
        y: The second.
        x: The first.
    """


def test_the_checks_can_fail() -> None:
    assert [fault.split(":")[0].split()[0] for fault in faults(wrong)] == ["x", "name", "rate", "flag", "steps"]
    assert list(faults_of_exported(wrong)) == ["it raises ValueError: say when"]
    assert list(faults(swapped)) == ["the first paragraph is no sentence", "Args: y, x; signature: x, y"]
    assert [*faults(right), *faults_of_exported(right)] == []
