"""The lifecycle of a run: what its parts are told, evaluations without a trace, and how Ctrl-C ends it."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.training.strategies.base import Strategy, has, parts_of

#: Held by the thread that trains.
training_lock = threading.RLock()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one thread of the process train at a time: generators and the number of threads are the process's."""
    if not training_lock.acquire(blocking=False):
        warnings.warn(
            "fit waits for a run in another thread; a model that is built meanwhile draws from the generators of that "
            "run, which then may not repeat: build models before, or train in processes",
            stacklevel=4,
        )
        training_lock.acquire()
    try:
        yield
    finally:
        training_lock.release()


@contextmanager
def deferred_interrupt(active: bool) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the run after the current epoch; a second one stops at once."""
    if not active or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = False
    previous = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, previous)


def stop(after: str, checkpoint: Path) -> NoReturn:
    """End a run that can go on from a checkpoint."""
    remedy = f"continue with fit(model, task, resume=True) (checkpoint: {checkpoint})"
    raise KeyboardInterrupt(f"stopped after {after}; {remedy}")


def announce(parts: Iterable[Any], name: str, argument: Any) -> None:
    """Call ``on_epoch_start(epoch)`` or ``on_stage_start(stage)`` of the strategy and of every module that has it."""
    for part in parts:
        if has(part, name):
            getattr(part, name)(argument)


def start_stage(model: nn.Module, strategy: Strategy, stage: str, training: bool = False) -> None:
    """Set the mode of the model, empty what it remembers before events are seen from the first, announce the stage."""
    parts = parts_of(model)
    if all(type(part).train is nn.Module.train and "training" in vars(part) for part in parts):
        for part in parts:  # what model.train does, without its looks at each value that is set
            vars(part)["training"] = training
    else:
        model.train(training)
    for part in parts if stage == "train" else ():
        if has(part, "reset_state"):
            part.reset_state()  # type: ignore[operator]
    announce((strategy, *parts), "on_stage_start", stage)


@contextmanager
def evaluation(model: nn.Module, strategy: Strategy, stage: str) -> Iterator[None]:
    """A stage without gradients that leaves no trace: buffers that it changed or replaced are put back."""
    registered = [(module._buffers, dict(module._buffers)) for module in parts_of(model)]
    present = [buffer for _, buffers in registered for buffer in buffers.values() if buffer is not None]
    dense = [buffer for buffer in present if buffer.layout == torch.strided]  # others are only ever replaced
    copies = [buffer.clone() for buffer in dense]
    with torch.no_grad():
        try:
            start_stage(model, strategy, stage)
            yield
        finally:
            for buffers, before in registered:
                buffers.clear()
                buffers.update(before)
            for buffer, value in zip(dense, copies, strict=True):
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def lent(batches: Iterable[Data], task_name: str) -> Iterator[Data]:
    """Batches that will be used again: attributes that a model sets in one are put back after its use.

    Raises:
        ValueError: If a tensor was written in place, so that it cannot be put back.
    """
    for batch in batches:
        before = batch._store.to_dict()
        versions = {key: value._version for key, value in before.items() if isinstance(value, Tensor)}
        yield batch
        written = [key for key, version in versions.items() if before[key]._version != version]
        if written:
            raise ValueError(
                f"task {task_name!r}: training has written into {written[0]} of the task's data in place (as x += ..., "
                f"relu_ or dropout(inplace=True) do), so every epoch would see other data; make a new tensor of it"
            )
        after = batch._store.to_dict()
        for key in after.keys() - before.keys():
            del batch[key]
        for key, value in before.items():
            if after.get(key) is not value:
                batch[key] = value
