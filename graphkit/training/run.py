"""A finished run, or a saved model, in a new process: from the files that it has left."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from graphkit.core.building import UntoldError, rebuilt
from graphkit.core.constraints import checked
from graphkit.core.figures import OF_RUNS, chosen_kind
from graphkit.core.files import write_json
from graphkit.tasks import Task
from graphkit.tasks.outline import stand_in
from graphkit.training.loggers import missing_packages
from graphkit.training.rebuild import told_or_reason
from graphkit.training.result import Result, versions
from graphkit.training.showing import picture
from graphkit.training.trainer import Trainer
from graphkit.training.weights import load_weights, read_weights, weights_in, write_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """What :func:`load_run` returns.

    Attributes:
        run_dir: The folder, where it is now.
        model: The model with the best weights, in evaluation mode.
        trainer: The trainer, as ``fit`` has left it: :meth:`Trainer.predict` and
            :meth:`Trainer.embed` work.
        task: The task that was given, else one of the same kind that stands in its place and holds no data.
        result: The scores and the history.
    """

    run_dir: Path
    model: nn.Module
    trainer: Trainer
    task: Task
    result: Result

    def predict(self, data: Any, stage: str | None = "test", as_frame: bool | None = None) -> Any:
        """:meth:`Trainer.predict` of this run."""
        return self.trainer.predict(data, stage, as_frame)

    def embed(self, data: Any, stage: str | None = None, layer: int | Literal["all"] = -1) -> Any:
        """:meth:`Trainer.embed` of this run."""
        return self.trainer.embed(data, stage, layer)

    def plot(
        self,
        kind: str = "curves",
        task: Task | None = None,
        stage: str = "test",
        path: str | os.PathLike[str] | None = None,
        index: int | None = None,
    ) -> Figure:
        """A picture of the run.

        Args:
            kind: As for :meth:`Result.plot` (default: ``"curves"``).
            task: The task with its data, for all but curves (default: that of the run).
            stage: The part of the task (default: ``"test"``).
            path: Where to save the picture; the ending names the format (default: nowhere).
            index: As for :meth:`Result.plot` (default: the first of the part).

        Raises:
            ValueError: If there is no such picture, or none of this task; or the data is needed and not here.
            ImportError: If a package is missing that the picture needs.
        """
        kind, path = chosen_kind("Run", kind, path, OF_RUNS)
        task = task or self.task
        source = "whose data the folder does not hold; give task=" if task.stands_for else (self.trainer, task)
        return picture("Run", kind, self.result, source, stage, path, index)

    def __repr__(self) -> str:
        result = self.result
        return f"Run({str(self.run_dir)!r}: {result.model.splitlines()[0]} on {result.task}, {result.strategy})"


@checked
def load_run(
    run_dir: str | os.PathLike[str],
    model: nn.Module | None = None,
    task: Task | None = None,
    trainer: Trainer | None = None,
) -> Run:
    r"""Give a finished run back, in a new process or on another machine.

    The folder holds the import paths of classes and the arguments of their constructors as text, and weights as tensors
    with checksums. Nothing is unpickled; what runs is the code of the classes that ``config.json`` names. Values of the
    task's data are not in it: new graphs are predicted as the trainer predicts them, and whoever wants the parts of the
    split gives the task again.

    Classes that do not keep their arguments (any ``nn.Module`` but graphkit's, those that ``graphkit train`` has built,
    and such as derive from :class:`~graphkit.models.LayeredModel`) cannot be built by the folder: then the model is
    given, built as for ``fit``, and gets the weights.

    Args:
        run_dir: The folder, wherever it lies now.
        model: The model, built with the same arguments (default: as the folder says).
        task: The task that was trained on, or another one of its kind (default: one without data, in its place).
        trainer: The trainer (default: as the folder says, on this machine's devices: one).

    Raises:
        FileNotFoundError: If there is no such folder, or no finished run in it.
        ValueError: If a file is damaged, the folder cannot build a part (the message says which one to give), or a
            trainer is given with another strategy.

    Warns:
        UserWarning: If versions of packages differ from those of the run, or what is given from what it had.

    Example:
        >>> import graphkit as gk, tempfile
        >>> task, folder = gk.load("karate"), tempfile.mkdtemp()
        >>> model = gk.models.GCN.from_task(task, hidden_channels=8)
        >>> trainer = gk.Trainer(max_epochs=3, progress=False, run_dir=folder)
        >>> result = trainer.fit(model, task)
        >>> run = gk.load_run(folder)
        >>> torch.equal(run.predict(task.data), trainer.predict(task.data))
        True
    """
    folder = Path(run_dir).expanduser()
    result, described = _read(folder)
    _compare_versions(f"run {folder}", result.versions)
    parts = _Parts(folder, described, "run", "load_run(run_dir")
    with torch.random.fork_rng(devices=[]):  # whoever loads a run draws what they would have drawn
        weights = read_weights(weights_in(folder))
        model = parts.get("model", model, lambda told: rebuilt(told, nn.Module, "model"))
        model.to(dtype=_dtype_of(weights))
        trainer = parts.get("trainer", trainer, lambda told: _trainer(told, folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fit has told what there is to tell
            known = parts.get("task", task, stand_in)
            parts.joined(lambda: trainer._restore(model, known), known)
    parts.compare(trainer, known, result)
    load_weights(model, folder)
    if (folder / "strategy.pt").exists():
        trainer.strategy.load_state_dict(read_weights(folder / "strategy.pt"))
    return Run(folder, model.eval(), trainer, known, result)


@checked
def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a model into a folder, from which :func:`load_model` builds it in a new process or on another machine.

    The folder is what the Hugging Face hub expects: ``config.json``, as with PyG's ``PyGModelHubMixin`` here with the
    arguments of the constructor, and the import path of the class; and the weights, as ``model.safetensors`` with a
    checksum. Of a class that does not keep its arguments (see :func:`load_run`) there are the weights alone.

    Args:
        model: The model, compiled or not.
        path: The folder; files of a model that it holds are replaced.

    Raises:
        ValueError: If the folder holds a run, or the model has weights whose size the first batch decides.

    Example:
        >>> import graphkit as gk, tempfile
        >>> model, folder = gk.models.GCN(3, 8, out_channels=2), tempfile.mkdtemp()
        >>> gk.save(model, folder)
        >>> gk.load_model(folder)
        GCN(3, hidden_channels=8, out_channels=2)
    """
    folder, model = Path(path).expanduser(), getattr(model, "_orig_mod", model)
    if (folder / "result.json").exists() or (folder / "checkpoint.pt").exists():
        raise ValueError(f"save: path={str(folder)!r} holds a run, must be another folder")
    unknown = [name for name, value in model.named_parameters() if is_lazy(value)]
    if unknown:
        raise ValueError(f"save: {unknown[0]} of {type(model).__name__} has no size yet; call the model once before")
    described = {"model": repr(model), "versions": versions(), "rebuild": {"model": told_or_reason(model)}}
    write_weights(folder, model.state_dict())
    write_json(folder / "config.json", described)


@checked
def load_model(path: str | os.PathLike[str], model: nn.Module | None = None) -> nn.Module:
    """Give a model back that :func:`save` or a run has written; nothing is unpickled.

    Args:
        path: The folder.
        model: The model, built with the same arguments (default: as the folder says).

    Returns:
        The model with its weights, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a file is damaged, or the folder cannot build the model (then give it).

    Warns:
        UserWarning: If versions of packages differ from those that wrote the folder.
    """
    folder = Path(path).expanduser()
    described = _described(folder, "give the folder that gk.save has written")
    parts = _Parts(folder, described.get("rebuild", {}), "model", "load_model(path")
    if "versions" in described:
        _compare_versions(f"model {folder}", described["versions"])
    with torch.random.fork_rng(devices=[]):
        weights = read_weights(weights_in(folder))
        model = parts.get("model", model, lambda told: rebuilt(told, nn.Module, "model"))
    return load_weights(model.to(dtype=_dtype_of(weights)), folder).eval()


class _Parts:
    """The parts that a folder describes, with one error for all that cannot be built."""

    def __init__(self, folder: Path, described: Mapping[str, Any], what: str, call: str) -> None:
        self.folder, self.described, self.what, self.call = folder, described, what, call

    def get(self, name: str, given: T | None, build: Callable[[Any], T]) -> T:
        if given is not None:
            return given
        described = self.described.get(name) or {"untold": "an older graphkit wrote the folder"}
        try:
            if "untold" in described:
                raise UntoldError(described["untold"])
            return build(described)
        except (UntoldError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{self.what} {self.folder}: the folder cannot build the {name} ({error}); give it: "
                f"{self.call}, {name}={name})"
            ) from error

    def compare(self, trainer: Trainer, task: Task, result: Result) -> None:
        """Say what is other than in the run, which only parts that were given can be."""
        if repr(trainer.strategy) != result.strategy:
            raise ValueError(
                f"run {self.folder} was trained by {result.strategy}, but the trainer has {trainer.strategy!r}; give "
                "one with the same strategy"
            )
        if repr(trainer._fitted) != result.model:
            _warn(f"run {self.folder} is of the model {result.model}, but this one is {trainer._fitted!r}")
        tables = self.described.get("task", {}).get("tables")
        if tables is not None and task.tables is not None and task.tables.config() != tables:
            _warn(
                f"run {self.folder}: the columns of the tables that the task was made of hold other values, categories "
                "or classes than those of the run, so new tables would be read otherwise"
            )

    def joined(self, restore: Callable[[], object], task: Task) -> None:
        """Put the parts together; what a made-up graph is not good for needs the real one."""
        try:
            restore()
        except Exception as error:
            if not task.stands_for:
                raise
            raise ValueError(
                f"run {self.folder}: the model cannot be set up without its task ({error}); give it: "
                "load_run(run_dir, task=task)"
            ) from error


def _read(folder: Path) -> tuple[Result, Mapping[str, Any]]:
    for name in ("config.json", "result.json"):
        if not (folder / name).is_file():
            unfinished = (folder / "checkpoint.pt").exists()
            remedy = "end the run by fit(..., resume=True)" if unfinished else "give the run_dir of a finished run"
            raise FileNotFoundError(f"run {folder} has no {name}; {remedy}")
    return Result.load(folder / "result.json"), _described(folder, "").get("rebuild", {})


def _described(folder: Path, remedy: str) -> Mapping[str, Any]:
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} has no config.json; {remedy}")
    try:
        return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'} is damaged ({error}); restore a copy") from error


