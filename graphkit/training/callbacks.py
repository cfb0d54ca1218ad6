"""Callbacks: what users let happen while a run trains, and where the run stands when they are called."""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from graphkit.core.text import numbered
from graphkit.core.validate import suggestion
from graphkit.tasks import Task

if TYPE_CHECKING:
    from graphkit.training.loop import Loop
    from graphkit.training.result import Result
    from graphkit.training.trainer import Trainer

HOOKS = (
    *("on_fit_start", "on_epoch_start", "on_validation_end", "on_epoch_end", "on_save_checkpoint"),
    *("on_fit_end", "on_exception"),
)


class FitState:
    """Where a run stands, as callbacks see it; nothing in it can be set.

    Attributes:
        trainer: The trainer.
        model: The model that was given to ``fit``, with its weights of now.
        task: The task that is trained on.
    """

    __slots__ = ("_loop", "_model", "_trainer")

    def __init__(self, trainer: Trainer, model: nn.Module, loop: Loop) -> None:
        self._trainer, self._model, self._loop = trainer, model, loop

    @property
    def trainer(self) -> Trainer:
        return self._trainer

    @property
    def model(self) -> nn.Module:
        return self._model

    @property
    def task(self) -> Task:
        return self._loop.task

    @property
    def phase(self) -> str:
        """The name of the phase, e.g. ``"backprop"`` or ``"layer 1"``."""
        return self._loop.phase.name

    @property
    def epoch(self) -> int:
        """The epoch of this phase, counted from 1; 0 before the first."""
        return self._loop.epoch

    @property
    def step(self) -> int:
        """The number of epochs trained, over all phases and a resumed run's earlier part."""
        return len(self._loop.history)

    @property
    def metrics(self) -> dict[str, Any]:
        """What the latest epoch has measured, as in ``result.history``; a copy, empty before the first.

        ``train_loss``, ``val_loss``, ``val_<metric>`` and ``lr``; values of a validation that was not due are ``None``.
        """
        latest = self._loop.history[-1] if self._loop.history else {}
        return {key: value for key, value in latest.items() if key not in ("phase", "epoch")}

    @property
    def history(self) -> list[dict[str, Any]]:
        """A copy of what all epochs have measured, a row each, as in ``result.history``."""
        return [dict(row) for row in self._loop.history]

    @property
    def max_steps(self) -> int:
        """The largest number of epochs of all phases that are known so far."""
        return self._loop.num_epochs

    def stop(self) -> None:
        """End the phase after this epoch, as ``patience`` does; not before it has been validated once.

        Where the strategy has further phases the next one begins. A resumed run knows that the phase has ended.
        """
        self._loop.stopped = True

    def __repr__(self) -> str:
        return f"FitState(phase={self.phase!r}, epoch={self.epoch}, metrics={self.metrics})"


class Callback:
    """What is called at moments of a run: derive from it, override some hooks, pass it as ``Trainer(callbacks=[...])``.

    Hooks are those of Lightning, without a stage's name as there is but one ``fit``; each gets the :class:`FitState`
    and returns nothing. Per run ``on_fit_start``; per epoch ``on_epoch_start``, ``on_validation_end`` (if it was
    validated), ``on_epoch_end``; then ``on_fit_end`` or ``on_exception``. Callbacks are called in the order given, in
    every process of several devices. A resumed run calls them for the epochs of this process only.

    To end a phase, call ``state.stop()``. An exception passes through ``fit``, so that Optuna's ``TrialPruned`` ends
    the run; its folder can be resumed. Before the next run of the same trainer a callback sets itself back in
    ``on_fit_start``, which in a resumed run comes before :meth:`load_state_dict`.

    Example:
        >>> import graphkit as gk
        >>> class Enough(gk.Callback):
        ...     def on_validation_end(self, state):
        ...         if state.metrics["val_accuracy"] > 0.6:
        ...             state.stop()
        >>> task = gk.load("karate")
        >>> trainer = gk.Trainer(callbacks=[Enough()], progress=False)
        >>> trainer.fit(gk.models.GCN.from_task(task), task).epochs < 200
        True
    """

    def on_fit_start(self, state: FitState) -> None:
        """Everything is ready for the first epoch, or for that after the checkpoint."""

    def on_epoch_start(self, state: FitState) -> None:
        """An epoch begins; ``state.metrics`` are those of the one before."""

    def on_validation_end(self, state: FitState) -> None:
        """The epoch has been validated."""

    def on_epoch_end(self, state: FitState) -> None:
        """The epoch is over, and its checkpoint, where one is due, comes next."""

    def on_save_checkpoint(self, state: FitState) -> None:
        """A checkpoint has been written into ``run_dir``; of several processes, that which writes hears of it."""

    def on_fit_end(self, state: FitState, result: Result) -> None:
        """The run is complete, its files are written, and the model has the weights that it keeps."""

    def on_exception(self, state: FitState, exception: BaseException) -> None:
        """The run ends by an exception, which is raised after this; ``KeyboardInterrupt`` is one."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run gives back to :meth:`load_state_dict`: plain values and tensors (default: nothing)."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` returned, after :meth:`on_fit_start`."""


