"""What a package exports, read from its sources: names and docstrings without the seconds that imports take."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

_ROOT = Path(__file__).resolve().parents[2]


class Source(NamedTuple):
    """A class as it is written: where, and how."""

    module: str
    node: ast.ClassDef


def exported_classes(package: str, base: str) -> dict[str, str]:
    """The classes of a package's ``__all__`` that derive from a class and are not abstract, with their docstrings.

    Args:
        package: The package, e.g. ``"graphkit.models"``.
        base: The name of the base class.

    Example:
        >>> "NeighborSampler" in exported_classes("graphkit.samplers", "Sampler")
        True
    """
    found = {name: source for name in _listed(package) if (source := _find(package, name)) is not None}
    members = {name: source for name, source in found.items() if _derives(source, base) and not _abstract(source)}
    return {name: ast.get_docstring(source.node) or "" for name, source in sorted(members.items())}


def _listed(package: str) -> list[str]:
    """``__all__``."""
    assigned = [node for node in _parsed(package).body if isinstance(node, ast.Assign)]
    return next(ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "__all__")


@cache
def _parsed(module: str) -> ast.Module:
    path = _ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _find(module: str, name: str) -> Source | None:
    """The class that a name means in a module of graphkit; ``None`` if it is none, or not of graphkit."""
    for node in _parsed(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Source(module, node)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("graphkit."):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _find(str(node.module), alias.name)
    return None


@cache
def _bases(source: Source) -> list[Source]:
    names = [base.value if isinstance(base, ast.Subscript) else base for base in source.node.bases]
    found = [_find(source.module, name.id) for name in names if isinstance(name, ast.Name)]
    return [base for base in found if base is not None]


def _derives(source: Source, base: str) -> bool:
    return source.node.name == base or any(_derives(each, base) for each in _bases(source))


def _abstract(source: Source) -> set[str]:
    """The names of abstract methods that nothing fills."""
    methods = [node for node in source.node.body if isinstance(node, ast.FunctionDef)]
    own = {node.name for node in methods if any("abstractmethod" in ast.unparse(d) for d in node.decorator_list)}
    inherited = set[str]().union(*map(_abstract, _bases(source)))
    return own | (inherited - {node.name for node in methods})
