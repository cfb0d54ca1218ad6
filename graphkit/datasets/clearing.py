"""What the data folder keeps, and its removal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from graphkit.core.files import remove
from graphkit.core.resources import data_root
from graphkit.datasets.at_hand import raw_path
from graphkit.datasets.catalog import Card, card, cards
from graphkit.datasets.raw import within

_UNFINISHED = r"(\.\w+\.tmp|\.lock)?"  # what a killed process leaves begins with a dot, too


def clear(name: str | None = None) -> int:
    """Remove the raw and processed files of a dataset, and what transforms and samplers made of its graphs; or of all.

    Results of own graphs go with those of all. Nothing else is touched, be it in the data folder or behind a symbolic
    link.

    Args:
        name: The dataset (default: all, and own graphs).

    Returns:
        The number of bytes freed.
    """
    root = data_root()
    chosen = list(cards().values()) if name is None else [card(name)]
    found = {path for each in chosen for path in (*_raw(each), *_processed(each))}
    found |= set(_matching(root, "*", r"raw")) - {root / "raw"}
    for of in ("", "*/") if name is None else (f"{chosen[0].name}/",):
        found |= set(_matching(root, f"transforms/{of}*/*", r"[0-9a-f]{24}\.pt"))
        found |= set(_matching(root, f"samplers/{of}*", r".+-[0-9a-f]{24}\.pt"))
    freed = 0
    for path in found:
        if within(path, root):
            freed += sum(file.lstat().st_size for file in (path, *path.rglob("*")) if file.is_file())
            remove(path)
            _remove_empty(path.parent, root)
    return freed


def _raw(of: Card) -> Iterator[Path]:
    for file in of.all_files:
        path = raw_path(file)
        yield from _matching(path.parent, "*", re.escape(path.name))


def _processed(of: Card) -> Iterator[Path]:
    """Today's files and the folders of graphkit 0.1, both perhaps with a hash of options."""
    return _matching(data_root() / "processed", "*", rf"{re.escape(of.of or of.name)}(-[0-9a-f]{{8}})?(\.pt)?")


def _matching(folder: Path, pattern: str, name: str) -> Iterator[Path]:
    """What lies in a folder under a name, or is left of an attempt to write it."""
    return (path for path in folder.glob(pattern) if re.fullmatch(rf"\.?{name}{_UNFINISHED}", path.name))


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
