"""Verdicts anew on runs that are stored, by what the recipes of today say; no run is repeated."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from graphkit.core.constraints import checked
from graphkit.datasets import MissingFilesError, card, load
from graphkit.datasets.splits import fold_overlap
from graphkit.recipes.files import recipe_files, results_folder
from graphkit.recipes.recipe import Recipe
from graphkit.recipes.recipe import load as load_recipe
from graphkit.recipes.report import Report
from graphkit.recipes.result import RecipeResult
from graphkit.recipes.running import in_unit

OTHER = "measured with another configuration than the recipe's of today; run it again"


def rejudge(result: RecipeResult, recipe: Recipe) -> None:
    """Give a stored result what its recipe says today of published values, and each run its baseline.

    A cell that the recipe has no more keeps what it had; one that was measured with another configuration becomes not
    comparable. Baselines are computed where they are missing and the data is at hand. The note is that of today, if all
    configurations are.

    Args:
        result: The result, which is changed in place.
        recipe: The recipe of this name.
    """
    measured = {key: cell.config_hash for key, cell in result.cells.items()}
    if measured == {key: cell.experiment.hash for key, cell in recipe.cells.items()}:
        result.note = recipe.note
    for key, cell in result.cells.items():
        if (today := recipe.cells.get(key)) is None:
            continue
        options = dict(today.experiment.config["task"])
        name, _ = options.pop("name"), options.pop("split")
        other = today.published is not None and today.experiment.hash != cell.config_hash
        cell.published, cell.margin = today.published, today.margin
        cell.not_comparable = OTHER if other else today.not_comparable
        cell.overlap = fold_overlap(card(name), [run["split"] for run in cell.runs])
        for run in cell.runs:
            if run.get("baseline") is None:
                score = _baseline(name, run["split"], tuple(sorted(options.items())))
                run["baseline"] = None if score is None else round(in_unit(score, cell.unit), 6)


@checked
def rejudge_all(output: str | os.PathLike[str] | None = None) -> Report:
    """Judge every result in a folder anew whose recipe comes with graphkit, and save it.

    Args:
        output: The folder of results (default: ``benchmarks/results`` of a checkout, else ``results``).

    Returns:
        The report of all results.
    """
    folder = results_folder(True) if output is None else Path(output)
    for name, result in Report.of(folder).results.items():
        if name in recipe_files():  # not what was measured on other splits, beside it
            rejudge(result, load_recipe(name))
            result.save()
    report = Report.of(folder)
    report.save()
    return report


@cache
def _baseline(name: str, split: str, options: tuple[tuple[str, object], ...]) -> float | None:
    try:
        return load(name, split, **dict(options)).baseline()
    except MissingFilesError:
        return None
