"""Objects that can tell how they were built."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from graphkit.core.constraints import Checked
from graphkit.core.deprecation import adopt_renamed

T = TypeVar("T", bound="Configurable")


class Configurable(Checked):
    """Mixin: :meth:`config` returns the constructor's arguments, :meth:`from_config` builds an equal object.

    The rules are scikit-learn's: the constructor keeps each argument under its own name, and what is passed is checked,
    here by the annotations (:mod:`graphkit.core.constraints`).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adopt_renamed(cls)

    @classmethod
    def _arguments(cls) -> list[inspect.Parameter]:
        skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return [parameter for parameter in parameters if parameter.kind not in skipped]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {parameter.name: self._kept(parameter.name) for parameter in self._arguments()}

    def _kept(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise AttributeError(
                f"{type(self).__name__} does not keep its argument {name!r}; its constructor must set self.{name}"
            ) from None

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        """Build the object that :meth:`config` describes."""
        return cls(**config)

    def __repr__(self) -> str:
        parts = []
        for parameter in self._arguments():
            value = self._kept(parameter.name)
            if parameter.default is inspect.Parameter.empty:
                parts.append(repr(value))
            elif value != parameter.default:
                parts.append(f"{parameter.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"
