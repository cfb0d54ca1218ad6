"""Runs over seeds and splits, each saved as soon as it is finished, the current one from minute to minute."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from graphkit.core.constraints import Count, Finite, Jobs, checked
from graphkit.core.display import progress_bar, shows_progress
from graphkit.core.files import read_record, remove_temporaries, write_record
from graphkit.core.hashing import hash_config
from graphkit.core.locks import locked
from graphkit.core.parallel import parallel
from graphkit.datasets import load_splits
from graphkit.models.unread import UnreadWarning
from graphkit.recipes.experiment import Experiment
from graphkit.tasks import Task
from graphkit.training import Result, Trainer
from graphkit.training.lifecycle import training_lock

_logger = logging.getLogger("graphkit.recipes")

Job = tuple[int | str, int]  # split and seed
Run = dict[str, Any]
CHECKPOINT_SECONDS = 60.0
RUN_KEYS = ("seed", "split", "split_hash", "test", "val", "best_epoch", "epochs", "seconds")


class OutOfTime(Exception):
    """The deadline came before all runs were done; those that were are saved."""


@checked
@dataclass(frozen=True)
class RunOptions:
    """How the runs of a recipe are carried out.

    Processes that run the same recipe in the same folder at once wait for each other run by run.

    Args:
        jobs: Parallel processes of joblib; within ``joblib.parallel_config`` its backend is used, e.g. Dask or Ray
            (default: what joblib is told there, else 1).
        threads: The threads of each run. Scores are bit-equal for any ``jobs``, but not for other ``threads``
            (default: 1).
        folder: Where finished runs are saved (default: ``runs/reproduce``).
        fresh: Repeat finished runs (default: ``False``).
        progress: Show a bar over runs and, where they run one by one, over each one's epochs (default: on a terminal).
        deadline: The ``time.monotonic()`` from which on no run is started (default: ``None``).
    """

    jobs: Jobs | None = None
    threads: Count = 1
    folder: str | os.PathLike[str] = "runs/reproduce"
    fresh: bool = False
    progress: bool | None = None
    deadline: Finite | None = None

    @property
    def has_time(self) -> bool:
        """Whether the deadline has not come."""
        return self.deadline is None or time.monotonic() < self.deadline


@dataclass(frozen=True)
class Schedule:
    """The runs of one cell of a recipe.

    Attributes:
        name: The cell's name.
        experiment: What is trained.
        seeds: Its seeds.
        splits: Its splits.
        also_test: Further splits on whose test parts the trained models are scored.
        unit: The unit of tables.
        by_split: Whether the runs of each split lie in a folder of their own.
    """

    name: str
    experiment: Experiment
    seeds: list[int]
    splits: list[int | str]
    also_test: list[int | str]
    unit: str
    by_split: bool

    def run(self, options: RunOptions) -> list[Run]:
        """Train with every seed on every split; scores, and the baseline of the split, are in the table's unit.

        Splits that are not there are refused before the first run.

        Raises:
            MissingFilesError: If the dataset is not at hand.
            KeyboardInterrupt: After Ctrl-C; says how many runs are saved.
            OutOfTime: If the deadline came before the last run was started; says the same.
        """
        task_of(self.experiment, self.splits[0])  # fetched and parsed once, before processes start
        if self.splits[1:]:  # each task is loaded when its runs begin, but its split must be there
            task = self.experiment.config["task"]
            load_splits(splits=self.splits, **{key: task[key] for key in task if key not in ("split", "metric")})
        folder = Path(options.folder) / self.name
        places: dict[Job, tuple[Path, str]] = {}  # the folder of each run, and what makes it
        for split in self.splits:
            for seed in self.seeds:
                place = folder / (str(split) if self.by_split else "") / f"seed-{seed}"
                places[split, seed] = place.absolute(), self._key(split, seed, options.threads)
        train = partial(_trained, json.dumps(self.experiment.config), options.threads, self.also_test)
        runs = carry_out(self.name, places, train, options, self.unit)
        for (split, _), run in runs.items():
            if "baseline" not in run:  # it was saved before runs had one
                run["baseline"] = task_of(self.experiment, split).baseline()
        return [self._in_unit(run) for run in runs.values()]

    def reported(self, runs: Sequence[Run]) -> list[Run]:
        """What result files hold of runs."""
        names = [*RUN_KEYS, "baseline", "num_parameters", "judged"] + ["also_test"] * bool(self.also_test)
        return [{name: run[name] for name in names if name in run} for run in runs]

    def _in_unit(self, run: Run) -> Run:
        scored = [key for key in ("test", "val", "baseline") if run[key] is not None]
        scores = {key: in_unit(run[key], self.unit) for key in scored}
        rounded = {key: round(x, 6) if isinstance(x, float) else x for key, x in (run | scores).items()}
        rounded["also_test"] = {split: round(in_unit(x, self.unit), 6) for split, x in run["also_test"].items()}
        return rounded

    def _key(self, split: int | str, seed: int, threads: int) -> str:
        further = [extra for extra in (self.also_test, self.experiment.own_code) if extra]
        return hash_config([self.experiment.hash, split, seed, threads, *code_versions(), *further])


Train = Callable[[Job, Path, bool, bool], Run]  # in a folder, going on there or not, with a bar over epochs or not


def carry_out(
    name: str, places: Mapping[Job, tuple[Path, str]], train: Train, options: RunOptions, unit: str
) -> dict[Job, Run]:
    """The runs of all jobs, of which those that are saved are not trained again.

    Args:
        name: What the runs are called in messages.
        places: The folder of each run, and a digest of what makes it.
        train: What trains one.
        options: How.
        unit: The unit of scores in messages.

    Raises:
        KeyboardInterrupt: After Ctrl-C; says how many runs are saved.
        OutOfTime: If the deadline came before the last run was started; says the same.
    """
    folder = Path(options.folder) / name
    finished = {job: run for job, place in places.items() if not options.fresh and (run := saved_run(*place))}
    state = f"{{}} of {len(places)} runs of {name} are saved in {folder}; the same command does the rest"
    try:
        for job, run in _train(places, finished, train, options):
            finished[job] = run
            test, val = (in_unit(run[key], unit) for key in ("test", "val"))
            where = f"{name}, split {run['split']}, seed {run['seed']}"
            cost = f"{run['epochs']} epochs, {run['seconds']:.0f} s"
            _logger.info("%s: test %.2f, val %.2f, %s", where, test, val, cost)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(state.format(len(finished))) from None
    if len(finished) < len(places):
        raise OutOfTime(state.format(len(finished)))
    return {job: finished[job] for job in places}


def _train(
    places: Mapping[Job, tuple[Path, str]], finished: Mapping[Job, Run], train: Train, options: RunOptions
) -> Iterator[tuple[Job, Run]]:
    from joblib import delayed, effective_n_jobs

    shown = shows_progress(options.progress)
    epochs = shown and effective_n_jobs(options.jobs) == 1
    unfinished = [job for job in places if job not in finished]
    calls = (
        delayed(_run_one)(train, job, *places[job], not options.fresh, epochs)
        for job in takewhile(lambda _: options.has_time, unfinished)
    )
    with progress_bar(total=len(places), initial=len(finished), unit="run", show=shown) as bar:
        for job, run in parallel(calls, options.jobs):
            bar.update()
            yield job, run


def code_versions() -> list[str]:
    """The versions with which saved runs were made."""
    import torch

    import graphkit

    return [graphkit.__version__, torch.__version__]


def in_unit(value: float, unit: str) -> float:
    """A metric's value in the unit of tables."""
    if unit == "log10":
        return math.log10(max(value, 1e-300))
    return value * 100.0 if unit == "%" else value


