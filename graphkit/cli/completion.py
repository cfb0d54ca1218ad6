"""``graphkit completion``."""

from __future__ import annotations

import argparse
import importlib
import re

from graphkit.cli.catalogue import named
from graphkit.cli.common import Parser, UsageError

SHELLS = ("bash", "zsh", "tcsh", "fish")
FOLDERS = ("FOLDER", "DIR", "RUN_DIR", "DATA")


def completion_parser() -> Parser:
    """The flags of ``graphkit completion``."""
    parser = Parser(
        prog="graphkit completion",
        description="Print a script by which a shell completes commands, flags and names on the tab key.",
        epilog="bash: graphkit completion bash > ~/.local/share/bash-completion/completions/graphkit\n"
        'zsh:  graphkit completion zsh > "${fpath[1]}/_graphkit"',
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    return parser


def completion(arguments: list[str]) -> int:
    """Print a shell's completion script."""
    options = completion_parser().parse_args(arguments)
    try:
        import shtab
    except ImportError:
        raise UsageError("completion needs the package shtab; run: pip install 'graphkit-pyg[completion]'") from None
    print(shtab.complete(whole_parser(), options.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """All commands with their flags, the trainer's among them, and what may stand after each."""
    from graphkit.cli import COMMANDS

    whole = argparse.ArgumentParser(prog="graphkit")
    commands = whole.add_subparsers()
    for name, (module, function) in COMMANDS.items():
        parser = getattr(importlib.import_module(module), f"{function}_parser")()
        if name == "train":
            _add_trainer(parser)
        for action in parser._actions:
            _complete(action)
        commands.add_parser(name, parents=[parser], add_help=False, help=parser.description)
    return whole


def _add_trainer(parser: Parser) -> None:
    from graphkit.recipes.config import ConfigParser

    for action in ConfigParser({}).parser._actions:
        parser.add_argument(*action.option_strings, choices=action.choices)


def _complete(action: argparse.Action) -> None:
    import shtab

    listed = re.search(r"`graphkit list (\w+)`", action.help or "")
    if listed:
        action.choices = list(named(listed[1]))
    elif action.metavar == "FILE":
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif action.metavar in FOLDERS:
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
