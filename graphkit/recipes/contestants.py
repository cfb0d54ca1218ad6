"""What :func:`~graphkit.recipes.compare` compares: models, each with its trainer, transform and sampler."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sklearn.base import clone
from torch import nn
from torch_geometric.transforms import BaseTransform

from graphkit.core.constraints import enforce
from graphkit.core.object_hash import hash_object
from graphkit.core.text import callable_name
from graphkit.core.validate import unknown_name
from graphkit.models import PyGModel
from graphkit.recipes.config import find_class
from graphkit.recipes.experiment import NOT_HASHED, model_for
from graphkit.recipes.running import Run, files_in, on_threads, run_of
from graphkit.samplers import Sampler
from graphkit.stacking import GraphStacking
from graphkit.tasks import NodeTask, Task
from graphkit.training import Trainer
from graphkit.training.checkpoint import seed_everything
from graphkit.training.result import hardware, versions
from graphkit.training.setting_up import reset_parameters

OWN: dict[str, Any] = {"task": Callable, "transform": BaseTransform, "sampler": Sampler}
PLACES = ("run_dir", "seed", "progress", "loggers", "checkpoint_seconds")  # what each run has of its own


@dataclass(frozen=True)
class Contestant:
    """A model and what distinguishes its training.

    Attributes:
        name: What tables call it.
        model: The model, its class, or a function that builds it for a task.
        trainer: The trainer, of which each run has its own.
        task: What makes of the task the one that this model is trained on.
        transform: What is applied to its graphs.
        sampler: What draws its training batches.
    """

    name: str
    model: Any
    trainer: Trainer
    task: Callable[[Task], Task] | None = None
    transform: BaseTransform | None = None
    sampler: Sampler | None = None

    def prepared(self, task: Task) -> Task:
        """The task as this model is trained on it."""
        made = task if self.task is None else self.task(task)
        if not isinstance(made, Task) or (made.metric, made.split.hash) != (task.metric, task.split.hash):
            raise ValueError(f"task made {made!r}, must be a task with the metric and the split of {task!r}")
        made = made if self.transform is None else made.transform(self.transform)
        return made if self.sampler is None else made.sampled(self.sampler)

    def built(self, task: Task) -> nn.Module:
        """A model of its own for each run."""
        if isinstance(self.model, nn.Module):
            return copy.deepcopy(self.model)
        return model_for(task, self.model, {}) if isinstance(self.model, type) else self.model(task)

    def digest(self) -> str:
        """A digest of all that its runs follow from but task, seed and versions."""
        model = self.model
        if isinstance(model, nn.Module) and not self.trainer.warm_start:  # the weights will be drawn by the seed
            model = copy.deepcopy(model)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                reset_parameters(model)
        config = {key: value for key, value in self.trainer.config().items() if key not in NOT_HASHED}
        strategy = config.pop("strategy")
        parts = [model, config, type(strategy), strategy.config(), self.task, self.transform, self.sampler]
        return hash_object(parts)

    def trained_like(self, **changes: Any) -> Trainer:
        """A new trainer with the arguments of this one's, but for changes."""
        used = self.trainer.strategy  # may hold the model that it has trained
        fresh = {"strategy": type(used).from_config(used.config())}
        return type(self.trainer)(**copy.deepcopy(self.trainer.config() | fresh | changes))

    def train(self, task: Task, threads: int, seed: int, folder: Path, resume: bool, progress: bool) -> Run:
        """One run."""
        with on_threads(threads):
            trainer = self.trained_like(seed=seed, progress=progress, **files_in(folder))
            task = self.prepared(task)
            seed_everything(seed)  # for what a function draws beside weights
            return run_of(trainer.fit(self.built(task), task, resume=resume, overwrite=not resume))

    def try_out(self, task: Task) -> None:
        """One epoch, in which everything that does not fit shows itself."""
        once = {"max_epochs": 1, "patience": None, "validate_every": 1, "progress": False}
        self.trained_like(**once, callbacks=(), loggers=()).fit(self.built(task), task, test=False)


