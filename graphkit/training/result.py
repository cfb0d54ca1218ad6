"""The result of a training run: scores, curves, and what is needed to repeat it."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from graphkit.core.constraints import enforce
from graphkit.core.display import html_table
from graphkit.core.figures import OF_RUNS, chosen_kind
from graphkit.core.files import read_record, write_record
from graphkit.metrics import format_score
from graphkit.tasks import STAGES
from graphkit.training.showing import picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from graphkit.tasks import Task


@dataclass(repr=False)
class Result:
    r"""The scores of one run and what is needed to repeat it.

    Scores are those of the weights of the best validation epoch; metrics that are shares lie in [0, 1].

    Attributes:
        task: The task's name.
        model: The model, as code.
        strategy: The training strategy, as code.
        metric: The metric's name.
        test: The test score; ``None`` after ``fit(..., test=False)``.
        val: The validation score of the same weights.
        best_epoch: The epoch of those weights, counted from 1 (of the last phase; 0 if they are of an earlier one).
        epochs: The number of epochs trained, over all phases.
        num_parameters: The number of trainable parameters.
        seconds: Wall time of ``fit``, resumed parts included.
        split: The split's name.
        split_hash: The split's content hash.
        seed: The seed.
        history: One dict per epoch: phase, epoch, train_loss, val_loss, val_<metric>, lr; ``None`` where nothing was
            validated.
        phases: One dict per phase: phase, epochs, best_epoch, val, test. For greedy layer-wise training a row has the
            scores of a network that ends with this layer.
        config: The arguments of trainer, model and strategy.
        versions: Versions of graphkit and of what it computes with.
        hardware: Processor or GPU, and threads.
        run_dir: The run's folder, if any.
        baseline: The score of the simplest predictor, one answer for all (:meth:`graphkit.tasks.Task.baseline`);
            ``None`` where there is none, and in files from before it was kept.
        judged: How many items the score of each part of the split is of, in words, such as ``{"test": "1000 nodes"}``;
            empty in files from before it was kept.
        first_epoch_seconds: How many of ``seconds`` were the first epoch, in which kernels are compiled where a machine
            meets them for the first time; ``None`` in files from before it was kept.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.MLP.from_task(task, hidden_channels=8)
        >>> result = gk.Trainer(max_epochs=3, progress=False).fit(model, task)
        >>> len(result.history)
        3
    """

    task: str
    model: str
    strategy: str
    metric: str
    test: float | None
    val: float
    best_epoch: int
    epochs: int
    num_parameters: int
    seconds: float
    split: str
    split_hash: str
    seed: int | None
    history: list[dict[str, Any]]
    config: dict[str, Any]
    versions: dict[str, str]
    hardware: str
    phases: list[dict[str, Any]] = field(default_factory=list)
    run_dir: str | None = None
    baseline: float | None = None
    judged: dict[str, str] = field(default_factory=dict)
    first_epoch_seconds: float | None = None

    def __str__(self) -> str:
        return "\n".join([self.model, *(f"  {name:<12}{text}" for name, text in self._facts())])

    def __repr__(self) -> str:
        model = self.model.partition("(")[0]
        return f"Result({model} on {self.task}, split {self.split}: test {self._score('test')}, seed {self.seed})"

    def _repr_html_(self) -> str:
        return html_table(self.model, self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        baseline = format_score(self.baseline, self.metric)
        return [
            ("task", f"{self.task}, split {self.split} [{self.split_hash}]"),
            ("test", self._score("test")),
            ("baseline", f"{self.metric} {baseline}, ignoring the input"),
            ("validation", f"{self._score('val')} at epoch {self.best_epoch} ({self.epochs} trained)"),
            ("strategy", f"{self.strategy}, seed {self.seed}"),
            ("cost", f"{self.num_parameters:,} parameters, {self._time} on {self.hardware}"),
        ]

    @property
    def _time(self) -> str:
        """The seconds, of which the first epoch's are told where that is most of them."""
        told, first = f"{self.seconds:.1f} s", self.first_epoch_seconds
        if first is None or self.epochs < 3 or first < self.seconds / 2 or first < 1:
            return told
        return f"{told} ({first:.1f} s of them the first epoch, in which a machine compiles kernels that are new to it)"

    def _score(self, stage: str) -> str:
        score = getattr(self, stage)
        items = f" on {self.judged[stage]}" if score is not None and stage in self.judged else ""
        return f"{self.metric} {format_score(score, self.metric)}{items}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result as JSON with a checksum."""
        write_record(path, asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Read a result that :meth:`save` wrote.

        Raises:
            ValueError: If the file is damaged or not a result; the message names it and the remedy.
        """
        try:
            fields = read_record(path)
            enforce(cls, fields)
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a result of graphkit, or damaged ({error}); restore a copy, or write it again by "
                "fit(..., resume=True)"
            ) from error

    def plot(
        self,
        kind: str = "curves",
        task: Task | None = None,
        stage: str = "test",
        path: str | os.PathLike[str] | None = None,
        index: int | None = None,
    ) -> Figure:
        """A picture of the run.

        What ``fit`` returns holds model, trainer and task as long as it lives, so that all pictures can be drawn; of a
        loaded result only the curves can, and :func:`~graphkit.training.load_run` gives a run that has the others.

        Args:
            kind: ``"curves"`` of training; ``"confusion"``, how often each class was taken for another;
                ``"calibration"``, how often predictions are right against how sure they are; ``"embeddings"``, the two
                principal components of the nodes' last states; ``"umap"``, the same by UMAP, which needs umap-learn;
                or ``"edges"``, by how much the probability of one predicted class falls without each of the edges
                around a node or of a small graph (default: ``"curves"``).
            task: The task, for all but curves (default: that of the run).
            stage: The part of the task (default: ``"test"``).
            path: Where to save the picture; the ending names the format (default: nowhere).
            index: For ``"edges"`` the node or the graph that is predicted (default: the first of the part).

        Raises:
            ValueError: If there is no such picture, or none of this task; or the model has been trained anew since.
            ImportError: If a package is missing that the picture needs.
        """
        kind, path = chosen_kind("Result", kind, path, OF_RUNS)
        return picture("Result", kind, self, self._source(task), stage, path, index)

    def keep(self, trainer: Any, network: nn.Module, task: Task) -> None:
        """Hold what the pictures of predictions need; files and copies leave it out.

        Args:
            trainer: The trainer, after ``fit``.
            network: What it has trained.
            task: On what.
        """
        self._kept = trainer, network, task, _states(network)

    def _source(self, task: Task | None) -> tuple[Any, Task] | str:
        """Trainer and task, or why there are none."""
        if not hasattr(self, "_kept"):
            return "which a loaded result does not hold; use gk.load_run(run_dir, task=task).plot(kind)"
        trainer, network, own, states = self._kept
        if trainer._fitted is not network or _states(network) != states:
            return "and its weights have changed since; plot before that, or train another model, or keep run folders"
        return trainer, task or own

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_kept"}


def result_of(trainer: Any, network: nn.Module, task: Task, loop: Any, config: dict[str, Any], test: bool) -> Result:
    """The result of a run that has ended.

    Args:
        trainer: The trainer.
        network: What was trained.
        task: On what.
        loop: The run's :class:`~graphkit.training.loop.Loop`.
        config: Its description.
        test: Whether to judge it on the test part.
    """
    phases = loop.summary(test)
    return Result(
        task=task.name,
        model=repr(network),
        strategy=repr(trainer.strategy),
        metric=task.metric,
        test=phases[-1]["test"],
        val=phases[-1]["val"],
        best_epoch=loop.best_epoch,
        epochs=len(loop.history),
        num_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        seconds=loop.seconds,
        split=task.split.name,
        split_hash=task.split.hash,
        seed=trainer.seed,
        history=loop.history,
        phases=phases,
        config=config,
        versions=versions(),
        hardware=hardware(loop.engine.device),
        run_dir=None if trainer.run_dir is None else str(trainer.run_dir),
        baseline=task.baseline() if test else None,
        judged={stage: task.judged_items(stage) for stage in STAGES},
        first_epoch_seconds=loop.first_epoch,
    )


def _states(network: nn.Module) -> list[int]:
    """How often each weight was written to."""
    return [parameter._version for parameter in network.parameters()]


def versions() -> dict[str, str]:
    """Versions of Python, graphkit and the packages that decide numbers."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    import graphkit

    numbers = {"python": platform.python_version(), "graphkit": graphkit.__version__}
    for name in ("torch", "torch-geometric", "torch-scatter", "numpy", "lightning-fabric", "torchmetrics"):
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            continue
    return numbers


def hardware(device: torch.device) -> str:
    """The processor or GPU that a run used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {torch.get_num_threads()} threads"
