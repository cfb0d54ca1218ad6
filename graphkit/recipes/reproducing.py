"""All recipes, one after another, within a budget of time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphkit.core.constraints import NonNegative, checked
from graphkit.recipes.files import recipe_files, results_folder
from graphkit.recipes.recipe import Recipe, load
from graphkit.recipes.report import Report
from graphkit.recipes.result import RecipeResult
from graphkit.recipes.running import OutOfTime, RunOptions


@checked
def reproduce_all(
    output: str | os.PathLike[str] | None = None, budget: NonNegative | None = None, **options: Any
) -> Report:
    """Run every shipped recipe that has no result yet, and write the table of all results.

    Recipes whose time is known from an earlier result come first, the quick ones before the slow ones. What is
    unfinished when the budget ends is saved run by run, and the same call goes on there. A recipe that fails, or whose
    data is not at hand, does not stop the others.

    Args:
        output: The folder of results. A recipe is done if its result lies there, made by the same experiment with all
            seeds and splits (default: ``benchmarks/results`` of a checkout, else ``results``).
        budget: Seconds after which no further run is started (default: no limit).
        options: Arguments of :class:`RunOptions`, such as ``jobs=2``.

    Returns:
        The report; ``reproduced.md`` and ``reproduced.html`` in ``output`` show it.
    """
    folder = results_folder(True) if output is None else Path(output)
    recipes: dict[str, Recipe] = {}
    failures: dict[str, str] = {}
    for name in recipe_files():
        try:
            recipes[name] = load(name)
        except ValueError as error:
            failures[name] = f"failed: {error}"
    times = {name: _known_seconds(name, folder) for name in recipes}
    quick_first = {name: recipes[name] for name in sorted(recipes, key=times.__getitem__)}
    report = Report.of(folder, failures | run_unfinished(quick_first, folder, budget, **options))
    report.save()
    return report


def run_unfinished(
    recipes: Mapping[str, Recipe], folder: Path, budget: float | None = None, /, **options: Any
) -> dict[str, str]:
    """Run what has no result in a folder yet, one after another, and save each result there.

    Args:
        recipes: Recipes by the names of their results.
        folder: The folder of results.
        budget: Seconds after which no further run is started (default: no limit).
        options: Arguments of :class:`RunOptions`.

    Returns:
        Those that have no result now, and why.
    """
    options["deadline"] = None if budget is None else time.monotonic() + budget
    failures: dict[str, str] = {}
    for name, recipe in recipes.items():
        if is_done(recipe, folder / f"{name}.json"):
            continue
        if not RunOptions(**options).has_time:
            failures[name] = "not started: the budget was spent"
            continue
        print(f"{name} ...", flush=True)
        try:
            result = recipe.run(**options)
        except OutOfTime as error:
            failures[name] = str(error)
            continue
        except (ValueError, RuntimeError, OSError, ArithmeticError) as error:
            failures[name] = f"failed: {error}"
            continue
        print(result)
        if result.missing:
            failures[name] = f"data not at hand: {result.missing}"
        else:
            result.save(folder / f"{name}.json")
    return failures


def is_done(recipe: Recipe, path: Path) -> bool:
    """Whether a file holds the result of this very recipe with all its seeds and splits.

    Raises:
        ValueError: If the file has the layout of graphkit 0.1.
    """
    runs = len(recipe.seeds) * len(recipe.splits)
    wanted = {key: (cell.experiment.hash, runs) for key, cell in recipe.cells.items()}
    result = _saved(path)
    return result is not None and {key: (cell.config_hash, cell.n) for key, cell in result.cells.items()} == wanted


def _saved(path: Path) -> RecipeResult | None:
    """The result in a file, unless it is not there or damaged."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return RecipeResult.load(path)


def _known_seconds(name: str, folder: Path) -> float:
    """What a recipe took the last time; infinite if nobody knows."""
    for place in (folder, results_folder(True)):
        if result := _saved(place / f"{name}.json"):
            return sum(cell.seconds for cell in result.cells.values())
    return float("inf")
