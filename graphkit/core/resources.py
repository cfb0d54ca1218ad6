"""Where the files that travel with graphkit lie, and where it keeps data of its own."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_CHECKOUT = {"datasets": "datasets", "recipes": "benchmarks/recipes", "suites": "benchmarks/suites"}


def checkout() -> Path | None:
    """The repository's root when graphkit runs from a clone (editable installs included), else ``None``."""
    root = _PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "benchmarks" / "recipes").is_dir() else None


def shipped(kind: str) -> Path:
    """The folder of the files of one kind that travel with graphkit.

    Args:
        kind: ``"datasets"`` (the dataset cards), ``"recipes"`` or ``"suites"``.

    Raises:
        FileNotFoundError: If the installation is broken.
    """
    root = checkout()
    folder = root / _IN_CHECKOUT[kind] if root is not None else _PACKAGE / "_shipped" / kind
    if not folder.is_dir():
        raise FileNotFoundError(f"graphkit's {kind} should lie in {folder}; the installation is broken, install again")
    return folder


def data_root() -> Path:
    """The folder for raw and processed data.

    ``$GRAPHKIT_DATA`` if it is set, else ``datasets/local`` of the clone, else ``~/.cache/graphkit``.
    """
    chosen = os.environ.get("GRAPHKIT_DATA")
    if chosen:
        return Path(chosen).expanduser()
    root = checkout()
    return root / "datasets" / "local" if root is not None else Path.home() / ".cache" / "graphkit"
