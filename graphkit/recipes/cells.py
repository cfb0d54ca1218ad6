"""The table that a recipe and its result share: a cell for each point and variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from graphkit.core.deprecation import warn_renamed

C = TypeVar("C")


class CellTable(Generic[C]):
    """Cells by point and variant; a recipe without ``points`` or ``variants`` has one, whose name is empty."""

    cells: dict[tuple[str, str], C]

    @property
    def cell(self) -> C:
        """The only cell.

        Raises:
            ValueError: If there are several.
        """
        if len(self.cells) > 1:
            names = ", ".join(" at ".join(filter(None, [variant, point])) for point, variant in self.cells)
            raise ValueError(f"it has {len(self.cells)} cells; take one of variants, points or cells: {names}")
        return self.first

    @property
    def first(self) -> C:
        """The first cell."""
        return next(iter(self.cells.values()))

    @property
    def points(self) -> dict[str, dict[str, C]]:
        """The rows of the table: by point, its cells by variant."""
        table: dict[str, dict[str, C]] = {}
        for (point, variant), cell in self.cells.items():
            table.setdefault(point, {})[variant] = cell
        return table

    @property
    def variants(self) -> dict[str, C]:
        """The cells of the first point by variant."""
        return next(iter(self.points.values()))

    @property
    def has_points(self) -> bool:
        """Whether points were named."""
        return any(point for point, _ in self.cells)

    @property
    def is_single(self) -> bool:
        """Whether there are neither variants nor points."""
        return list(self.cells) == [("", "")]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What a recipe or result of one cell used to offer itself."""
            if not name.startswith("_") and len(vars(self).get("cells", ())) == 1 and hasattr(self.cell, name):
                warn_renamed(f"{type(self).__name__}.{name}", f"{type(self).__name__}.cell.{name}")
                return getattr(self.cell, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
