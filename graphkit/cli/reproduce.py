"""``graphkit reproduce``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from graphkit.cli.common import (
    RESUMED,
    Parser,
    UsageError,
    add_run_options,
    kept,
    run_options,
    seconds_of,
    tell_runs,
    usage,
)


def reproduce_parser() -> Parser:
    """The flags of ``graphkit reproduce``."""
    parser = Parser(
        RESUMED,
        prog="graphkit reproduce",
        description="Run a recipe over its seeds, print paper and measurement, and keep the result as JSON.\n"
        "Finished seeds are saved in runs/reproduce and not repeated, an unfinished one goes on from its checkpoint.",
    )
    parser.add_argument("recipe", nargs="?", help="a name of `graphkit list recipes`, or a YAML file")
    parser.add_argument("--all", action="store_true", help="all recipes without a result, and one table of all results")
    parser.add_argument("--judge", action="store_true", help="run nothing: judge kept results by the recipes of today")
    parser.add_argument("--budget", metavar="TIME", help="with --all: start no run after this time, e.g. 2h or 1h30m")
    parser.add_argument("--seeds", metavar="N", help="a number of seeds, or a list: 0,3,5 (default: the recipe's)")
    parser.add_argument("--split", metavar="S", help="other splits, e.g. geom-gcn/0,geom-gcn/1 (default: the recipe's)")
    add_run_options(parser)
    parser.add_argument("--fresh", action="store_true", help="repeat seeds that are already there")
    parser.add_argument(
        "--output",
        metavar="PLACE",
        help="the result file, or the folder of results (default: benchmarks/results[/<recipe>.json])",
    )
    parser.add_argument(
        "--table",
        choices=("text", "csv", "latex", "html"),
        help="run nothing and print the results that are there, of the recipe or of all (in the folder --output)",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def reproduce(arguments: list[str]) -> int:
    """Run a recipe, or all of them, and compare with the published values."""
    options = reproduce_parser().parse_args(arguments)
    if options.table:
        return _table(options)
    if options.all == bool(options.recipe):
        raise UsageError("expected a recipe, or --all")
    if options.judge:
        return _judge(options)
    how = run_options(options, "graphkit reproduce")
    tell_runs()
    with kept():
        return _all(options, how) if options.all else _one(options, how)


def _one(options: argparse.Namespace, how: dict[str, Any]) -> int:
    from graphkit import recipes
    from graphkit.datasets import card
    from graphkit.datasets.splits import choose
    from graphkit.recipes.reproducing import is_done

    with usage():
        if options.budget:
            raise UsageError("--budget is for --all")
        recipe = recipes.load(options.recipe)
        output = _result_file(options.output, recipe.name)
        seeds = _numbers(options.seeds, "--seeds")
        splits = [int(s) if s.isdecimal() else s for s in options.split.split(",")] if options.split else None
        for split in splits or ():
            choose(card(recipe.task), split)
    result = recipe.run(seeds, splits, fresh=options.fresh, **how)
    print(result)
    if result.missing:
        return 1
    if output is None and seeds is not None and is_done(recipe, result.path):
        print(f"  not saved   {result.path} holds all seeds of the recipe; --output FILE keeps this result")
    else:
        print(f"  saved       {result.save(output)}")
    return 0


def _result_file(place: str | None, recipe: str) -> Path | None:
    """The file that keeps a result, in the place that the user names: a file, or a folder of results."""
    if place is None or place.endswith(".json"):
        return None if place is None else Path(place)
    if Path(place).suffix:
        raise UsageError(
            f"--output {place}: a result is kept as JSON; name a file that ends in .json, and print it by --table"
        )
    return Path(place) / f"{recipe}.json"


def _all(options: argparse.Namespace, how: dict[str, Any]) -> int:
    from graphkit.recipes import reproduce_all

    for name in ("seeds", "split", "fresh"):
        if getattr(options, name):
            raise UsageError(
                f"--{name} is for a single recipe; --all repeats nothing, so give an empty folder (--output)"
            )
    report = reproduce_all(options.output, seconds_of(options.budget), **how)
    for name, reason in report.failures.items():
        print(f"  {name}: {reason}")
    print(f"{report.summary()}\n  saved       {report.folder / 'reproduced.html'}, reproduced.md")
    return 1 if any(reason.startswith("failed") for reason in report.failures.values()) else 0


def _table(options: argparse.Namespace) -> int:
    from graphkit.recipes import Report, load
    from graphkit.recipes.files import results_folder

    for name in ("all", "judge", "budget", "seeds", "split", "fresh"):
        if getattr(options, name):
            raise UsageError(f"--{name} changes results, but --table prints the results that are there")
    with usage():
        recipe = load(options.recipe) if options.recipe else None
        if options.output and not Path(options.output).exists():
            raise UsageError(
                f"--output {options.output} is not there: with --table it names where results lie; what is printed "
                "goes to a file by > FILE"
            )
        folder = options.output or results_folder(recipe is None or recipe.is_shipped)
        report = Report.of(folder)
        if recipe is not None:
            report = report.only(recipe.name)
        elif not report.results:
            raise UsageError(f"{folder}: there are no results")
        print(getattr(report, options.table)().rstrip())
    return 0


def _judge(options: argparse.Namespace) -> int:
    from graphkit import recipes

    for name in ("seeds", "split", "fresh", "budget"):
        if getattr(options, name):
            raise UsageError(f"--{name} is for runs, and --judge makes none")
    with usage():
        if options.all:
            report = recipes.rejudge_all(options.output)
            print(f"{report.summary()}\n  saved       {report.folder / 'reproduced.html'}, reproduced.md")
            return 0
        recipe = recipes.load(options.recipe)
        path = _result_file(options.output, recipe.name) or recipe.result_path
        if not path.is_file():
            raise UsageError(f"{path} is not there; without --judge the recipe is run, and its result kept")
        result = recipes.RecipeResult.load(path)
    recipes.rejudge(result, recipe)
    print(f"{result}\n  saved       {result.save()}")
    return 0


def _numbers(text: str | None, flag: str) -> int | list[int] | None:
    if text is None:
        return None
    if not all(part.strip().isdecimal() for part in text.split(",")) or text.strip() == "0":
        raise UsageError(f"{flag}: expected a number of at least 1 or a list such as 0,3,5, got {text!r}")
    numbers = [int(part) for part in text.split(",")]
    return numbers[0] if "," not in text else numbers
