"""A training step that is recorded once as a CUDA graph, and replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import keystr, tree_leaves_with_path
from torch_geometric.data import Data

from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.feeding import host_generators
from graphkit.training.strategies.base import Phase, Strategy, has, parts_of

WARM_UP = 3  # ordinary steps before, as PyTorch's documentation asks: lazy states and caches are made in them


@dataclass
class _Recording:
    """The step of one phase on one batch: ordinary steps that are left, then its graph and the values it writes."""

    phase: Phase
    batch: Data
    left: int = WARM_UP
    graph: torch.cuda.CUDAGraph | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


class RecordedStep:
    """The training step of a strategy on the one batch of a task, replayed without Python from the fourth epoch on.

    Phases that take turns have a recording each.

    Raises:
        ValueError: If the device, the task, a module or the strategy does not go with a step that stays the same.
        RuntimeError: From the epoch that is recorded, if the host would wait for the device.
    """

    def __init__(self, model: nn.Module, task: Task, strategy: Strategy, engine: Engine) -> None:
        self.strategy = strategy
        self._written: list[Tensor] = [*model.parameters(), *model.buffers()]
        self._recordings: list[_Recording] = []
        if engine.device.type == "cpu":
            raise ValueError("Trainer: cuda_graph=True needs a GPU of CUDA, but the device is the CPU")
        if task.resamples or not task.loader.one_graph:
            raise ValueError(
                f"Trainer: cuda_graph=True replays the step on one whole graph, but task {task.name!r} draws its "
                "batches; leave it out"
            )
        told = [type(part).__name__ for part in parts_of(model) if has(part, "on_epoch_start")]
        if type(strategy).on_epoch_start is not Strategy.on_epoch_start:
            told.append(type(strategy).__name__)
        if told:
            raise ValueError(
                f"Trainer: cuda_graph=True replays one step, but {told[0]} changes with the epoch (on_epoch_start); "
                "leave it out"
            )

    def __call__(self, batch: Data, phase: Phase) -> Mapping[str, Any]:
        """What ``strategy.train_step(batch, phase)`` returns."""
        recording = self._of(batch, phase)
        if recording.left > 0:
            recording.left -= 1
            return self._beside(batch, phase)
        if recording.graph is None:
            recording.graph, recording.values = self._recorded(batch, phase)
        recording.graph.replay()
        torch.autograd.graph.increment_version(self._written)  # which no Python has told of
        return recording.values

    def forget(self) -> None:
        """Give back the memory of all recordings; another phase begins."""
        self._recordings.clear()

    def _of(self, batch: Data, phase: Phase) -> _Recording:
        """The recording of a phase, a new one if it has another batch."""
        for recording in self._recordings:
            if recording.phase is phase and recording.batch is batch:
                return recording
        for group in (each for optimizer in phase.optimizers for each in optimizer.param_groups):
            group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=group["params"][0].device)
        others = [recording for recording in self._recordings if recording.phase is not phase]
        self._recordings = [*others, _Recording(phase, batch)]
        return self._recordings[-1]

    def _beside(self, batch: Data, phase: Phase) -> Mapping[str, Any]:
        """A step on a stream of its own, as the recorded one will be."""
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            values = self.strategy.train_step(batch, phase)
        current.wait_stream(stream)
        return values

    def _recorded(self, batch: Data, phase: Phase) -> tuple[torch.cuda.CUDAGraph, Mapping[str, Any]]:
        """The graph of a step, and its values, which stand where replays will write them."""
        graph = torch.cuda.CUDAGraph()
        before, carried = host_generators(), self._carried()
        try:
            with torch.cuda.graph(graph):
                values = self.strategy.train_step(batch, phase)
        except RuntimeError as error:
            if "captur" not in str(error):
                raise
            first: BaseException = error
            while first.__context__ is not None:
                first = first.__context__
            model = type(self.strategy.model).__name__
            raise RuntimeError(
                f"Trainer: cuda_graph=True cannot record the step of {model} by {type(self.strategy).__name__}, in "
                f"which the host waits for the device; leave it out ({first})"
            ) from error
        moved = [name for name, value in self._carried().items() if carried.get(name) != value]
        if moved:
            raise ValueError(
                f"Trainer: cuda_graph=True replays one step, but this one replaces {moved[0]}, which the next would "
                "read; write into it in place, or leave cuda_graph out"
            )
        if host_generators() != before:
            raise ValueError(
                "Trainer: cuda_graph=True replays one step, but this one draws from generators of Python or NumPy; "
                "draw by torch on the device, or leave it out"
            )
        return graph, values

    def _carried(self) -> dict[str, Any]:
        """The tensors by which a step could hear of the one before, by their places."""
        parts = (self.strategy.state_dict(), dict(self.strategy.model.named_buffers()))
        leaves = ((keystr(path), leaf) for part in parts for path, leaf in tree_leaves_with_path(part))
        return {name: leaf.data_ptr() if isinstance(leaf, Tensor) else leaf for name, leaf in leaves}