class Callbacks:
    """What is called during one run: the user's callbacks, and the trainer's own."""

    def __init__(self, given: Sequence[Callback], own: Sequence[Callback] = ()) -> None:
        names = numbered(type(callback).__qualname__ for callback in given)
        self._named = dict(zip(names, given, strict=True))
        self._heard = {hook: _bound(hook, (*own, *given)) for hook in HOOKS}
        for hook in ("on_fit_end", "on_exception"):  # logs end last: the user's callbacks may still write there
            self._heard[hook] = _bound(hook, (*given, *own))
        self._saved: Mapping[str, Any] = {}

    @contextmanager
    def hear(self, state: FitState) -> Iterator[None]:
        """The time from ``on_fit_start`` on; an exception is told and passes through."""
        self._state = state
        try:
            self.tell("on_fit_start")
            self._give_back()
            yield
        except BaseException as error:
            for hook in self._heard["on_exception"]:
                try:
                    hook(state, error)
                except Exception as another:  # what has ended the run is the reason: a full disk
                    warnings.warn(f"{hook.__qualname__} has failed: {another!r}", stacklevel=5)
            raise

    def tell(self, hook: str, *further: Any) -> None:
        """Call a hook of all who have it."""
        for each in self._heard[hook]:
            each(self._state, *further)

    def state_dict(self) -> dict[str, Any]:
        """The states of those that have one, by class; of a further one of the same class with its number.

        Raises:
            TypeError: If a checkpoint could not give it back.
        """
        states = {name: state for name, callback in self._named.items() if (state := callback.state_dict())}
        for name, state in states.items():
            _check_readable(name, state)
        return states

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Take the states of a checkpoint, which go to the callbacks when the run starts."""
        self._saved = states

    def _give_back(self) -> None:
        for name, state in self._saved.items():
            if name in self._named:
                self._named[name].load_state_dict(state)
            else:
                warnings.warn(
                    f"the checkpoint holds the state of the callback {name}, which is not among Trainer(callbacks=...);"
                    " it is dropped",
                    stacklevel=6,
                )


def check_callbacks(callbacks: Sequence[Callback]) -> str | None:
    """The constraint of callbacks: all that begins with ``on_`` is a hook, and takes what the hook is given."""
    for callback in callbacks:
        owner = type(callback).__name__
        for name in dir(callback):
            if name.startswith("on_") and name not in HOOKS:
                return f"{owner}.{name} is never called; {suggestion(name, HOOKS)}"
        for name in HOOKS:
            wanted = list(inspect.signature(getattr(Callback, name)).parameters)[1:]
            try:
                inspect.signature(getattr(callback, name)).bind(*wanted)
            except TypeError:
                return f"{owner}.{name} must take ({', '.join(wanted)})"
    return None


def _bound(hook: str, callbacks: Sequence[Callback]) -> list[Any]:
    """The hook of each callback that overrides it."""
    methods = [getattr(callback, hook) for callback in callbacks]
    return [method for method in methods if getattr(method, "__func__", None) is not getattr(Callback, hook)]


def _check_readable(name: str, state: Any) -> None:
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception as error:
        raise TypeError(
            f"{name}.state_dict() holds what a checkpoint cannot give back, must be plain values and tensors ({error})"
        ) from error