@dataclass(frozen=True)
class StackingContestant(Contestant):
    """Models of tables, stacked over the graph; nothing of the trainer counts."""

    def digest(self) -> str:
        return hash_object([self.model, self.task, self.transform])

    def train(self, task: Task, threads: int, seed: int, folder: Path, resume: bool, progress: bool) -> Run:
        folder.mkdir(parents=True, exist_ok=True)  # an unfinished run has one, which goes when it is saved
        with on_threads(threads):
            return self._run(clone(self.model).set_params(random_state=seed), self.prepared(task), seed)

    def try_out(self, task: Task) -> None:
        self._run(clone(self.model).set_params(layers=1, folds=2), self.prepared(task), 0)

    def _run(self, model: GraphStacking, task: Task, seed: int) -> Run:
        if not isinstance(task, NodeTask):
            raise TypeError(f"{self.name}: GraphStacking takes node tasks, but this is {task!r}")
        began = time.perf_counter()
        outputs, scores = model.fit(task).outputs(task), {}
        for stage in ("val", "test"):
            metric, rows = task.fresh_metric(), getattr(task.split, stage)
            metric.update(outputs[rows], task.labels[rows])
            scores[stage] = metric.compute()
        return {
            **scores,
            "seed": seed,
            "split": task.split.name,
            "split_hash": task.split.hash,
            "best_epoch": 0,
            "epochs": 0,
            "seconds": time.perf_counter() - began,
            "baseline": task.baseline(),
            "num_parameters": None,
            "hardware": hardware(torch.device("cpu")),
            "versions": versions(),
        }


def contestants(models: Sequence[Any] | Mapping[str, Any], trainer: Trainer) -> list[Contestant]:
    """What is to be compared, with names.

    Args:
        models: As for :func:`~graphkit.recipes.compare`.
        trainer: The trainer of those that change nothing in it.

    Raises:
        TypeError: If an entry is no model, or a setting has the wrong type.
        ValueError: If there are fewer than two, names repeat or are missing, or a setting is unknown or wrong.
    """
    if not isinstance(models, Mapping):
        named = [_contestant("", entry, f"models[{i}]", trainer) for i, entry in enumerate(models)]
    else:
        named = [_contestant(str(key), entry, f"models[{key!r}]", trainer) for key, entry in models.items()]
    if len(named) < 2:
        raise ValueError(f"compare: {len(named)} models, must be at least 2")
    name, count = Counter(each.name for each in named).most_common(1)[0]
    if count > 1:
        raise ValueError(f"compare: {count} models are called {name}; give a dict with a name for each")
    return named


def _contestant(name: str, entry: Any, place: str, trainer: Trainer) -> Contestant:
    settings = dict(entry) if isinstance(entry, Mapping) else {"model": entry}
    if "model" not in settings:
        raise ValueError(f"compare: {place}: the key 'model' is missing")
    model = _model(settings.pop("model"), place)
    own = {key: settings.pop(key) for key in OWN if key in settings}
    for key, value in own.items():
        if not isinstance(value, OWN[key]):
            raise TypeError(f"compare: {place}: {key}={value!r}, must be of type {OWN[key].__name__}")
    known = [key for key in trainer.config() if key not in PLACES]
    for key in settings:
        if key not in known:
            raise ValueError(f"compare: {place}: {unknown_name(key, ['model', *OWN, *known], 'key')}")
    enforce(type(trainer), settings, f"compare: {place}")
    if isinstance(model, GraphStacking):
        if refused := [*settings, *(["sampler"] if "sampler" in own else [])]:
            raise ValueError(f"compare: {place}: {refused[0]} is for networks; GraphStacking has settings of its own")
        return StackingContestant(name or "GraphStacking", model, trainer, **own)
    made = Contestant(name or _name(model, place), model, trainer, **own)
    return replace(made, trainer=made.trained_like(**settings)) if settings else made


def _model(model: Any, place: str) -> Any:
    """The model, with the class that a text names."""
    if isinstance(model, str):
        try:
            return find_class("model", model)
        except ValueError as error:
            raise ValueError(f"compare: {place}: {error}") from None
    if isinstance(model, nn.Module | GraphStacking) or (isinstance(model, type) and issubclass(model, nn.Module)):
        return model
    if callable(model) and not isinstance(model, type):
        return model
    raise TypeError(
        f"compare: {place}={model!r}, must be a model, its class or name, a GraphStacking, or a function from a "
        "task to a model"
    )


def _name(model: Any, place: str) -> str:
    if isinstance(model, PyGModel):
        model = model.module
    name = type(model).__name__ if isinstance(model, nn.Module) else callable_name(model)
    if name == "<lambda>":
        raise ValueError(f"compare: {place} is a function without a name; give a dict with a name for each model")
    return name
