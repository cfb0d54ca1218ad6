"""The command line: ``graphkit train | predict | plot | reproduce | search | ...``.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphkit.cli.common import UsageError
from graphkit.cli.wording import in_flags, shell_words

# command -> its module and function, imported when it is called
COMMANDS = {
    "train": ("graphkit.cli.train", "train"),
    "predict": ("graphkit.cli.predict", "predict"),
    "plot": ("graphkit.cli.plot", "plot"),
    "recommend": ("graphkit.cli.recommend", "recommend"),
    "reproduce": ("graphkit.cli.reproduce", "reproduce"),
    "benchmark": ("graphkit.cli.benchmark", "benchmark"),
    "advise": ("graphkit.cli.advise", "advise"),
    "search": ("graphkit.cli.search", "search"),
    "rewire": ("graphkit.cli.rewire", "rewire"),
    "map": ("graphkit.cli.map", "map_files"),
    "expressivity": ("graphkit.cli.expressivity", "expressivity"),
    "list": ("graphkit.cli.catalogue", "list_names"),
    "data": ("graphkit.cli.catalogue", "data"),
    "doctor": ("graphkit.cli.catalogue", "doctor"),
    "completion": ("graphkit.cli.completion", "completion"),
}

USAGE = """usage: graphkit COMMAND [options]

commands:
  train         train a model on a task: graphkit train --model GCN --task cora
  predict       predict with a finished run: graphkit predict runs/mine tables/
  plot          draw finished runs: graphkit plot runs/mine --kind confusion
  recommend     the best items for users of a finished run: graphkit recommend runs/films --user 42
  reproduce     run a recipe over its seeds and compare with the paper: graphkit reproduce gcn/cora
  benchmark     many models over tasks and their harder variants, as one table: graphkit benchmark robustness
  advise        which methods to try on a graph, and why: graphkit advise tables/ --label topic
  search        search over a recipe's settings: graphkit search gcn/cora --space space.yaml --trials 50
  rewire        rewire a task's graphs: graphkit rewire mutag --method EffectiveResistance --budget 10
  map           write a graph larger than memory as mapped files: graphkit map tables/ mapped/ --label topic
  expressivity  count graphs that a model or feature tells apart: graphkit expressivity RandomWalkPE --suite brec
  list          list models, rewirings, features, samplers, strategies, tasks or recipes
  data          list, check, fetch or clear datasets
  doctor        versions, live sparse backend, GPU, data; exit code 1 on a problem
  completion    a script by which the shell completes names: graphkit completion bash

options:
  -h, --help   this text; graphkit COMMAND --help tells a command's options
  --version    the version
  --debug      show tracebacks
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments (default: those of the process).

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        return _carried_out(arguments, debug)
    except BrokenPipeError:  # the reader has seen enough: graphkit list tasks | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt as stop:
        print(f"graphkit: interrupted{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
        return 130


def _carried_out(arguments: list[str], debug: bool) -> int:
    """Run one command; what goes wrong is told in its own words."""
    with warnings.catch_warnings(), _careful_children(), shell_words():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        try:
            return _dispatch(arguments)
        except Exception as error:
            if debug or isinstance(error, BrokenPipeError):
                raise
            print(f"graphkit: error: {in_flags(str(error) or type(error).__name__)}", file=sys.stderr)
            return 2 if isinstance(error, UsageError) else 1


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from graphkit import __version__

        print(f"graphkit {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        from graphkit.core.validate import unknown_name

        raise UsageError(unknown_name(name, COMMANDS, "command"))
    module, function = COMMANDS[name]
    return getattr(importlib.import_module(module), function)(rest)


@contextmanager
def _careful_children() -> Iterator[None]:
    """Let processes that are started meanwhile, such as joblib's, import nothing from the current folder."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"graphkit: warning: {in_flags(str(message))}", file=sys.stderr)
