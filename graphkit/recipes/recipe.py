"""Recipes: strict reading of a table of cells, and running it over seeds and splits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graphkit.core.constraints import checked
from graphkit.core.validate import unknown_name
from graphkit.datasets import MissingFilesError, card, check
from graphkit.datasets.splits import choose, fold_overlap
from graphkit.metrics import is_percent
from graphkit.recipes.cell_result import CellResult
from graphkit.recipes.cells import CellTable
from graphkit.recipes.experiment import KEYS, Experiment
from graphkit.recipes.files import find, is_shipped, read, results_folder
from graphkit.recipes.published import Published
from graphkit.recipes.result import RecipeResult
from graphkit.recipes.running import RUN_KEYS, RunOptions, Schedule
from graphkit.recipes.verdict import practical

TABLE_KEYS = ("seeds", "splits", "also_test", "unit")  # the same in all cells
CELL_KEYS = (*TABLE_KEYS, "published", "margin", "not_comparable", "note")
RECIPE_KEYS = (*CELL_KEYS, "variants", "points")
_MAX_RUNS = 10_000


@dataclass(frozen=True)
class Cell:
    """What is measured at one point with one variant.

    Attributes:
        experiment: What is trained.
        metric: The score's name.
        unit: The unit of tables.
        published: The published value, if there is one.
        against: The variant that it is compared with, run by run.
        margin: A margin narrower than the metric's, in the table's unit; see :func:`judge`.
        not_comparable: Why the published value stands for something else.
    """

    experiment: Experiment
    metric: str
    unit: str
    published: Published | None
    against: str = ""
    margin: float | None = None
    not_comparable: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], against: str = "") -> Cell:
        """Check the merged content of a recipe's file for this cell.

        Args:
            config: The keys of :class:`Recipe` but ``variants`` and ``points``.
            against: The variant that it is compared with (default: none).

        Raises:
            ValueError: As :class:`Recipe`.
        """
        for key in config:
            if key == "tolerance":
                raise ValueError("tolerance: fewer runs passed more easily by it; a margin may narrow the metric's own")
            if key not in (*KEYS, *CELL_KEYS):
                raise ValueError(unknown_name(key, (*KEYS, *CELL_KEYS), "key"))
        experiment = Experiment.from_config({key: config[key] for key in config if key in KEYS})
        metric = _metric(experiment, config)
        percent = is_percent(metric)
        unit = config.get("unit") or ("%" if percent else "")
        if unit not in (("%",) if percent else ("", "log10")):
            raise ValueError(f"unit: {unit!r} does not fit {metric}, which is given in {'%' if percent else 'log10'}")
        published = Published.from_config(config["published"]) if config.get("published") else None
        if published is not None and published.unit != unit:
            raise ValueError(f"published.unit is {published.unit!r}, but {metric} is given in {unit!r}")
        margin, reason = config.get("margin"), config.get("not_comparable", "")
        if published is None and (margin is not None or reason):
            raise ValueError("margin and not_comparable are about a published value, and there is none")
        if not isinstance(reason, str):
            raise ValueError(f"not_comparable: expected a sentence that says why, got {reason!r}")
        if published is not None:
            practical(metric, published, margin)
        return cls(experiment, metric, unit, published, against, margin, " ".join(reason.split()))


class Recipe(CellTable[Cell]):
    r"""How numbers of a paper are measured: a table of cells, each an experiment with its published value.

    A plain recipe has one cell. ``variants`` are names, and what each changes in the rest of the file; changes are
    merged key by key. A variant may change the model, the strategy, features, rewiring and the trainer, and has its own
    published value; with ``against`` it is compared with another, run by run with the same seed and split. ``points``
    are names, usually sizes, at which all variants are repeated; they may change the task's options, too. Variants are
    merged last, so what they set holds at all points.

    Args:
        name: ``method/dataset``.
        config: The file's content: the keys of :class:`Experiment`, and ``seeds`` (a number or a list; default: 1),
            ``splits`` (a list, or a number: 0, 1, ... of the family of the task's split; default: that split alone),
            ``also_test`` (a list of further splits on whose test parts the trained models are scored), ``unit``
            (``"log10"`` for logarithms of errors), ``published`` (see :class:`Published`), ``margin`` (in the
            table's unit; only a narrower one than the metric's) and ``not_comparable`` (why the published value stands
            for another split, configuration or protocol; see :func:`judge`), ``note``, ``variants`` and ``points``.
        path: The file it was read from, if any (default: ``None``).

    Raises:
        ValueError: If a key, class, argument, dataset or split does not exist or a value has the wrong type; the
            message names the point and the variant.

    Example:
        >>> recipe = load("gcn/cora")
        >>> recipe.cell.published.value, len(recipe.seeds)
        (81.5, 20)
    """

    def __init__(self, name: str, config: Mapping[str, Any], path: Path | None = None) -> None:
        self.name = name
        self.path = path
        points, variants = (_changes(config, key) for key in ("points", "variants"))
        if points and not variants:
            raise ValueError("points: there is nothing to compare without variants")
        shared = {key: value for key, value in config.items() if key not in ("points", "variants")}
        self.cells: dict[tuple[str, str], Cell] = {}
        for point, change in (points or {"": {}}).items():
            with _named("points", point):
                _check_shared(change, (*TABLE_KEYS, "variants"), "points")
                at_point = merged(shared, change)
                for variant, part in (variants or {"": {}}).items():
                    with _named("variants", variant):
                        _check_shared(part, ("task", *TABLE_KEYS), "variants")
                        self.cells[point, variant] = _cell(at_point, part, variant, variants)
        self.metric, self.unit = self.first.metric, self.first.unit
        if others := {cell.metric for cell in self.cells.values()} - {self.metric}:
            raise ValueError(f"points: they are judged by different metrics, {self.metric} and {others.pop()}")
        self.task: str = self.first.experiment.config["task"]["name"]
        self.seeds = _seeds(config.get("seeds", 1))
        self.splits = _splits(self.first.experiment, config)
        self.also_test: list[int | str] = config.get("also_test") or []
        self.note = " ".join(str(config.get("note") or "").split())

    @property
    def is_shipped(self) -> bool:
        """Whether it is one of graphkit's own."""
        return is_shipped(self.path)

    @property
    def result_path(self) -> Path:
        """The file that keeps its result unless told otherwise."""
        return results_folder(self.is_shipped) / f"{self.name}.json"

    def run(
        self, seeds: int | Sequence[int] | None = None, splits: Sequence[int | str] | None = None, **options: Any
    ) -> RecipeResult:
        """Train every cell with every seed on every split and compare with the published values.

        A finished run is saved and not repeated, unless the recipe or the version of graphkit or torch has changed. If
        the dataset is not at hand, the result says so and holds no numbers.

        Args:
            seeds: A number (0, 1, ...) or a list (default: the recipe's).
            splits: Splits (default: the recipe's). Others are measured, but not compared with the published value.
            options: Arguments of :class:`RunOptions`, such as ``jobs=2``.

        Raises:
            KeyboardInterrupt: After Ctrl-C; says how many runs are saved.
            OutOfTime: If ``deadline`` came before the last run was started; says the same.
        """
        chosen = self.seeds if seeds is None else _seeds(seeds)
        own_splits = not splits or list(splits) == self.splits
        splits = list(splits or self.splits)
        how = RunOptions(**options)
        slug = "" if own_splits else "-" + "-".join(str(split).replace("/", "-") for split in splits)
        result = RecipeResult(
            recipe=self.name,
            task=self.task,
            cells={key: _unmeasured(cell, splits, own_splits) for key, cell in self.cells.items()},
            note=self.note,
            command=self._command(chosen, splits, how.threads),
            date=datetime.now(UTC).date().isoformat(),
            path=self.result_path.with_stem(self.result_path.stem + slug),
        )
        by_split = len(splits) > 1 or not own_splits
        for key, cell in self.cells.items():
            name = "/".join(filter(None, [self.name, *key]))
            schedule = Schedule(name, cell.experiment, chosen, splits, self.also_test, self.unit, by_split)
            try:
                runs = schedule.run(how)
            except MissingFilesError:
                states = check(cell.experiment.config["task"]["name"])
                missing = (path for path, state in states.items() if state == "missing")
                result.cells[key].missing = next(missing, "its raw files")
                return result
            if not result.hardware:
                result.hardware, result.versions = runs[-1]["hardware"], runs[-1]["versions"]
            names = [*RUN_KEYS, "baseline"] + ["also_test"] * bool(self.also_test)
            result.cells[key].runs = [{name: run[name] for name in names} for run in runs]
        return result

    def _command(self, seeds: list[int], splits: list[int | str], threads: int) -> str:
        listed = str(len(seeds)) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds))
        parts = ["graphkit reproduce", self.name if self.is_shipped else str(self.path), f"--seeds {listed}"]
        parts += [] if splits == self.splits else [f"--split {','.join(map(str, splits))}"]
        parts += [] if threads == 1 else [f"--threads {threads}"]
        return " ".join(parts)

    def __repr__(self) -> str:
        names = [", ".join(filter(None, table)) for table in (self.variants, self.points)]
        what = f"{names[0] or self.first.experiment}{f' at {names[1]}' if names[1] else ''}"
        return f"Recipe({self.name}: {what} on {self.task}, {len(self.seeds)} seeds, {len(self.splits)} splits)"


