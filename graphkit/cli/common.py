"""What the commands share."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from graphkit.cli.wording import offer


class UsageError(Exception):
    """The command cannot be understood; exit code 2."""


AGAIN = "the same command again goes on where it stopped"
RESUMED = {"--resume": AGAIN}  # of commands that keep what is finished


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations, whose errors are exceptions.

    Args:
        habits: Flags of other commands that this one does not need, and why (default: none).
        **arguments: Those of the base class.
    """

    def __init__(self, habits: Mapping[str, str] | None = None, **arguments: Any) -> None:
        self.habits = habits or {}
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **arguments)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """The same, and messages know these flags from now on."""
        offer(lambda: self._option_string_actions)
        return super().parse_known_args(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        if unknown := re.match(r"unrecognized arguments: (--\w[^\s=]*)", message):
            from graphkit.core.validate import meant

            flag = meant(unknown[1], list(self._option_string_actions))
            if unknown[1] in self.habits:
                message = f"there is no {unknown[1]}: {self.habits[unknown[1]]}"
            elif flag is not None:
                message += f"; did you mean {flag}?"
        raise UsageError(f"{message}; see {self.prog} --help")


@contextmanager
def usage() -> Iterator[None]:
    """What is wrong before any work begins is the user's to correct."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


@contextmanager
def kept() -> Iterator[None]:
    """What is finished stays, and whoever interrupts the rest is told so."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(AGAIN) from None


def add_run_options(parser: Parser) -> None:
    """The flags of how runs are carried out."""
    parser.add_argument("--jobs", type=int, default=1, help="parallel processes (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each run (default: 1)")


def run_options(options: argparse.Namespace, command: str) -> dict[str, int]:
    """What those flags say.

    Raises:
        UsageError: If it is out of range.
    """
    from graphkit.core.constraints import enforce
    from graphkit.recipes import RunOptions

    how = {"jobs": options.jobs, "threads": options.threads}
    with usage():
        enforce(RunOptions, how, command)
    return how


def tell_runs() -> None:
    """Without a terminal there is no bar, so a line for each finished run."""
    if not sys.stderr.isatty():
        logging.basicConfig(format="%(message)s")
        logging.getLogger("graphkit").setLevel(logging.INFO)


def seconds_of(budget: str | None) -> float | None:
    """What ``--budget`` says.

    Raises:
        UsageError: If it is no time.
    """
    if budget is None:
        return None
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", budget)
    if not budget or match is None:
        raise UsageError(f"--budget: expected a time such as 2h, 1h30m or 90s, got {budget!r}")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60.0 * minutes + seconds
