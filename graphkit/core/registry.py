"""Find classes by name: ``registry.get("gcn")`` is ``GCN``, and a typo is answered with a suggestion."""

from __future__ import annotations

import importlib
import inspect
from functools import cached_property
from typing import Any, Generic, TypeVar

from graphkit.core.validate import unknown_name

T = TypeVar("T")


def _normalise(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _name(cls: type) -> str:
    declared = vars(cls).get("name")
    return declared if isinstance(declared, str) else cls.__name__


class Registry(Generic[T]):
    r"""The classes of one family, known by discovery rather than by registration.

    A family is what the package lists in ``__all__`` and derives from ``base``. Where ``base`` is graphkit's own, every
    subclass that a user has defined takes part as soon as it exists. Abstract classes are not choices.

    Args:
        kind: What one member is called in messages, e.g. ``"model"``.
        base: The common base class.
        package: The package whose ``__all__`` lists the members, e.g. ``"graphkit.models"``.

    Example:
        >>> from graphkit.models import registry
        >>> registry.get("gcn").__name__
        'GCN'
    """

    def __init__(self, kind: str, base: type[Any], package: str) -> None:
        self.kind = kind
        self.base = base
        self.package = package

    def classes(self) -> dict[str, type[T]]:
        """All members by name: the package's own first, then those defined elsewhere by users, the latest of a name.

        The name is that of the class, or what it declares as ``name``.
        """
        members = dict(self._own)
        if self.base.__module__.startswith("graphkit."):  # anybody may derive from nn.Module for any purpose
            others = [cls for cls in self._subclasses(self.base) if not cls.__module__.startswith("graphkit.")]
            public = [cls for cls in others if not cls.__name__.startswith("_") and not inspect.isabstract(cls)]
            users = {_name(cls): cls for cls in public}
            members |= {name: cls for name, cls in users.items() if name not in members}
        return members

    @cached_property
    def _own(self) -> dict[str, type[T]]:
        """The package's members, which are the same at every call: each task looks up its target and its metric."""
        package = importlib.import_module(self.package)
        listed = [getattr(package, name) for name in package.__all__]
        return {_name(cls): cls for cls in listed if self._is_member(cls)}

    def names(self) -> list[str]:
        """The sorted class names."""
        return sorted(self.classes())

    def get(self, query: str | type[T]) -> type[T]:
        """The class called ``query``; case, dashes and underscores do not matter. A class is returned as it is.

        Raises:
            ValueError: If there is no such class; the message lists the choices.
        """
        if isinstance(query, type):
            return query
        if query in self._own:  # the usual case, which need not look for users' classes
            return self._own[query]
        classes = self.classes()
        by_key = {_normalise(name): cls for name, cls in classes.items()}
        key = _normalise(query)
        if key not in by_key:
            raise ValueError(unknown_name(query, sorted(classes), self.kind))
        return by_key[key]

    def _is_member(self, cls: object) -> bool:
        return isinstance(cls, type) and issubclass(cls, self.base) and not inspect.isabstract(cls)

    def _subclasses(self, cls: type[T]) -> list[type[T]]:
        direct = cls.__subclasses__()
        return direct + [deeper for child in direct for deeper in self._subclasses(child)]

    def __repr__(self) -> str:
        return f"Registry({self.kind}: {', '.join(self.names())})"
