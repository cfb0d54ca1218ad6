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
from graphkit.recipes.running import OutOfTime
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
    deadline = None if budget is None else time.monotonic() + budget
    recipes = {name: load(name) for name in available()}
    times = {name: _known_seconds(name, folder) for name in recipes}
    failures: dict[str, str] = {}
    for name in sorted(recipes, key=times.__getitem__):
        recipe = recipes[name]
        if is_done(recipe, folder / f"{name}.json"):
            continue
        if deadline is not None and time.monotonic() >= deadline:
            failures[name] = "not started: the budget was spent"
            continue
        print(f"{name} ...", flush=True)
        try:
            result = recipe.run(deadline=deadline, **execution)
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
    try:
        found = _parts(json.loads(path.read_text(encoding="utf-8")))
        hashes = [part["config_hash"] for part in found]
        runs = [len(part["runs"]) for part in found]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return hashes == [part.experiment.hash for part in recipe.parts] and runs == [
        len(part.seeds) * len(part.splits) for part in recipe.parts
    ]


def _parts(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The results in a file: one, one per variant, or one per point and variant."""
    comparisons = content["points"].values() if "points" in content else [content]
    return [part for found in comparisons for part in found.get("variants", {"": found}).values()]


def _known_seconds(name: str, folder: Path) -> float:
    """What a recipe took the last time; infinite if nobody knows."""
    for place in (folder, results_folder(True)):
        try:
            parts = _parts(json.loads((place / f"{name}.json").read_text(encoding="utf-8")))
            return sum(run["seconds"] for part in parts for run in part["runs"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return float("inf")
