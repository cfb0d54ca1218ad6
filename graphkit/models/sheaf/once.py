"""What several layers share within one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Once:
    """A value that is computed once within a block, and anew at each call outside of one.

    Args:
        shared: Whether blocks keep it (default: ``True``).
    """

    def __init__(self, shared: bool = True) -> None:
        self.shared = shared
        self._kept: list[Any] | None = None

    def __call__(self, make: Callable[[], Any]) -> Any:
        """The value, made by ``make`` unless the block has it."""
        if self._kept is None:
            return make()
        if not self._kept:
            self._kept.append(make())
        return self._kept[0]

    @contextmanager
    def block(self) -> Iterator[None]:
        """Where the value is kept."""
        self._kept = [] if self.shared else None
        try:
            yield
        finally:
            self._kept = None
