"""The lifecycle of a run: starts of epochs and stages, told to the strategy and all modules, and clean evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from graphkit.training.strategies.base import Strategy


def start_epoch(model: nn.Module, strategy: Strategy, epoch: int) -> None:
    """Call ``on_epoch_start(epoch)`` of the strategy and of every module that has one."""
    _call(model, strategy, "on_epoch_start", epoch)


def start_stage(model: nn.Module, strategy: Strategy, stage: str) -> None:
    """Set the model's mode and call ``on_stage_start(stage)`` of the strategy and of every module that has one."""
    model.train(stage == "train")
    _call(model, strategy, "on_stage_start", stage)


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


def _call(model: nn.Module, strategy: Strategy, name: str, argument: Any) -> None:
    getattr(strategy, name)(argument)
    for module in model.modules():
        if hasattr(module, name):
            getattr(module, name)(argument)
