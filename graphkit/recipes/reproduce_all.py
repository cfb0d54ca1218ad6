"""All recipes, one after another, within a budget of time."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from graphkit.recipes.comparison import Comparison
from graphkit.recipes.recipe import Recipe, available, load
from graphkit.recipes.report import Report
from graphkit.recipes.reproduction import results_folder
from graphkit.recipes.running import Execution, OutOfTime
from graphkit.recipes.sweep import Sweep


def reproduce_all(
    output: str | os.PathLike[str] | None = None, budget: float | None = None, **execution: Any
) -> Report:
    """Run every shipped recipe that has no result yet, and write the table of all results.

    Recipes whose time is known from an earlier result come first, the quick ones before the slow ones. What is not
    finished when the budget ends is kept run by run, and the same call goes on there. A recipe that fails, or whose
    data is not at hand, does not stop the others.

    Args:
        output: The folder of results. A recipe is done if its result lies there, made by the same experiment with all
            seeds and splits (default: ``benchmarks/results`` of a checkout, else ``results``).
        budget: Seconds after which no further run is started (default: no limit).
        execution: Arguments of :class:`Execution`, such as ``jobs=2``.

    Returns:
        The report; ``reproduced.md`` and ``reproduced.html`` in ``output`` show it.
    """
    folder = results_folder(True) if output is None else Path(output)
    execution["deadline"] = None if budget is None else time.monotonic() + budget
    recipes = {name: load(name) for name in available()}
    times = {name: _known_seconds(name, folder) for name in recipes}
    failures: dict[str, str] = {}
    for name in sorted(recipes, key=times.__getitem__):
        recipe = recipes[name]
        if is_done(recipe, folder / f"{name}.json"):
            continue
        if not Execution(**execution).has_time:
            failures[name] = "not started: the budget was spent"
            continue
        print(f"{name} ...", flush=True)
        try:
            result = recipe.run(**execution)
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
    report = Report.of(folder, failures)
    report.save()
    return report


def is_done(recipe: Recipe | Comparison | Sweep, path: Path) -> bool:
    """Whether a file holds the result of this very experiment with all its seeds and splits."""
    wanted = [(part.experiment.hash, len(part.seeds) * len(part.splits)) for part in recipe.parts]
    return [(digest, len(seconds)) for digest, seconds in _runs(path)] == wanted


def _runs(path: Path) -> list[tuple[str, list[float]]]:
    """Digest and seconds of all runs of each part of a result file: itself, its variants, or those of its points.

    Empty if the file is not there or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        comparisons = content["points"].values() if "points" in content else [content]
        parts = [part for found in comparisons for part in found.get("variants", {"": found}).values()]
        return [(part["config_hash"], [run["seconds"] for run in part["runs"]]) for part in parts]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _known_seconds(name: str, folder: Path) -> float:
    """What a recipe took the last time; infinite if nobody knows."""
    for place in (folder, results_folder(True)):
        if found := _runs(place / f"{name}.json"):
            return sum(sum(seconds) for _, seconds in found)
    return float("inf")