@checked
def load(name: str | os.PathLike[str]) -> Recipe:
    """Read a recipe.

    Args:
        name: ``method/dataset``, e.g. ``"gcn/cora"``, or the path of a YAML file.

    Raises:
        ValueError: If there is no such recipe or its content is wrong; the message names the file and the key.
    """
    path = find(name)
    content = read(path)
    try:
        recipe = Recipe(path.stem, content, path)
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from error
    if recipe.is_shipped:
        recipe.name = f"{path.resolve().parent.name}/{path.stem}"
    return recipe


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``, mappings key by key."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _changes(config: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    changes = config.get(key) or {}
    if not isinstance(changes, Mapping) or not all(isinstance(part, Mapping) for part in changes.values()):
        raise ValueError(f"{key}: expected names, and for each what it changes, got {changes!r}")
    return {str(name): dict(part) for name, part in changes.items()}


def _check_shared(change: Mapping[str, Any], keys: Sequence[str], place: str) -> None:
    for key in keys:
        if key in change:
            raise ValueError(f"{key!r} is shared by all {place}; put it at the top")


def _cell(config: Mapping[str, Any], change: Mapping[str, Any], variant: str, variants: Mapping[str, Any]) -> Cell:
    own = dict(change)
    other = own.pop("against", None)
    if other is not None and (other == variant or other not in variants):
        raise ValueError(f"against: {other!r} is no other variant")
    return Cell.from_config(merged(config, own), str(other or ""))


