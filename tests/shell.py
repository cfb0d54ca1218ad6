"""Commands, as a shell would give them."""

from __future__ import annotations

from pathlib import Path

from graphkit.cli import main


def run(*arguments: str) -> int:
    return main(list(arguments))


def run_folder() -> Path:
    (folder,) = Path("runs").iterdir()
    return folder