def _run_one(train: Train, job: Job, place: Path, key: str, resume: bool, progress: bool) -> tuple[Job, Run]:
    """One run, in whatever process or on whatever machine joblib chose: trained, or what another one trained."""
    split, seed = job
    waiting = f"another process trains split {split}, seed {seed} in {place}; waiting for its result"
    with locked(place / f"{key}.lock", waiting):
        run = saved_run(place, key) if resume else None
        if run is None:
            unfinished = place / f"unfinished-{key}"
            run = train(job, unfinished, resume, progress)
            remove_temporaries(place / "result.json")
            write_record(place / "result.json", {"key": key, "run": run})
            shutil.rmtree(unfinished)
    return job, run


def _trained(
    config: str, threads: int, also_test: list[int | str], job: Job, folder: Path, resume: bool, progress: bool
) -> Run:
    split, seed = job
    experiment = Experiment(json.loads(config))
    with on_threads(threads):
        trainer = experiment.build_trainer(seed=seed, progress=progress, **files_in(folder))
        with warnings.catch_warnings(action="ignore", category=UnreadWarning):  # a recipe has chosen what is read
            task = task_of(experiment, split)
            result = trainer.fit(experiment.build_model(task), task, resume=resume, overwrite=not resume)
        further = _further(_task_config(experiment), experiment.own_code, tuple(also_test))
        return run_of(result) | {"also_test": {other.split.name: _test(trainer, other) for other in further}}


@contextmanager
def on_threads(number: int) -> Iterator[None]:
    """Train with a number of threads, which is that of the whole process."""
    import torch

    with training_lock:
        before = torch.get_num_threads()
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def files_in(folder: Path) -> dict[str, Any]:
    """The arguments of a trainer whose run can go on, and leaves no other files."""
    return {"run_dir": folder, "loggers": (), "checkpoint_seconds": CHECKPOINT_SECONDS}


def run_of(result: Result) -> Run:
    """What is saved of a run."""
    keys = (*RUN_KEYS, "baseline", "num_parameters", "hardware", "versions")
    return {key: getattr(result, key) for key in keys} | {"judged": result.judged["test"]}


def _test(trainer: Trainer, task: Task) -> float:
    """The score of what a trainer has just trained on another task's test part."""
    metric = task.fresh_metric()
    metric.update(*trainer.predict(task))
    return metric.compute()


def task_of(experiment: Experiment, split: int | str) -> Task:
    """The experiment's task, kept as long as nothing asks for another one."""
    return _task(_task_config(experiment), split, experiment.own_code)


def _task_config(experiment: Experiment) -> str:
    parts = ("task", "scenario", "transforms", "features", "rewiring", "sampler")
    return json.dumps({key: experiment.config[key] for key in parts})


@lru_cache(maxsize=1)  # all seeds of a split share the task
def _task(config: str, split: int | str, own_code: str) -> Task:
    return Experiment(json.loads(config)).load_task(split)


@lru_cache(maxsize=1)
def _further(config: str, own_code: str, splits: tuple[int | str, ...]) -> list[Task]:
    """The tasks of further splits, each loaded by its name: a split may also say what is judged, and against what."""
    experiment = Experiment(json.loads(config))
    return [experiment.load_task(split) for split in splits]


def saved_run(place: Path, key: str) -> Run | None:
    """The run in a folder, or ``None`` if there is none, it is damaged, or it was made in another way."""
    path = place / "result.json"
    try:
        content = read_record(path)
        run = content["run"]
        complete = all(isinstance(run[name], int | float | str) for name in (*RUN_KEYS, "hardware"))
        return run if complete and run["versions"] and content["key"] == key else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _logger.warning("%s is damaged (%s); the run is repeated", path, error)
        return None
