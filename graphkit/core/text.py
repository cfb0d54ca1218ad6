"""Plain text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any


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


def numbered(names: Iterable[str]) -> list[str]:
    """The names, of which a repeated one has its number behind it from the second on.

    Args:
        names: The names.

    Example:
        >>> numbered(["CSVLogger", "csv", "CSVLogger"])
        ['CSVLogger', 'csv', 'CSVLogger 2']
    """
    count: Counter[str] = Counter()
    found = []
    for name in names:
        count[name] += 1
        found.append(name if count[name] == 1 else f"{name} {count[name]}")
    return found


def callable_name(function: Any) -> str:
    """What a user's function or object is called in messages: the same in every process, unlike its ``repr``.

    Args:
        function: The function, a ``partial`` of one, or an object.

    Example:
        >>> callable_name(partial(round, ndigits=2))
        'round(ndigits=2)'
    """
    if isinstance(function, partial):
        parts = [*map(repr, function.args), *(f"{key}={value!r}" for key, value in function.keywords.items())]
        return f"{callable_name(function.func)}({', '.join(parts)})"
    return getattr(function, "__name__", None) or type(function).__name__


def number(value: float, unit: str = "%", sign: str = "") -> str:
    """A number as reports print it: with two digits after the point, or two significant ones if it is small.

    Args:
        value: The number.
        unit: Its unit; plain errors, which have none, get three significant digits (default: ``"%"``).
        sign: ``"+"`` to print signs of positive numbers, too (default: none).

    Example:
        >>> number(81.523), number(0.0523), number(0.07891, ""), number(1, sign="+")
        ('81.52', '0.052', '0.0789', '+1.00')
    """
    value = round(value, 6)
    if not unit:
        return f"{value:{sign}.3g}"
    return f"{value:{sign}.2g}" if 0 < abs(value) < 0.1 else f"{value:{sign}.2f}"


def in_number(count: int, noun: str) -> str:
    """So many of something, in words.

    Args:
        count: How many.
        noun: What, in the singular.

    Example:
        >>> in_number(1, "node"), in_number(1000, "node")
        ('1 node', '1000 nodes')
    """
    return f"{count} {noun}{'s' if count != 1 else ''}"