def _trainer(described: Mapping[str, Any], folder: Path) -> Trainer:
    changes: dict[str, Any] = {"run_dir": str(folder), "devices": 1, "num_nodes": 1}
    arguments = described["init_args"]
    if arguments.get("accelerator") not in ("auto", "cpu", *(["cuda", "gpu"] if torch.cuda.is_available() else [])):
        changes["accelerator"] = "auto"
    if isinstance(loggers := arguments.get("loggers"), list):
        changes["loggers"] = [name for name in loggers if not missing_packages(name)]
    return rebuilt({**described, "init_args": {**arguments, **changes}}, Trainer, "trainer")


def _dtype_of(weights: Mapping[str, Any]) -> torch.dtype | None:
    """The dtype that all weights share, which a user may have chosen by ``model.double()``."""
    dtypes = {value.dtype for value in weights.values() if torch.is_tensor(value) and value.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else None


def _compare_versions(what: str, theirs: Mapping[str, str]) -> None:
    ours = versions()
    differ = [
        f"{name} {theirs.get(name, 'absent')} (here {ours.get(name, 'absent')})"
        for name in {**theirs, **ours}
        if theirs.get(name) != ours.get(name)
    ]
    if differ:
        _warn(f"{what} was written with {', '.join(differ)}; predictions may differ in the last digits, or more")


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=5)
