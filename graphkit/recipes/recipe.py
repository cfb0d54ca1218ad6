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
from graphkit.datasets import MissingFilesError, card, check
from graphkit.datasets.splits import choose, fold_overlap
from graphkit.metrics import is_percent
from graphkit.recipes.cells import CellTable
from graphkit.recipes.experiment import KEYS, Experiment
from graphkit.recipes.files import find, is_shipped, read, results_folder
from graphkit.recipes.keys import TABLE_KEYS, Changes, Protocol, Seeds, Splits, seeds_of
from graphkit.recipes.papers import Published
from graphkit.recipes.result import RecipeResult
from graphkit.recipes.running import RunOptions, Schedule
from graphkit.recipes.verdict import CellResult, practical


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
        said = Protocol.from_config(config)
        experiment = Experiment.from_config({key: config[key] for key in config if key in KEYS})
        metric = _metric(experiment, said)
        percent = is_percent(metric)
        unit = said.unit or ("%" if percent else "")
        if unit not in (("%",) if percent else ("", "log10")):
            raise ValueError(f"unit: {unit!r} does not fit {metric}, which is given in {'%' if percent else 'log10'}")
        published = Published.from_config(said.published) if said.published else None
        if published is not None and published.unit != unit:
            raise ValueError(f"published.unit is {published.unit!r}, but {metric} is given in {unit!r}")
        if published is None and (said.margin is not None or said.not_comparable):
            raise ValueError("margin and not_comparable are about a published value, and there is none")
        if published is not None:
            practical(metric, published, said.margin)
        reason = " ".join(said.not_comparable.split())
        return cls(experiment, metric, unit, published, against, said.margin, reason)


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
        said = Protocol.from_config(config)
        points, variants = _named_changes(said.points), _named_changes(said.variants)
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
        self.seeds = seeds_of(said.seeds)
        self.splits = _splits(self.first.experiment, said)
        self.also_test = list(said.also_test or [])
        self.note = " ".join((said.note or "").split())
        self.command = ""  # by which something else runs it, such as a suite

    @property
    def is_shipped(self) -> bool:
        """Whether it is one of graphkit's own."""
        return is_shipped(self.path)

    @property
    def result_path(self) -> Path:
        """The file that keeps its result unless told otherwise."""
        return results_folder(self.is_shipped) / f"{self.name}.json"

    @checked
    def run(self, seeds: Seeds | None = None, splits: Splits | None = None, **options: Any) -> RecipeResult:
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
        chosen = self.seeds if seeds is None else seeds_of(seeds)
        own_splits = splits is None or list(splits) == self.splits
        splits = self.splits if splits is None else list(splits)
        how = RunOptions(**options)
        slug = "" if own_splits else "-" + "-".join(str(split).replace("/", "-") for split in splits)
        result = RecipeResult(
            recipe=self.name,
            task=self.task,
            cells={key: _unmeasured(cell, splits, own_splits) for key, cell in self.cells.items()},
            note=self.note,
            command=self.command or self._command(chosen, splits, how.threads),
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
            result.cells[key].runs = schedule.reported(runs)
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


def _named_changes(changes: Changes | None) -> dict[str, dict[str, Any]]:
    return {str(name): dict(part) for name, part in (changes or {}).items()}


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


def _metric(experiment: Experiment, said: Protocol) -> str:
    """The metric of all splits."""
    task = experiment.config["task"]
    if own := task.get("metric"):
        return str(own)
    dataset = card(task["name"])
    splits = [*_splits(experiment, said), *(said.also_test or [])]
    metric, *others = dict.fromkeys(choose(dataset, split)[0].metric or dataset.metric for split in splits)
    if others:
        raise ValueError(f"splits: they are judged by different metrics, {metric} and {others[0]}")
    return metric


def _splits(experiment: Experiment, said: Protocol) -> list[int | str]:
    task = experiment.config["task"]
    if said.splits is None or isinstance(said.splits, Sequence):
        return list(said.splits or [task["split"]])
    family, _ = choose(card(task["name"]), task["split"])
    return [f"{family.name}/{index}" for index in range(said.splits)]


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


@contextmanager
def _named(kind: str, name: str) -> Iterator[None]:
    """Name the point or the variant in whose part of the file something is wrong."""
    try:
        yield
    except ValueError as error:
        if not name:
            raise
        raise ValueError(f"{kind}.{name}: {error}") from error
