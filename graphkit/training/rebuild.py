"""What a run folder says of how its model, trainer and task are built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from graphkit.core.building import UntoldError, told
from graphkit.core.config import Configurable
from graphkit.tasks import Task
from graphkit.tasks.outline import outline


def how_to_rebuild(model: nn.Module, task: Task, trainer: Configurable) -> dict[str, Any]:
    """The three as plain values, or in place of each the reason why it cannot be told, under ``"untold"``."""
    return {
        "model": _or_reason(lambda: told(model)),
        "task": _or_reason(lambda: outline(task)),
        "trainer": _or_reason(lambda: told(trainer, callbacks=())),  # nothing is trained that they could hear of
    }


def _or_reason(describe: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return describe()
    except UntoldError as error:
        return {"untold": str(error)}
