"""Settings of a trainer: those that do not go together, and what a run is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphkit.training.engine import scales_loss
from graphkit.training.run_folder import RunFolder


@dataclass(frozen=True)
class LoopSettings:
    """What the trainer was told about epochs and checkpoints, under the names of its arguments.

    ``fixed`` holds all settings that a checkpoint and the run that continues it must share.
    """

    max_epochs: int
    patience: int | None
    monitor: str
    scheduler_monitor: str
    restore_best: bool
    validate_every: int
    batch_size: int | None
    prefetch: int | None
    seed: int | None
    folder: RunFolder | None
    checkpoint_seconds: float
    cuda_graph: bool
    fixed: dict[str, Any]


def check_together(trainer: Any) -> None:
    """Refuse arguments that exclude or need each other.

    Raises:
        ValueError: Naming both.
    """
    compile, accumulate, cuda_graph = trainer.compile, trainer.accumulate, trainer.cuda_graph
    if trainer.accumulate_lr is not None and accumulate == 1:
        raise ValueError(
            f"Trainer: accumulate_lr={trainer.accumulate_lr!r} counts where accumulate is above 1; set both"
        )
    asked = {"compile": compile} if compile is not False else {"accumulate": accumulate} if accumulate > 1 else {}
    if asked and not trainer.strategy.whole_model:
        ((argument, given),) = asked.items()
        reason = f"but {type(trainer.strategy).__name__} never calls the model as a whole; use Backprop"
        raise ValueError(f"Trainer: {argument}={given!r}, {reason}")
    against = {
        "compile": compile is not False,
        "accumulate": accumulate > 1,
        "devices": trainer.devices * trainer.num_nodes > 1,
        "accelerator": trainer.accelerator == "cpu",
        "precision": scales_loss(trainer.precision),
    }
    for name in against if cuda_graph else ():
        if against[name]:
            given = getattr(trainer, name)
            raise ValueError(f"Trainer: cuda_graph=True does not go with {name}={given!r}; leave one out")
    for name in ("max_epochs", "patience"):
        value = getattr(trainer, name)
        if value is not None and trainer.validate_every > value:
            raise ValueError(
                f"Trainer: validate_every={trainer.validate_every} leaves {name}={value} without a validation"
            )
    if trainer.run_dir is None and any(isinstance(logger, str) for logger in trainer.loggers or ()):
        raise ValueError(f"Trainer: loggers={trainer.loggers} write into run_dir; give one, or objects of loggers")
    if trainer.scheduler_monitor is not None and trainer.scheduler != "ReduceLROnPlateau":
        raise ValueError(
            f"Trainer: scheduler_monitor={trainer.scheduler_monitor!r} is what ReduceLROnPlateau follows, but "
            f"scheduler={trainer.scheduler!r}"
        )
