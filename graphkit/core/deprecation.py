"""Old public names, which warn for one release."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any

REMOVAL = "0.3"


def warn_renamed(old: str, new: str, stacklevel: int = 3) -> None:
    """Say once per place that a name has changed; the place is so many calls above (default: 3)."""
    warnings.warn(f"{old} is now {new}; the old name goes in graphkit {REMOVAL}", FutureWarning, stacklevel)


def renamed_members(module: Mapping[str, Any], names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that answers to the old names of its members with a warning.

    Args:
        module: The module's ``globals()``.
        names: The new name by the old one.

    Example:
        >>> __getattr__ = renamed_members(globals(), {"old": "__name__"})
        >>> with warnings.catch_warnings(action="ignore"):
        ...     __getattr__("old") == __name__
        True
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}")
        warn_renamed(f"{module['__name__']}.{name}", names[name])
        return getattr(sys.modules[module["__name__"]], names[name])

    return get


class RenamedAttribute:
    """A class attribute or method under its old name, read with a warning.

    Args:
        new: The new name, also of a field of an attribute (``"reads.x"``).
    """

    def __init__(self, new: str) -> None:
        self.new = new

    def __set_name__(self, owner: type, name: str) -> None:
        self.old = name

    def __get__(self, instance: Any, owner: type) -> Any:
        warn_renamed(f"{owner.__name__}.{self.old}", self.new)
        return attrgetter(self.new)(owner if instance is None else instance)


def adopt_renamed(cls: type) -> None:
    """Let what a new class defines under an old name of its base count under the new one, with a warning."""
    for base in cls.__mro__[1:]:
        for old, alias in vars(base).items():
            if isinstance(alias, RenamedAttribute) and old in vars(cls):
                warn_renamed(f"{cls.__name__}.{old}", alias.new)
                name, _, field = alias.new.partition(".")
                value = vars(cls)[old]
                setattr(cls, name, replace(getattr(cls, name), **{field: value}) if field else value)
