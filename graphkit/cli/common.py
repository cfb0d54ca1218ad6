"""What the commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


class UsageError(Exception):
    """The command cannot be understood; exit code 2."""


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors are exceptions."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **arguments)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


@contextmanager
def usage() -> Iterator[None]:
    """What is wrong before any work begins is the user's to correct."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
