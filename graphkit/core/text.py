"""Plain text for terminals."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line per row of cells, columns as wide as their widest cell.

    Example:
        >>> aligned([["model", "test"], ["GCN", "81.5"]])
        ['model  test', 'GCN    81.5']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
