"""Plain text for terminals."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], words: int | None = None) -> list[str]:
    """A line per row of cells, columns as wide as their widest cell.

    Args:
        rows: The cells.
        words: How many columns, the first ones, hold words and stand left; numbers stand right (default: all).

    Example:
        >>> aligned([["model", "test"], ["GCN", "81.5"]])
        ['model  test', 'GCN    81.5']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    signs = ["<" if words is None or column < words else ">" for column in range(len(widths))]
    lines = ("  ".join(f"{cell:{sign}{width}}" for cell, sign, width in zip(row, signs, widths)) for row in rows)
    return [line.rstrip() for line in lines]
