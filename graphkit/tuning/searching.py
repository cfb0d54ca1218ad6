"""One call from a recipe and a space to the best setting and its test scores."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import repeat, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from joblib import effective_n_jobs
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection

import graphkit.recipes
from graphkit.core.constraints import Count, Jobs, Seed, checked
from graphkit.core.display import progress_bar
from graphkit.core.hashing import hash_config
from graphkit.core.parallel import parallel
from graphkit.metrics import is_percent
from graphkit.recipes import CellResult, Experiment, Recipe, RunOptions
from graphkit.recipes.files import find, read
from graphkit.recipes.keys import RECIPE_KEYS
from graphkit.recipes.running import Schedule, code_versions, task_of
from graphkit.tuning.by_name import make_pruner, make_sampler
from graphkit.tuning.conservative import best_trial
from graphkit.tuning.result import SearchResult
from graphkit.tuning.space import SearchSpace
from graphkit.tuning.trials import Trials, counted, open_storage, quiet_optuna

USUAL_SEEDS = 10  # of the winner, where no recipe says how many
POLL_SECONDS = 1.0


class Subject(NamedTuple):
    """What is searched for settings: an experiment, and how a recipe measures it."""

    name: str
    experiment: Experiment
    num_seeds: int
    splits: list[Any]
    also_test: list[int | str]
    log10: bool


@checked
@quiet_optuna()
def search(
    recipe: str | os.PathLike[str] | Recipe | Mapping[str, Any],
    space: str | os.PathLike[str] | Mapping[str, Any],
    trials: Count = 50,
    sampler: str | BaseSampler = "tpe",
    pruner: str | BasePruner | None = None,
    storage: str | os.PathLike[str] | BaseStorage | None = None,
    seeds: Count | None = None,
    seed: Seed = 0,
    jobs: Jobs | None = None,
    threads: Count = 1,
    folder: str | os.PathLike[str] = "runs/search",
    progress: bool | None = None,
) -> SearchResult:
    r"""Search for the settings with the best validation score, by Optuna, and test them with fresh seeds.

    Each trial trains once, on the recipe's (first) split, and is judged by the validation metric of its best epoch. No
    test label is read before all trials are done. Then the winner, of equal ones the first, is trained on all splits of
    the recipe with seeds that no trial has used, ``seed + 1``, ``seed + 2``, ...; its test scores are those of the
    result. With many trials on one split, its validation score is too good to be true; the test scores are not.

    Every trial is kept in the storage as soon as it ends. The same call goes on where a killed one stopped, more
    ``trials`` extend a search, and calls of several processes or machines that share a storage share the trials, which
    are those of the same experiment, space, sampler, pruner and ``seed``. With one job, the same seed gives the same
    trials. A trial that fails is recorded with its error; one that was interrupted does not count.

    Args:
        recipe: A recipe with a single cell (an object, its name, or a file), or what
            :class:`~graphkit.recipes.Experiment` reads, e.g. ``{"model": "GCN", "task": "karate"}``; its task may be a
            folder of own tables.
        space: The settings and their values as a mapping or a YAML file, see :class:`SearchSpace`.
        trials: How many trials there are to be, earlier ones included (default: 50).
        sampler: What proposes settings: an object of Optuna's, or a name, e.g. ``"tpe"``, ``"random"``,
            ``"bruteforce"`` or ``"conservative"`` (default: ``"tpe"``).
        pruner: What ends hopeless trials early, by their validation scores so far: an object of Optuna's, or a name,
            e.g. ``"median"`` or ``"hyperband"`` (default: ``None``, nothing).
        storage: A file of SQLite, the URL of a database, or an object of Optuna's (default: ``trials.sqlite3`` in the
            search's folder).
        seeds: How many fresh seeds the winner is trained with (default: as many as the recipe has, else 10).
        seed: The seed of the trials (default: 0).
        jobs: Parallel processes of joblib; within ``joblib.parallel_config`` its backend is used (default: what joblib
            is told there, else 1).
        threads: The threads of each training (default: 1).
        folder: Where searches are kept, each in a folder of its recipe's name (default: ``runs/search``).
        progress: Show a bar over trials (default: on a terminal).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the recipe, the space or a name is wrong; the message names it.
        RuntimeError: If no trial was finished; tells the first error.
        KeyboardInterrupt: After Ctrl-C; says how many trials are saved.

    Example:
        >>> import tempfile
        >>> config = {"model": "GCN", "task": "karate", "trainer": {"max_epochs": 5}}
        >>> space = {"model.hidden_channels": [4, 16], "trainer.lr": {"log": [0.01, 0.1]}}
        >>> found = search(config, space, trials=3, seeds=2, folder=tempfile.mkdtemp())
        >>> found.num_finished, found.winner.n, sorted(found.best)
        (3, 2, ['model.hidden_channels', 'trainer.lr'])
    """
    subject = _subject(recipe)
    of_space = SearchSpace(space if isinstance(space, Mapping) else read(Path(space)), subject.experiment)
    parts = make_sampler(sampler, 0), make_pruner(pruner)
    kept = open_storage(storage, Path(folder) / subject.name / "trials.sqlite3")
    options = RunOptions(jobs=jobs, threads=threads, folder=folder, progress=progress)
    alone = effective_n_jobs(jobs) == 1
    if not alone and isinstance(kept, InMemoryStorage):
        raise ValueError(f"search: jobs={jobs} needs a storage that processes share, not memory; leave it out")

    task = task_of(subject.experiment, subject.splits[0])  # fetched and parsed once, before processes start
    subject.experiment.build_model(task)
    searched = [subject.experiment.hash, subject.experiment.own_code, of_space.config(), str(subject.splits[0]), seed]
    name = f"{subject.name}-{hash_config([*searched, *code_versions(), *(type(part).__name__ for part in parts)])}"
    direction = StudyDirection.MAXIMIZE if task.fresh_metric().higher_is_better else StudyDirection.MINIMIZE
    optuna.create_study(storage=kept, study_name=name, direction=direction, load_if_exists=True)
    todo = Trials(name, kept, of_space, subject.splits[0], sampler, pruner, seed, trials, threads, alone)
    _carry_out(todo, options, subject.name)
    study = optuna.load_study(study_name=name, storage=kept)
    _check_finished(study, subject.name)
    experiment = of_space.experiment(best_trial(study).params)
    fresh = list(range(seed + 1, seed + 1 + (seeds or subject.num_seeds)))
    winner = _test(experiment, subject, task.metric, fresh, options)
    return SearchResult(subject.name, task.metric, study, of_space, experiment, winner)


def _subject(recipe: str | os.PathLike[str] | Recipe | Mapping[str, Any]) -> Subject:
    config: Mapping[str, Any] = recipe if isinstance(recipe, Mapping) else {}
    name = "search"
    if isinstance(recipe, str | os.PathLike):
        file = find(recipe)
        config, name = read(file), file.stem
    task = config.get("task")
    own_tables = isinstance(task, Mapping) and "folder" in task
    if isinstance(recipe, Mapping) or own_tables:
        experiment = Experiment.from_config({key: config[key] for key in config if key not in RECIPE_KEYS})
        return Subject(name, experiment, USUAL_SEEDS, [experiment.config["task"].get("split")], [], False)
    recipe = recipe if isinstance(recipe, Recipe) else graphkit.recipes.load(recipe)
    unit = recipe.unit == "log10"
    return Subject(recipe.name, recipe.cell.experiment, len(recipe.seeds), recipe.splits, recipe.also_test, unit)


def _carry_out(trials: Trials, options: RunOptions, name: str) -> None:
    """All trials that are left; those that other processes have begun are waited for."""
    from joblib import delayed

    study = trials.study()
    with progress_bar(show=options.progress, total=trials.number, initial=len(counted(study)), unit="trial") as bar:
        try:
            while (left := trials.number - len(counted(study))) > 0:
                outcomes: set[str] = set()
                turns = takewhile(outcomes.isdisjoint, repeat({"exhausted"}, left))
                for outcome in parallel((delayed(trials.try_one)() for _ in turns), options.jobs):
                    outcomes.add(outcome)
                    bar.update(len(counted(study)) - bar.n)
                if "exhausted" in outcomes:
                    return
                if outcomes == {"enough"}:
                    time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            state = f"{len(counted(study))} of {trials.number} trials of {name} are saved"
            raise KeyboardInterrupt(f"{state}; the same command does the rest") from None


def _check_finished(study: optuna.Study, name: str) -> None:
    trials = counted(study)
    if any(trial.state.name == "COMPLETE" for trial in trials):
        return
    errors = [trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs]
    text = f"search {name}: none of {len(trials)} trials was finished, {len(errors)} failed"
    raise RuntimeError(f"{text}; the first by {errors[0]}" if errors else f"{text}; use a milder pruner")


def _test(experiment: Experiment, subject: Subject, metric: str, seeds: list[int], options: RunOptions) -> CellResult:
    """The runs of the winner with fresh seeds."""
    unit = "log10" if subject.log10 else "%" if is_percent(metric) else ""
    splits, also_test = subject.splits, subject.also_test
    schedule = Schedule(f"{subject.name}/winner", experiment, seeds, splits, also_test, unit, len(splits) > 1)
    runs = schedule.reported(schedule.run(options))
    return CellResult(experiment.config["model"]["class_path"], None, metric, unit, experiment.hash, runs=runs)
