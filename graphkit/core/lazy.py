"""Packages whose members are imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any


def lazy_members(module: MutableMapping[str, Any], members: dict[str, Sequence[str]]) -> Callable[[str], Any]:
    """A package's ``__getattr__``, which also lets ``dir`` know the members.

    No file of the package may be called like a member: it would take the member's place when it is imported.

    Args:
        module: The package's ``globals()``.
        members: The members' names by the file of the package that defines them.

    Example:
        >>> namespace = {"__name__": "graphkit.core"}
        >>> lazy_members(namespace, {"text": ["aligned"]})("aligned") is namespace["aligned"]
        True
    """
    package = module["__name__"]
    places = {name: f"{package}.{file}" for file, names in members.items() for name in names}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module[name] = getattr(importlib.import_module(places[name]), name)
        return module[name]

    module["__dir__"] = lambda: sorted({*module, *places})  # for who lists members: completion, the documentation
    return get
