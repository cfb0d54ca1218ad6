"""Pages of the reference by family, each with a table of contents."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles

FEW = 4  # so many names need no table of contents


class Family(Directive):
    """``.. family:: graphkit.models sheaf core.reads``: what the room exports that is defined in these modules."""

    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        room, *modules = " ".join(self.arguments).split()
        found = members(room, modules)
        if not found:
            raise self.error(f"{room} exports nothing of {', '.join(modules)}")
        lines = contents(room, found)
        for name, member in found.items():
            lines += [f".. auto{'class' if isinstance(member, type) else 'function'}:: {room}.{name}", ""]
        container = nodes.section()
        container.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, source="generated"), container)
        return container.children


def members(room: str, modules: Sequence[str]) -> dict[str, Any]:
    """What a room exports that is defined in some of its modules, or of graphkit's where a name has a dot."""
    places = [f"graphkit.{module}." if "." in module else f"{room}.{module}." for module in modules]
    everything = exported(importlib.import_module(room))
    return {name: one for name, one in everything.items() if f"{one.__module__}.".startswith(tuple(places))}


def exported(module: Any) -> dict[str, Any]:
    """The classes and functions that a module exports and documents."""
    members = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return {
        name: member
        for name, member in members.items()
        if (isinstance(member, type) or inspect.isroutine(member)) and inspect.getdoc(member)
    }


def contents(room: str, names: Iterable[str]) -> list[str]:
    """A paragraph of links."""
    links = [f":py:obj:`~{room}.{name}`" for name in names]
    return ["", f"**On this page:** {', '.join(links)}", ""] if len(links) > FEW else []


def add_contents(app: Any, what: str, name: str, target: Any, options: Any, lines: list[str]) -> None:
    """Say after the text of a module what it exports, if its members follow."""
    if what == "module" and "no-members" not in options:
        lines += contents(name, exported(target))


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("family", Family)
    app.connect("autodoc-process-docstring", add_contents, priority=900)
    return {"parallel_read_safe": True}