def _metric(experiment: Experiment, config: Mapping[str, Any]) -> str:
    """The metric of all splits."""
    task = experiment.config["task"]
    dataset = card(task["name"])
    splits = [*_splits(experiment, config), *(config.get("also_test") or [])]
    metric, *others = dict.fromkeys(choose(dataset, split)[0].metric or dataset.metric for split in splits)
    if others:
        raise ValueError(f"splits: they are judged by different metrics, {metric} and {others[0]}")
    return metric


def _splits(experiment: Experiment, config: Mapping[str, Any]) -> list[int | str]:
    task, value = experiment.config["task"], config.get("splits")
    if isinstance(value, int) and 0 < value <= _MAX_RUNS and not isinstance(value, bool):
        family, _ = choose(card(task["name"]), task["split"])
        return [f"{family.name}/{index}" for index in range(value)]
    if value is not None and (not isinstance(value, list) or not value):
        raise ValueError(f"splits: expected a number from 1 to {_MAX_RUNS}, or a list of splits, got {value!r}")
    return value or [task["split"]]


def _unmeasured(cell: Cell, splits: Sequence[int | str], own_splits: bool) -> CellResult:
    return CellResult(
        model=cell.experiment.config["model"]["class_path"],
        published=cell.published if own_splits else None,
        metric=cell.metric,
        unit=cell.unit,
        config_hash=cell.experiment.hash,
        against=cell.against,
        margin=cell.margin,
        not_comparable=cell.not_comparable,
        overlap=fold_overlap(card(cell.experiment.config["task"]["name"]), splits),
    )


def _seeds(value: Any) -> list[int]:
    if isinstance(value, int) and value > _MAX_RUNS:
        raise ValueError(f"seeds: {value} runs, must be at most {_MAX_RUNS}; a single seed stands in a list, [{value}]")
    seeds = list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
    valid = isinstance(seeds, Sequence) and not isinstance(seeds, str | bytes) and len(seeds) > 0
    if not valid or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise ValueError(f"seeds: expected a number of at least 1, or a list of seeds, got {value!r}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds: {value!r} repeats a seed, which would count one run twice")
    return list(seeds)


@contextmanager
def _named(kind: str, name: str) -> Iterator[None]:
    """Name the point or the variant in whose part of the file something is wrong."""
    try:
        yield
    except ValueError as error:
        if not name:
            raise
        raise ValueError(f"{kind}.{name}: {error}") from error
