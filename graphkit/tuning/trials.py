"""The trials of a search, in this process or in others that share its storage."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from graphkit.core.locks import locked
from graphkit.models.unread import UnreadWarning
from graphkit.recipes.running import on_threads, task_of
from graphkit.tuning.by_name import make_pruner, make_sampler
from graphkit.tuning.pruning import PruningCallback
from graphkit.tuning.space import SearchSpace

Outcome = Literal["tried", "enough", "exhausted"]
HEARTBEAT_SECONDS = 10  # a trial without one for three times as long has died with its process
LOCK_SECONDS = 60  # that SQLite waits for another process


@dataclass(frozen=True)
class Trials:
    """What a process needs to know to carry out trials of a search.

    Attributes:
        study_name: The name of Optuna's study.
        storage: Where it is kept.
        space: The space.
        split: The split.
        sampler: The sampler, or its name.
        pruner: The pruner, its name, or ``None``.
        seed: The seed of every training; with the number of the trial, that of a sampler by name.
        number: How many trials there are to be.
        threads: The threads of each.
        alone: Whether this process is the only one of its search.
    """

    study_name: str
    storage: BaseStorage
    space: SearchSpace
    split: Any
    sampler: str | BaseSampler
    pruner: str | BasePruner | None
    seed: int
    number: int
    threads: int
    alone: bool

    def study(self) -> optuna.Study:
        """Optuna's study."""
        study = _loaded(self.study_name, self.storage)
        study.pruner = make_pruner(self.pruner)
        study.sampler = make_sampler(self.sampler, self._seed(len(study.get_trials(deepcopy=False))))
        if not self.alone and not isinstance(self.sampler, str):
            study.sampler.reseed_rng()  # which each process has a copy of
        return study

    def try_one(self) -> Outcome:
        """Carry out the next trial, unless there are enough, those of other processes included."""
        with quiet_optuna():  # in whatever process
            return self._try_one(self.study())

    def _try_one(self, study: optuna.Study) -> Outcome:
        if study.user_attrs.get("exhausted"):
            return "exhausted"
        if self.number <= len(counted(study)) + len(self.running(study)):
            return "enough"
        study.stop = lambda: study.set_user_attr("exhausted", True)  # type: ignore[method-assign]  # as grids do
        study.optimize(self._objective, n_trials=1, catch=(Exception,))
        return "tried"

    def running(self, study: optuna.Study) -> list[FrozenTrial]:
        """Trials that are being carried out somewhere; none where the storage cannot tell dead processes."""
        interval = getattr(self.storage, "get_heartbeat_interval", lambda: None)()
        optuna.storages.fail_stale_trials(study)
        return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if interval else []

    def _seed(self, number: int) -> int:
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])

    def _objective(self, trial: optuna.Trial) -> float:
        try:
            return self._score(trial)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            raise

    def _score(self, trial: optuna.Trial) -> float:
        experiment = self.space.experiment(self.space.suggest(trial))
        with on_threads(self.threads), warnings.catch_warnings(action="ignore", category=UnreadWarning):
            task = task_of(experiment, self.split)
            callbacks = [] if self.pruner is None else [PruningCallback(trial)]
            alone = {"progress": False, "run_dir": None, "loggers": (), "callbacks": callbacks}
            trainer = experiment.build_trainer(seed=self.seed, **alone)
            result = trainer.fit(experiment.build_model(task), task, test=False)
        trial.set_user_attr("epochs", result.epochs)
        trial.set_user_attr("num_parameters", result.num_parameters)
        if not math.isfinite(result.val):
            raise FloatingPointError(f"the validation {result.metric} is {result.val}")
        return result.val


@lru_cache(maxsize=1)
def _loaded(study_name: str, storage: BaseStorage) -> optuna.Study:
    """The study, which remembers finished trials, so that a long search does not read all of them each time."""
    return optuna.load_study(study_name=study_name, storage=storage)


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count: finished, pruned or failed, but not those that died with their process or by Ctrl-C."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    trials = study.get_trials(deepcopy=False, states=ended)
    return [trial for trial in trials if trial.state != TrialState.FAIL or "error" in trial.user_attrs]


def open_storage(storage: str | os.PathLike[str] | BaseStorage | None, usual: Path) -> BaseStorage:
    """The storage: an object, that of an URL, or a file of SQLite.

    Args:
        storage: The object, URL or file.
        usual: The file if there is none given.
    """
    if isinstance(storage, BaseStorage):
        return storage
    text = str(usual if storage is None else os.fspath(storage))
    making: Any = nullcontext()
    options: dict[str, Any] = {}
    if "://" not in text:
        file = Path(text).expanduser().absolute()
        making = locked(f"{file}.lock", f"another process makes {file}; waiting for it")
        text, options = f"sqlite:///{file}", {"connect_args": {"timeout": LOCK_SECONDS}}
    with making:
        return RDBStorage(
            text,
            engine_kwargs=options,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=3 * HEARTBEAT_SECONDS,
        )


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Without what Optuna logs of each trial, and its warnings of what it calls experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            yield
    finally:
        optuna.logging.set_verbosity(before)
