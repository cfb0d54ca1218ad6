"""Which raw files are at hand, and where."""

from __future__ import annotations

import os
from pathlib import Path

from graphkit.core.constraints import checked
from graphkit.core.resources import data_root
from graphkit.datasets.catalog import Card, RawFile, card, cards


def raw_path(file: RawFile) -> Path:
    """Where a raw file lies in the data root."""
    return data_root() / "raw" / file.path


def mirror_root() -> Path | None:
    """The read-only folder named by ``$GRAPHKIT_MIRROR``, if set."""
    chosen = os.environ.get("GRAPHKIT_MIRROR")
    return Path(chosen).expanduser() if chosen else None


def state(file: RawFile) -> str:
    """Where a file is at hand: ``"local"``, ``"mirror"``, ``"damaged"`` (wrong length) or ``"missing"``."""
    mirror = mirror_root()
    for place, path in (("local", raw_path(file)), ("mirror", mirror / file.path if mirror else None)):
        if path is not None and path.is_file():
            return place if file.bytes in (0, path.stat().st_size) else "damaged"
    return "missing"


def available() -> dict[str, str]:
    """All dataset names and whether each can be loaded now without a network.

    Returns:
        For each name ``"generated"``, ``"at hand"`` (local or mirror), or ``"missing"``.

    Example:
        >>> available()["ring-transfer"]
        'generated'
    """
    return {name: "generated" if each.generator else _summary(each) for name, each in cards().items()}


@checked
def check(name: str) -> dict[str, str]:
    """Where each raw file of a dataset is: ``"local"``, ``"mirror"``, ``"damaged"`` (wrong length) or ``"missing"``.

    Args:
        name: The dataset.

    Returns:
        The state by path below the mirror; empty for a generated dataset. Contents are not read, see :func:`load`.
    """
    return {file.path: state(file) for file in card(name).all_files}


def _summary(card: Card) -> str:
    states = {state(file) for file in card.files}
    return "at hand" if states <= {"local", "mirror"} else "missing"
