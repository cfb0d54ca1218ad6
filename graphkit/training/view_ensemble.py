"""One model per view of the same examples, and the mean of what they say."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from graphkit.core.constraints import Checked
from graphkit.models import LayeredModel
from graphkit.tasks import Task
from graphkit.training.result import Result
from graphkit.training.trainer import Trainer

ENSEMBLE = "ensemble"  # what tables call the mean


class ViewEnsemble(Checked):
    r"""Trains one model on each of several views of the same examples and averages their outputs.

    The last step of TAPE (`"Harnessing Explanations: LLM-to-LM Interpreter for Enhanced Text-Attributed Graph
    Representation Learning" <https://arxiv.org/abs/2305.19523>`_, He, Bresson, Laurent, Perold, LeCun, Hooi, ICLR
    2024), whose views are embeddings of titles and abstracts, of explanations, and ranked predictions. Any tasks that
    differ in their features alone are views; identical ones give the single model.

    Args:
        model: What is trained: a :class:`~graphkit.models.LayeredModel` class, built for each view; a model, of which
            each view trains a copy; or a function from a task to a model.
        trainer: How each is trained; with a ``run_dir`` each view has a folder in it (default: ``Trainer()``).
        average: What is averaged: ``"logits"`` as in the paper, or ``"probabilities"``, which does not ask that models
            are scaled alike (default: ``"logits"``).

    Attributes:
        results: The result of each view, after :meth:`fit`.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> views = {"one": task, "walks": task.transform(gk.features.RandomWalkPE(4))}
        >>> ensemble = ViewEnsemble(gk.models.GCN, Trainer(max_epochs=5, progress=False)).fit(views)
        >>> list(ensemble.scores())
        ['one', 'walks', 'ensemble']
    """

    def __init__(
        self,
        model: type[nn.Module] | nn.Module | Callable[[Task], nn.Module],
        trainer: Trainer | None = None,
        average: Literal["logits", "probabilities"] = "logits",
    ) -> None:
        if isinstance(model, type) and not issubclass(model, LayeredModel):
            raise TypeError(
                f"ViewEnsemble: {model.__name__} is no LayeredModel; give a function from a task to a model"
            )
        self.model, self.trainer, self.average = model, Trainer() if trainer is None else trainer, average
        self.results: dict[str, Result] = {}
        self._trainers: dict[str, Trainer] = {}
        self._tasks: dict[str, Task] = {}

    def fit(self, views: Mapping[str, Task]) -> Self:
        """Train one model for each view.

        Args:
            views: The tasks, by name.

        Raises:
            ValueError: If there are none, or they differ in more than their features.
        """
        self._tasks, self._trainers, self.results = _checked(views), {}, {}
        for name, task in self._tasks.items():
            given = copy.deepcopy(self.trainer.config())
            if given["run_dir"] is not None:
                given["run_dir"] = Path(given["run_dir"]) / name
            strategy = self.trainer.strategy
            trainer = type(self.trainer)(**given | {"strategy": type(strategy).from_config(strategy.config())})
            self.results[name] = trainer.fit(self._built(task), task)
            self._trainers[name] = trainer
        return self

    def predict(self, stage: str = "test") -> tuple[Tensor, Tensor]:
        """The mean outputs for a part of the tasks, and its labels; of classes, logarithms of mean probabilities.

        Args:
            stage: ``"train"``, ``"val"`` or ``"test"`` (default: ``"test"``).

        Raises:
            RuntimeError: If nothing has been trained yet.
        """
        outputs, label = self._outputs(stage)
        task = next(iter(self._tasks.values()))
        stacked = torch.stack([out.double() for out in outputs.values()])
        if self.average == "logits" or not task.num_classes:
            return stacked.mean(0).float(), label
        if task.num_outputs == task.num_classes and task.target.name == "multiclass":
            return (stacked.log_softmax(-1).logsumexp(0) - torch.tensor(len(stacked)).log()).float(), label
        return stacked.sigmoid().mean(0).logit().float(), label

    def scores(self, stage: str = "test") -> dict[str, float]:
        """The metric of each view and of the ensemble.

        Args:
            stage: ``"train"``, ``"val"`` or ``"test"`` (default: ``"test"``).
        """
        outputs, label = self._outputs(stage)
        return {name: self._score(out, label) for name, out in {**outputs, ENSEMBLE: self.predict(stage)[0]}.items()}

    def _outputs(self, stage: str) -> tuple[dict[str, Tensor], Tensor]:
        if not self._trainers:
            raise RuntimeError("ViewEnsemble: nothing is trained yet; call fit(views) first")
        found = {name: trainer.predict(self._tasks[name], stage) for name, trainer in self._trainers.items()}
        return {name: out for name, (out, _) in found.items()}, next(iter(found.values()))[1]

    def _score(self, out: Tensor, label: Tensor) -> float:
        metric = next(iter(self._tasks.values())).fresh_metric()
        metric.update(out, label)
        return metric.compute()

    def _built(self, task: Task) -> nn.Module:
        if isinstance(self.model, nn.Module):
            return copy.deepcopy(self.model)
        return self.model.from_task(task) if isinstance(self.model, type) else self.model(task)  # type: ignore[attr-defined]


def _checked(views: Mapping[str, Task]) -> dict[str, Task]:
    if not views:
        raise ValueError("ViewEnsemble: there are no views")
    if ENSEMBLE in views:
        raise ValueError(f"ViewEnsemble: a view is called {ENSEMBLE!r}, which is the name of the mean")
    (first_name, first), *rest = views.items()
    for name, task in rest:
        same = type(task) is type(first) and task.split.hash == first.split.hash and task.metric == first.metric
        if not same or not torch.equal(task.labels.nan_to_num(), first.labels.nan_to_num()):
            raise ValueError(
                f"ViewEnsemble: the view {name!r} differs in split, labels or metric from {first_name!r}: "
                "views differ in their features alone, with nodes in the same order"
            )
    return dict(views)
