"""A set of models over tasks and harder variants of them: a recipe per task, one table and one picture of all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from graphkit.core.constraints import NonNegative, checked
from graphkit.core.figures import save_figure
from graphkit.core.files import atomic_write
from graphkit.core.validate import unknown_name
from graphkit.datasets import MissingFilesError
from graphkit.recipes.drawing import draw_curves
from graphkit.recipes.files import find, is_shipped, read, results_folder
from graphkit.recipes.recipe import Recipe, merged
from graphkit.recipes.reproducing import run_unfinished
from graphkit.recipes.result import RecipeResult
from graphkit.recipes.running import task_of
from graphkit.recipes.statistics import score
from graphkit.recipes.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_THE_SUITE = {"task": "tasks", "variants": "models", "points": "scenarios", "scenario": "scenarios"}


class Suite:
    """Models that are compared on several tasks, as they are and in harder scenarios.

    Each task is a :class:`Recipe` of its own, whose variants are the models and whose points are the scenarios; so all
    that is said of recipes holds: what is finished is kept, equal seeds and splits, the same table and picture.

    Args:
        name: Its name.
        config: The file's content: ``models`` and ``tasks``, each with names, and what the model or the task changes in
            the rest of the file (``{GCN: {model: GCN}}``, ``{csl: {task: {name: csl}, features: RandomWalkPE}}``);
            ``scenarios``, with names and what they do to a task (``{clean: {}, noisy: {noisy: {edges: 0.2}}}``;
            without it the tasks as they are); in a task ``scenarios``, a list of those that it has, if not all; and the
            other keys of :class:`Recipe`, which are shared.
        path: The file it was read from, if any (default: ``None``).

    Raises:
        ValueError: If a key, class, argument, dataset or split does not exist or a value has the wrong type; the
            message names the task, the scenario and the model.

    Example:
        >>> suite = load_suite("robustness")
        >>> list(suite.recipes), list(suite.recipes["csl"].points)
        (['csl', 'triangles', 'minesweeper'], ['as it is', 'noisy edges', 'imbalanced', 'few-shot'])
    """

    def __init__(self, name: str, config: Mapping[str, Any], path: Path | None = None) -> None:
        self.name = name
        self.path = path
        shared = dict(config)
        for key, instead in OF_THE_SUITE.items():
            if key in shared:
                raise ValueError(f"{key!r} belongs to recipes; a suite has {instead!r}")
        models, tasks = _names(shared, "models"), _names(shared, "tasks")
        scenarios = _names(shared, "scenarios") if "scenarios" in shared else {"as it is": {}}
        self.recipes = {
            task: _recipe(f"{name}/{task}", shared, change, models, scenarios) for task, change in tasks.items()
        }
        for recipe in self.recipes.values():
            recipe.command = f"graphkit benchmark {name if path is None or is_shipped(path) else path}"

    def check(self) -> None:
        """Load every task in every scenario; those whose data is not at hand are left to :meth:`run`.

        Raises:
            ValueError: If a task has no such scenario; the message names both.
        """
        for name, recipe in self.recipes.items():
            for point, cells in recipe.points.items():
                try:
                    task_of(next(iter(cells.values())).experiment, recipe.splits[0])
                except MissingFilesError:
                    break
                except ValueError as error:
                    others = [other for other in recipe.points if other != point]
                    remedy = f"leave it out: tasks.{name}.scenarios: {others}"
                    raise ValueError(f"tasks.{name}: {point}: {error}; {remedy}") from error

    @checked
    def run(
        self, output: str | os.PathLike[str] | None = None, budget: NonNegative | None = None, **options: Any
    ) -> SuiteResult:
        """Train every model on every task in every scenario.

        What is finished is kept, and the same call does the rest. A task whose data is not at hand, or on which
        something fails, does not stop the others.

        Args:
            output: The folder of results; those of this suite lie in one with its name (default: ``benchmarks/results``
                of a checkout for graphkit's own suites, else ``results``).
            budget: Seconds after which no further run is started (default: no limit).
            options: Arguments of :class:`RunOptions`, such as ``jobs=2``.

        Raises:
            ValueError: As :meth:`check`, before the first run.
            KeyboardInterrupt: After Ctrl-C; says how many runs are saved.
        """
        self.check()
        own = is_shipped(self.path)
        folder = (results_folder(own) if output is None else Path(output)) / self.name
        failures = run_unfinished(self.recipes, folder, budget, **options)
        done = {name: folder / f"{name}.json" for name, recipe in self.recipes.items() if name not in failures}
        return SuiteResult(self.name, folder, {name: RecipeResult.load(path) for name, path in done.items()}, failures)

    def __repr__(self) -> str:
        recipe = next(iter(self.recipes.values()))
        return f"Suite({self.name}: {', '.join(recipe.variants)} on {', '.join(self.recipes)})"


@checked
def load_suite(name: str | os.PathLike[str]) -> Suite:
    """Read a suite.

    Args:
        name: ``"robustness"``, which needs no data, or the path of a YAML file.

    Raises:
        ValueError: If there is no such suite or its content is wrong; the message names the file and the key.
    """
    path = find(name, "suite")
    content = read(path)
    try:
        return Suite(path.stem, content, path)
    except ValueError as error:
        raise ValueError(f"suite {path}: {error}") from error


@dataclass(frozen=True, repr=False)
class SuiteResult:
    """What running a suite gave; printed it is a table, and :meth:`plot` draws it.

    Attributes:
        suite: The suite's name.
        folder: Where results lie.
        results: The results by task.
        failures: The tasks without a result, and why.
    """

    suite: str
    folder: Path
    results: dict[str, RecipeResult]
    failures: dict[str, str] = field(default_factory=dict)

    def ranks(self) -> dict[str, float]:
        """The mean rank of each model over all rows of the table, by mean scores; 1 is the best."""
        rows = [
            stats.rankdata([(-1 if result.higher_is_better else 1) * cell.mean for cell in cells.values()])
            for result in self.results.values()
            for cells in result.points.values()
        ]
        return dict(zip(self._models, map(float, np.mean(rows, axis=0)))) if rows else {}

    def table(self) -> Table:
        """A row per task and scenario, a column per model: mean ± standard deviation over runs."""
        header = ["task", "scenario", "test", *self._models, "ignoring the input"]
        rows = []
        for name, result in self.results.items():
            unit = f" ({result.unit})" if result.unit else ""
            for point, cells in result.points.items():
                baseline = next(iter(cells.values())).baseline
                scores = [score(*cell.scores[0]) for cell in cells.values()]
                rows.append([name, point, f"{result.metric}{unit}", *scores, _number(baseline)])
        rows.append(["mean rank", "", "", *map(_number, self.ranks().values()), "—"])
        notes = ["± is the unbiased standard deviation over runs"] * bool(self.results)
        return Table(self.suite, header, rows if self.results else [], notes)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw a panel per task, a curve per model over the scenarios.

        Args:
            path: The picture's file (default: none).

        Raises:
            ValueError: If nothing is finished.
        """
        if not self.results:
            raise ValueError(f"suite {self.suite}: nothing is finished: {self.failures}")
        figure = draw_curves([result.curves() for result in self.results.values()])
        save_figure(figure, path)
        return figure

    def save(self) -> Path:
        """Write the table, as Markdown, and the picture beside the results of the tasks; returns the table's file."""
        path = self.folder.with_suffix(".md")
        lines = [f"# {self.suite}", self.table().markdown() if self.results else "", *self._reasons()]
        with atomic_write(path) as temporary:
            temporary.write_text("\n\n".join(filter(None, lines)) + "\n", encoding="utf-8")
        if self.results:
            self.plot(path.with_suffix(".png"))
        return path

    @property
    def _models(self) -> list[str]:
        return [name for result in list(self.results.values())[:1] for name in result.variants]

    def _reasons(self) -> list[str]:
        return [f"{name}: {reason}" for name, reason in self.failures.items()]

    def __str__(self) -> str:
        return "\n".join([str(self.table()) if self.results else self.suite, *self._reasons()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_() + "".join(f"<p>{reason}</p>" for reason in self._reasons())


def _names(config: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """What stands below a key that has names, which is taken out."""
    given = config.pop(key, None)
    if not isinstance(given, Mapping) or not given or not all(isinstance(part, Mapping) for part in given.values()):
        raise ValueError(f"{key}: expected names, and what each changes, got {given!r}")
    return {str(name): dict(part) for name, part in given.items()}


def _recipe(
    name: str, shared: Mapping[str, Any], change: dict[str, Any], models: dict[str, Any], scenarios: dict[str, Any]
) -> Recipe:
    task = name.partition("/")[2]
    chosen = change.pop("scenarios", list(scenarios))
    try:
        for scenario in chosen:
            if scenario not in scenarios:
                raise ValueError(unknown_name(scenario, list(scenarios), "scenario"))
        points = {scenario: {"scenario": scenarios[scenario]} for scenario in chosen}
        return Recipe(name, merged(shared, change) | {"variants": models, "points": points})
    except ValueError as error:
        raise ValueError(f"tasks.{task}: {error}") from error


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
