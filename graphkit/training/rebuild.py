"""What a run says of its model, trainer and task: how they are built."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from graphkit.core.building import UntoldError, told
from graphkit.core.config import Configurable
from graphkit.tasks import Task
from graphkit.tasks.outline import outline
from graphkit.training.loggers import names_of


def description(trainer: Any, network: nn.Module) -> dict[str, Any]:
    """The arguments of trainer, model and strategy, as JSON reads them back."""
    strategy = repr(trainer.strategy)
    arguments = trainer.config() | {
        "strategy": strategy,
        "callbacks": [type(each).__name__ for each in trainer.callbacks],
        "loggers": None if trainer.loggers is None else names_of(trainer.loggers),
    }
    config = {"model": repr(network), "strategy": strategy, "trainer": arguments}
    return json.loads(json.dumps(config, default=lambda v: v.item() if isinstance(v, np.generic) else str(v)))


def how_to_rebuild(model: nn.Module, task: Task, trainer: Configurable) -> dict[str, Any]:
    """The three as plain values, or in place of each the reason why it cannot be told, under ``"untold"``."""
    return {
        "model": told_or_reason(model),
        "task": _or_reason(lambda: outline(task)),
        "trainer": _or_reason(lambda: told(trainer, callbacks=(), loggers=_named(trainer))),
    }


def told_or_reason(model: nn.Module) -> Mapping[str, Any]:
    """A model as plain values, or the reason why it cannot be told, under ``"untold"``."""
    return _or_reason(lambda: told(model))


def _named(trainer: Any) -> list[str] | None:
    """The loggers that another process can make; objects, as callbacks, are of this one."""
    return None if trainer.loggers is None else [logger for logger in trainer.loggers if isinstance(logger, str)]


def _or_reason(describe: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return describe()
    except UntoldError as error:
        return {"untold": str(error)}
