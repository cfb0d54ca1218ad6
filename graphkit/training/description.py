"""What a run is described by: its configuration, and the settings that a resumed run must share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from graphkit.core.files import atomic_write
from graphkit.tasks import Task

if TYPE_CHECKING:
    from graphkit.training.trainer import Trainer

# A resumed run may differ in these: they change no epoch.
CHANGEABLE = {
    "max_epochs",
    "patience",
    "progress",
    "run_dir",
    "loggers",
    "checkpoint_seconds",
    "accelerator",
    "devices",
    "num_nodes",
}


def describe(trainer: Trainer, model: nn.Module) -> dict[str, Any]:
    """The arguments of trainer, model and strategy, as JSON reads them back."""
    arguments = trainer.config() | {"strategy": repr(trainer.strategy), "run_dir": str(trainer.run_dir)}
    config = {"model": repr(model), "strategy": repr(trainer.strategy), "trainer": arguments}
    return json.loads(json.dumps(config, default=str))


def fixed_settings(config: dict[str, Any], model: nn.Module, task: Task) -> dict[str, Any]:
    """What decides a run's numbers: the settings of its description, the model's shapes and the task's content."""
    settings = {name: value for name, value in config["trainer"].items() if name not in CHANGEABLE}
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    content = {"task": task.describe(), "task content": task.content_hash}
    return settings | {"model": repr(model), "parameter shapes": shapes} | content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file as a whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, default=str))
