"""Runs over seeds and splits, each kept as soon as it is finished, the current one from minute to minute."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.core.files import atomic_write
from graphkit.core.hashing import hash_config
from graphkit.core.parallel import parallel
from graphkit.datasets import MissingFilesError, check, load_splits
from graphkit.recipes.experiment import Experiment
from graphkit.recipes.reproduction import RUN_KEYS, Reproduction, in_unit
from graphkit.tasks import Task
from graphkit.training import Trainer

if TYPE_CHECKING:
    from graphkit.recipes.recipe import Recipe

_logger = logging.getLogger("graphkit.recipes")

Job = tuple[int | str, int]  # split and seed
CHECKPOINT_SECONDS = 60.0


class OutOfTime(Exception):
    """The deadline came before all runs were done; those that were are kept."""


@dataclass(frozen=True)
class Execution:
    """How the runs of a recipe are carried out.

    Args:
        jobs: Parallel processes of joblib; within ``joblib.parallel_config`` its backend is used, e.g. Dask or Ray
            (default: what joblib is told there, else 1).
        threads: The threads of each run. Scores are bit-equal for any ``jobs``, but not for other ``threads``
            (default: 1).
        folder: Where finished runs are kept (default: ``runs/reproduce``).
        fresh: Repeat finished runs (default: ``False``).
        progress: Show a bar over runs and, where they run one by one, over each one's epochs (default: on a terminal).
        deadline: The ``time.monotonic()`` from which on no run is started (default: ``None``).
    """

    jobs: int | None = None
    threads: int = 1
    folder: str | os.PathLike[str] = "runs/reproduce"
    fresh: bool = False
    progress: bool | None = None
    deadline: float | None = None

    @property
    def has_time(self) -> bool:
        """Whether the deadline has not come."""
        return self.deadline is None or time.monotonic() < self.deadline


def reproduce(recipe: Recipe, seeds: list[int], splits: list[int | str], execution: Execution) -> Reproduction:
    """The work behind :meth:`graphkit.recipes.Recipe.run`."""
    experiment = recipe.experiment
    own_splits = splits == recipe.splits
    slug = "" if own_splits else "-" + "-".join(str(split).replace("/", "-") for split in splits)
    result = Reproduction(
        recipe=recipe.name,
        experiment=f"{experiment.config['model']['class_path']} on {experiment.config['task']['name']}",
        published=recipe.published if own_splits else None,
        metric=recipe.metric,
        tolerance=recipe.tolerance,
        runs=[],
        command=_command(recipe, seeds, splits, execution.threads),
        config_hash=experiment.hash,
        note=recipe.note,
        name=recipe.name + slug,
        is_shipped=recipe.is_shipped,
        unit=recipe.unit,
    )
    try:
        for split in splits:
            _task(_task_config(experiment), split)  # fetched and parsed once, before processes start
    except MissingFilesError:
        states = check(experiment.config["task"]["name"])
        result.missing = next((path for path, state in states.items() if state == "missing"), "its raw files")
        return result
    folder = Path(execution.folder) / recipe.name
    kept: dict[Job, tuple[Path, str]] = {}  # the folder of each run, and what makes it
    for split in splits:
        for seed in seeds:
            place = folder / (str(split) if len(splits) > 1 or not own_splits else "") / f"seed-{seed}"
            key = _key(experiment, split, seed, execution.threads, recipe.also_test)
            kept[split, seed] = (place.absolute(), key)
    found = {
        job: run
        for job, (place, key) in kept.items()
        if not execution.fresh and (run := _read(place / "result.json", key))
    }
    todo = {job: place / f"unfinished-{key}" for job, (place, key) in kept.items() if job not in found}
    state = f"{{}} of {len(kept)} runs of {recipe.name} are kept in {folder}; the same command does the rest"
    try:
        for job, run in _run_all(recipe, todo, len(found), execution):
            found[job] = run
            place, key = kept[job]
            with atomic_write(place / "result.json") as temporary:
                temporary.write_text(json.dumps({"key": key, "run": run}, indent=1))
            _logger.info("%s", _told(recipe, run))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(state.format(len(found))) from None
    if len(found) < len(kept):
        raise OutOfTime(state.format(len(found)))
    for job in kept:
        run = found[job]
        scaled = {key: in_unit(run[key], recipe.unit) if key in ("test", "val") else run[key] for key in RUN_KEYS}
        scaled = {key: round(x, 6) if isinstance(x, float) else x for key, x in scaled.items()}
        if recipe.also_test:
            scaled["also_test"] = {split: round(in_unit(x, recipe.unit), 6) for split, x in run["also_test"].items()}
        result.runs.append(scaled)
        result.hardware, result.versions = run["hardware"], run["versions"]
    return result


def _told(recipe: Recipe, run: dict[str, Any]) -> str:
    test, val = (in_unit(run[key], recipe.unit) for key in ("test", "val"))
    where = f"{recipe.name}, split {run['split']}, seed {run['seed']}"
    return f"{where}: test {test:.2f}, val {val:.2f}, {run['epochs']} epochs, {run['seconds']:.0f} s"


def _run_all(
    recipe: Recipe, todo: dict[Job, Path], done: int, execution: Execution
) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Runs with the folders of their checkpoints."""
    from joblib import delayed, effective_n_jobs
    from tqdm import tqdm

    config = json.dumps(recipe.experiment.config)
    shown = sys.stderr.isatty() if execution.progress is None else execution.progress
    epochs = shown and effective_n_jobs(execution.jobs) == 1
    calls = (
        delayed(_run_one)(config, job, execution.threads, recipe.also_test, folder, not execution.fresh, epochs)
        for job, folder in takewhile(lambda _: execution.has_time, todo.items())
    )
    with tqdm(total=done + len(todo), initial=done, unit="run", disable=not shown) as bar:
        for job, run in parallel(calls, execution.jobs):
            bar.update()
            yield job, run


