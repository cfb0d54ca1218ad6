"""What the examples in docstrings need to run in a fresh interpreter."""

from __future__ import annotations

import builtins
import doctest
import inspect
import symtable
import sys
from typing import Any


def missing_imports(docstring: str, module: str) -> list[str]:
    """The import statements that a docstring's examples need beside their own.

    Args:
        docstring: The docstring.
        module: The name of the module that it stands in, whose names the examples may use.

    Returns:
        One line per name; a name that the module does not have gets none.
    """
    names = vars(sys.modules[module])
    lines = [_statement(name, names[name], module) for name in _unknown(docstring) if name in names]
    return sorted(lines, key=lambda line: (line.startswith("from "), line))


def _unknown(docstring: str) -> list[str]:
    """The names that examples use and do not define."""
    code = "".join(example.source for example in doctest.DocTestParser().get_examples(docstring))
    tables = [symtable.symtable(code, "example", "exec")]
    for table in tables:
        tables.extend(table.get_children())
    known = {s.get_name() for s in tables[0].get_symbols() if s.is_assigned() or s.is_imported()}
    used = {s.get_name() for table in tables for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return sorted(used - known - set(dir(builtins)))


def _statement(name: str, value: Any, module: str) -> str:
    """The import of a value from the outermost package below the root that has it."""
    if inspect.ismodule(value):
        return f"import {value.__name__}" + (f" as {name}" if name != value.__name__ else "")
    parts = (getattr(value, "__module__", None) or module).split(".")
    homes = [".".join(parts[:length]) for length in range(min(2, len(parts)), len(parts) + 1)]
    having = (home for home in homes if getattr(sys.modules.get(home), name, None) is value)
    return f"from {next(having, module)} import {name}"
