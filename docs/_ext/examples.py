"""Examples of the reference begin with what they import, so that they run when pasted into a fresh interpreter."""

from __future__ import annotations

from typing import Any

from graphkit.core.examples import missing_imports


def add_imports(app: Any, what: str, name: str, target: Any, options: Any, lines: list[str]) -> None:
    """Put the imports that an example takes for granted before its first line."""
    first = next((number for number, line in enumerate(lines) if line.lstrip().startswith(">>> ")), None)
    module = target.__name__ if what == "module" else getattr(target, "__module__", None)
    if first is not None and module is not None:
        indent = lines[first].partition(">>>")[0]
        lines[first:first] = [f"{indent}>>> {line}" for line in missing_imports("\n".join(lines), module)]


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", add_imports, priority=100)  # before napoleon
    return {"parallel_read_safe": True}