def _run_one(
    config: str, job: Job, threads: int, also_test: list[int | str], folder: Path, resume: bool, progress: bool
) -> tuple[Job, dict[str, Any]]:
    """One training, in whatever process or on whatever machine joblib chose; its checkpoint goes when it is done."""
    import torch

    split, seed = job
    experiment = Experiment(json.loads(config))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        task = _task(_task_config(experiment), split)
        files = {"run_dir": folder, "loggers": (), "checkpoint_seconds": CHECKPOINT_SECONDS}
        trainer = experiment.build_trainer(seed=seed, progress=progress, **files)
        result = trainer.fit(experiment.build_model(task), task, resume=resume)
        further = _further(_task_config(experiment), split, tuple(also_test)) if also_test else []
        run = {key: getattr(result, key) for key in (*RUN_KEYS, "hardware", "versions")}
        run["also_test"] = {other.split.name: _test(trainer, other) for other in further}
    finally:
        torch.set_num_threads(before)
    shutil.rmtree(folder)
    return job, run


def _test(trainer: Trainer, task: Task) -> float:
    """The score of what a trainer has just trained on another task's test part."""
    metric = task.new_metric()
    metric.update(*trainer.predict(task))
    return metric.compute()


def _task_config(experiment: Experiment) -> str:
    parts = ("task", "transforms", "features", "rewiring", "sampler")
    return json.dumps({key: experiment.config[key] for key in parts})


@lru_cache(maxsize=1)  # all seeds of a split share the task
def _task(config: str, split: int | str) -> Task:
    return Experiment(json.loads(config)).load_task(split)


@lru_cache(maxsize=1)
def _further(config: str, split: int | str, others: tuple[int | str, ...]) -> list[Task]:
    options = dict(json.loads(config)["task"])
    name, _ = options.pop("name"), options.pop("split")
    return [_task(config, split).with_split(other) for other in load_splits(name, others, **options)]


def _key(experiment: Experiment, split: int | str, seed: int, threads: int, also_test: list[int | str]) -> str:
    import torch

    import graphkit

    versions = [graphkit.__version__, torch.__version__]
    return hash_config([experiment.hash, split, seed, threads, *versions, *([also_test] if also_test else [])])


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """A kept run, or ``None`` if there is none, it is damaged, or it was made in another way."""
    try:
        content = json.loads(path.read_text())
        run = content["run"]
        complete = all(isinstance(run[name], int | float | str) for name in (*RUN_KEYS, "hardware"))
        return run if complete and run["versions"] and content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _command(recipe: Recipe, seeds: list[int], splits: list[int | str], threads: int) -> str:
    listed = str(len(seeds)) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds))
    parts = ["graphkit reproduce", recipe.name if recipe.is_shipped else str(recipe.path), f"--seeds {listed}"]
    parts += [] if splits == recipe.splits else [f"--split {','.join(map(str, splits))}"]
    parts += [] if threads == 1 else [f"--threads {threads}"]
    return " ".join(parts)
