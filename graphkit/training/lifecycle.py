"""The lifecycle of a run: starts of epochs and stages, told to the strategy and all modules, and clean evaluations."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from graphkit.training.strategies.base import Strategy

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


def announce(model: nn.Module, strategy: Strategy, name: str, argument: Any) -> None:
    """Call ``on_epoch_start(epoch)`` or ``on_stage_start(stage)`` of the strategy and of every module that has it."""
    for part in (strategy, *model.modules()):
        if hasattr(part, name):
            getattr(part, name)(argument)


def start_stage(model: nn.Module, strategy: Strategy, stage: str) -> None:
    """Set the model's mode and announce the stage."""
    model.train(stage == "train")
    announce(model, strategy, "on_stage_start", stage)


@contextmanager
def evaluation(model: nn.Module, strategy: Strategy, stage: str) -> Iterator[None]:
    """A stage without gradients that leaves no trace: buffers that it changed or replaced are put back."""
    registered = [(module._buffers, dict(module._buffers)) for module in model.modules()]
    dense = [buffer for buffer in model.buffers() if buffer.layout == torch.strided]  # others are only ever replaced
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
