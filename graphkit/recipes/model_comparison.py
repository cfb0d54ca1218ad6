"""Models trained on the same splits with the same seeds, and compared."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from graphkit.core.constraints import Count, Jobs, Seed, checked
from graphkit.core.figures import OF_RESULTS
from graphkit.core.hashing import hash_config
from graphkit.core.object_hash import hash_object
from graphkit.datasets import card, load
from graphkit.datasets.splits import choose
from graphkit.metrics import is_percent
from graphkit.recipes.comparison import RunComparison, compare_runs, pairs_of
from graphkit.recipes.contestants import Contestant, contestants
from graphkit.recipes.drawing import SECONDS, draw_costs, spots
from graphkit.recipes.running import Job, Run, RunOptions, carry_out, code_versions, in_unit, on_threads, saved_run
from graphkit.recipes.statistics import by_split
from graphkit.tasks import LinkSplit, Split, Task
from graphkit.training import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class ModelComparison(RunComparison):
    """What :func:`compare` found: a table, in notebooks, :meth:`latex` and :meth:`frame` too, and a picture.

    Attributes:
        scores: The test scores by model: one per run, or where there are several splits one per split.
        differences: Each compared pair: the model, and its difference to another.
        ranks: The mean rank of each model; 1 is the best.
        overlap: The ratio of test to training examples where splits divide the same data, else 0.
        higher_is_better: Whether a larger score is a better one.
        task: The task's name.
        metric: The score's name.
        unit: The unit of all scores.
        runs: Each run as a dict: model, seed, split, test, val, best_epoch, epochs, seconds, ...
        baseline: The score of predictors that ignore their input, if it is known.
        judged: How many items a test score is of, in words, such as ``"1000 nodes"``.
    """

    task: str = ""
    metric: str = ""
    unit: str = ""
    runs: list[Run] = field(default_factory=list)
    baseline: float | None = None
    judged: str = ""

    @property
    def _title(self) -> str:
        splits = len({run["split"] for run in self.runs})
        over = f"{splits} splits, " if splits > 1 else ""
        return f"{self.task}: {self._label} on {self.judged}, {over}{len(self.runs) // len(self.scores)} runs each"

    @property
    def _label(self) -> str:
        return f"test {self.metric} ({self.unit})" if self.unit else f"test {self.metric}"

    _KINDS = tuple(OF_RESULTS)

    def _costs(self) -> Figure:
        seconds = {name: [run["seconds"] for run in self.runs if run["model"] == name] for name in self.scores}
        scores, costs = ([fmean(values) for values in one.values()] for one in (self.scores, seconds))
        return draw_costs(spots(list(self.scores), scores, costs, self.higher_is_better), self._label, SECONDS)

    def __str__(self) -> str:
        lines = [str(self.table())]
        if self.baseline is not None:
            lines.append(f"baseline {self.baseline:.2f} {self.unit}".rstrip() + ", ignoring the input")
        return "\n".join(lines)

    __repr__ = __str__


@checked
def compare(
    models: Sequence[Any] | Mapping[str, Any],
    task: Task | str,
    splits: Count | Sequence[int | str | Split | LinkSplit] | None = None,
    seeds: Count | Sequence[Seed] = 5,
    trainer: Trainer | None = None,
    against: str | Mapping[str, str] | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    jobs: Jobs | None = None,
    threads: Count = 1,
    fresh: bool = False,
    progress: bool | None = None,
) -> ModelComparison:
    """Train models with the same seeds on the same splits, and compare their test scores.

    Means with 95 % intervals, mean ranks, and for pairs of models the differences of runs with the same seed and split,
    tested as :func:`~graphkit.recipes.compare_runs` says: paired, corrected for all pairs that are compared, and for
    splits of the same data, whose training parts overlap. Several seeds on each of several splits count as one run a
    split. Each model is first tried for an epoch, so that what does not fit is told before the first run.

    With ``run_dir`` each run is saved as soon as it is finished, and the current one from minute to minute: the same
    call after a kill does the rest, and further models, seeds or splits train nothing twice. A run counts as the same
    if code, settings, task and versions are.

    Args:
        models: What is compared, by name; in a list each is called by its class. An entry is a model, of which each run
            trains a copy with new weights; a class, or what ``graphkit list models`` calls it, built for the task
            (:meth:`~graphkit.models.LayeredModel.from_task`); a :class:`~graphkit.stacking.GraphStacking`; a function
            from a task to a model; or a dict with such a ``"model"`` and more: a ``"transform"`` of the graphs (such as
            a rewiring), a ``"sampler"``, a ``"task"``
            (a function from the task to one that differs, say, in its loss), and arguments of the trainer, such as
            ``"strategy"`` or ``"lr"``, which replace those of ``trainer``.
        task: The task, or the name of a dataset.
        splits: For a dataset their number, or a list as for :func:`graphkit.datasets.load`; for a task a list of
            :class:`~graphkit.tasks.Split` (default: the task's own).
        seeds: Their number (0, 1, ...) or a list (default: 5).
        trainer: How all are trained; seeds and folders are those of the runs, nothing is logged, and each run has
            copies of the callbacks (default: ``Trainer()``).
        against: The model that all others are compared with, or for each the one that it is compared with (default:
            ``None``, every pair).
        run_dir: The folder of finished runs (default: none are kept).
        jobs: Parallel processes of joblib (default: what joblib is told, else 1).
        threads: The threads of each run; scores are bit-equal for any ``jobs``, but not for other ``threads``
            (default: 1).
        fresh: Repeat runs that are there (default: ``False``).
        progress: Show a bar (default: on a terminal and in notebooks).

    Raises:
        TypeError: If an argument has the wrong type, or a model does not fit the task.
        ValueError: If a setting, name or split is wrong, there are fewer than 2 models or runs, or shapes do not fit.
        KeyboardInterrupt: After Ctrl-C; says how many runs are saved.

    Example:
        >>> import graphkit as gk
        >>> models = {"GCN": gk.models.GCN, "wide": lambda task: gk.models.GCN.from_task(task, hidden_channels=128)}
        >>> comparison = gk.compare(models, "karate", seeds=3, trainer=gk.Trainer(max_epochs=5), progress=False)
        >>> list(comparison.scores), len(comparison.runs)
        (['GCN', 'wide'], 6)
    """
    trainer = Trainer() if trainer is None else trainer
    if trainer.run_dir is not None:
        raise ValueError(f"compare: trainer.run_dir={str(trainer.run_dir)!r}, but each run has its own; give run_dir")
    if trainer.loggers:
        raise ValueError(f"compare: trainer.loggers={trainer.loggers!r}, but runs are not logged; use a callback")
    named = contestants(models, trainer)
    pairs_of([each.name for each in named], against, "compare")
    chosen = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    data = _Data(task, _splits(task, splits))
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"compare: seeds={seeds!r} repeats a seed, which would count one run twice")
    if len(chosen) * len(data.splits) < 2:
        raise ValueError("compare: 1 run of each model, must be at least 2; give more seeds or splits")
    parts = [_Part.of(data.with_split(split), split) for split in data.splits]
    if len({part.name for part in parts}) < len(parts):
        raise ValueError(f"compare: splits={splits!r}, some have the same name; give each its own")
    with ExitStack() as stack:
        folder = run_dir or stack.enter_context(tempfile.TemporaryDirectory())
        options = RunOptions(jobs, threads, folder, fresh, progress)
        series = [_Series(each, data, parts, chosen, options) for each in named]
        for each in series:
            each.try_out()
        runs = {each.contestant.name: each.runs() for each in series}
    return _compared(data.with_split(data.splits[0]), parts, runs, against)


def _splits(task: Task | str, splits: Any) -> list[Any]:
    """What is trained on one after the other: names of splits of a dataset, or splits of a task."""
    if isinstance(splits, Sequence) and not splits:
        raise ValueError("compare: splits=[], must not be empty")
    if isinstance(task, str):
        names = list(splits) if isinstance(splits, Sequence) else list(range(splits or 1))
        metrics = {choose(card(task), name)[0].metric for name in names}
        if len(metrics) > 1:
            raise ValueError(f"compare: splits={splits!r} of {task} are judged by different metrics")
        return names
    if splits is None:
        return [task.split]
    if isinstance(splits, Sequence) and all(isinstance(split, Split | LinkSplit) for split in splits):
        return list(splits)
    raise TypeError(
        f"compare: splits={splits!r} of the task {task.name!r}, must be a list of gk.Split, such as Split.k_fold(...); "
        "numbers and names are splits of datasets, so give the dataset's name as the task"
    )


@dataclass(frozen=True)
class _Data:
    """A task, or the name of a dataset, and its splits."""

    task: Task | str
    splits: list[Any]

    def with_split(self, split: Any) -> Task:
        """The task with one of the splits."""
        return load(self.task, split) if isinstance(self.task, str) else self.task.with_split(split)


@dataclass(frozen=True)
class _Part:
    """What is known of the task with one split, without its data.

    Attributes:
        name: The split's name.
        split: What loads it.
        digest: A digest of graphs, labels, split, loss and metric.
        ratio: The number of test examples per example of training and validation.
        baseline: The score that needs no model.
        unit: The unit in which scores are shown.
        judged: How many items the test part has, in words.
    """

    name: str
    split: Any
    digest: str
    ratio: float
    baseline: float | None
    unit: str
    judged: str

    @classmethod
    def of(cls, task: Task, split: Any) -> _Part:
        train, val, test = task.split.sizes
        judged = [type(task), task.target, task.fresh_metric(), task.sampler]
        digest = hash_config([task.content_hash, task.split.hash, task.describe(), hash_object(judged)])
        unit = "%" if is_percent(task.metric) else ""
        return cls(
            task.split.name, split, digest, test / (train + val), task.baseline(), unit, task.judged_items("test")
        )


@dataclass
class _Series:
    """All runs of one model."""

    contestant: Contestant
    data: _Data
    parts: list[_Part]
    seeds: list[int]
    options: RunOptions
    _prepared: dict[str, Task] = field(default_factory=dict)  # of the split that is being trained on

    @cached_property
    def name(self) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_.+-]+', '-', self.contestant.name)}-{self.contestant.digest()}"

    @cached_property
    def places(self) -> dict[Job, tuple[Path, str]]:
        folder, versions = Path(self.options.folder, self.name).absolute(), code_versions()
        return {
            (part.name, seed): (
                folder / part.name / f"seed-{seed}",
                hash_config([self.name, part.digest, seed, self.options.threads, *versions]),
            )
            for part in self.parts
            for seed in self.seeds
        }

    def task(self, name: str) -> Task:
        """The task with one split, as the model is trained on it; all seeds share it."""
        if name not in self._prepared:
            split = next(part.split for part in self.parts if part.name == name)
            self._prepared = {name: self.contestant.prepared(self.data.with_split(split))}
        return self._prepared[name]

    def try_out(self) -> None:
        """Find out what does not fit, unless all runs are there."""
        if not self.options.fresh and all(saved_run(*place) for place in self.places.values()):
            return
        try:
            with warnings.catch_warnings(action="ignore"), on_threads(self.options.threads):
                self.contestant.try_out(self.task(self.parts[0].name))
        except (TypeError, ValueError, RuntimeError) as error:
            kind = next(kind for kind in (TypeError, ValueError, RuntimeError) if isinstance(error, kind))
            raise kind(f"compare: {self.contestant.name}: {error}") from error

    def runs(self) -> list[Run]:
        """All runs, those that are saved among them."""
        self._prepared = {}  # does not go along to other processes
        return list(carry_out(self.name, self.places, partial(_run, self), self.options, self.parts[0].unit).values())


def _run(series: _Series, job: Job, folder: Path, resume: bool, progress: bool) -> Run:
    split, seed = job
    return series.contestant.train(series.task(str(split)), series.options.threads, seed, folder, resume, progress)


def _compared(
    task: Task, parts: list[_Part], runs: dict[str, list[Run]], against: str | Mapping[str, str] | None
) -> ModelComparison:
    unit = parts[0].unit
    told: list[Run] = [
        {"model": name} | run | {key: in_unit(run[key], unit) for key in ("test", "val")}
        for name, own in runs.items()
        for run in own
    ]
    scores = {}
    for name in runs:
        own = [run for run in told if run["model"] == name]
        scores[name] = by_split([run["test"] for run in own], [run["split"] for run in own])
    overlap = max(part.ratio for part in parts) if len(parts) > 1 else 0.0
    found = compare_runs(scores, against, overlap=overlap, higher_is_better=task.higher_is_better)
    known = [in_unit(part.baseline, unit) for part in parts if part.baseline is not None]
    baseline = fmean(known) if len(known) == len(parts) else None
    return ModelComparison(
        **vars(found),
        task=task.name,
        metric=task.metric,
        unit=unit,
        runs=told,
        baseline=baseline,
        judged=" or ".join(dict.fromkeys(part.judged for part in parts)),
    )
