"""Optimizers and learning-rate schedulers by their names in torch, with rates by name patterns of parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from graphkit.core.validate import unknown_name
from graphkit.training.strategies.base import NamedParameters


class Optimizers:
    r"""Makes the optimizers and the schedulers of a run.

    The arguments are those of the :class:`~graphkit.training.Trainer`; ``fused`` chooses one kernel per step where the
    optimizer has it.

    Raises:
        ValueError: If a name is unknown or a learning rate not positive.
    """

    def __init__(
        self,
        lr: float | Mapping[str, float],
        weight_decay: float | Mapping[str, float],
        optimizer: str,
        optimizer_kwargs: Mapping[str, Any] | None,
        scheduler: str | None,
        scheduler_kwargs: Mapping[str, Any] | None,
        fused: bool,
    ) -> None:
        self.rates, self.decays = _patterns(lr), _patterns(weight_decay)
        if any(rate <= 0 for rate in self.rates.values()):
            raise ValueError(f"Trainer: lr={lr}, must be positive")
        self.optimizer = _torch_class(torch.optim, optimizer, torch.optim.Optimizer, "optimizer")
        self.optimizer_kwargs = dict(optimizer_kwargs or {})
        if fused and "fused" in inspect.signature(self.optimizer).parameters:
            self.optimizer_kwargs.setdefault("fused", True)
        schedulers = torch.optim.lr_scheduler
        self.scheduler = scheduler and _torch_class(schedulers, scheduler, schedulers.LRScheduler, "scheduler")
        self.scheduler_kwargs = dict(scheduler_kwargs or {})
        self.unmatched = {"lr": set(self.rates) - {"*"}, "weight_decay": set(self.decays) - {"*"}}

    def make(self, parameters: NamedParameters) -> torch.optim.Optimizer:
        """An optimizer of the parameters that are trained, grouped by learning rate and weight decay.

        Raises:
            ValueError: If there are none, no pattern of ``lr`` matches one, or torch refuses an argument.
        """
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in parameters:
            if not parameter.requires_grad:
                continue
            rate, decay = _first_match(self.rates, name), _first_match(self.decays, name)
            if rate is None:
                raise ValueError(f"Trainer: no pattern of lr matches {name!r}; end with one for all others, '*'")
            self.unmatched["lr"].discard(rate)
            self.unmatched["weight_decay"].discard(decay or "*")
            groups.setdefault((self.rates[rate], self.decays[decay] if decay else 0.0), []).append(parameter)
        if not groups:
            raise ValueError("Trainer: the model has no trainable parameters; nothing can be learned from the task")
        listed = [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]
        return _made(self.optimizer, listed, self.optimizer_kwargs, "optimizer_kwargs")

    def make_schedulers(self, optimizers: list[torch.optim.Optimizer]) -> list[Any]:
        """A scheduler for each optimizer, or none at all."""
        if self.scheduler is None:
            return []
        return [_made(self.scheduler, each, self.scheduler_kwargs, "scheduler_kwargs") for each in optimizers]

    def check_patterns(self) -> None:
        """Refuse a name pattern that no parameter of any optimizer so far has matched first.

        Raises:
            ValueError: Naming the pattern.
        """
        for what, patterns in self.unmatched.items():
            if patterns:
                raise ValueError(f"Trainer: the {what} pattern {min(patterns)!r} matches no parameter of the model")


def _patterns(value: float | Mapping[str, float]) -> dict[str, float]:
    """Name patterns and their numbers, in order."""
    given = value if isinstance(value, Mapping) else {"*": value}
    return {pattern: float(number) for pattern, number in given.items()}


def _first_match(patterns: Mapping[str, float], name: str) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def _torch_class(module: Any, name: str, base: type, what: str) -> Any:
    choices = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
    if name not in choices:
        raise ValueError(unknown_name(name, sorted(set(choices) - {base.__name__}), what))
    return getattr(module, name)


def _made(cls: Any, subject: Any, settings: dict[str, Any], argument: str) -> Any:
    """An optimizer or scheduler; what torch says of its arguments comes with their values."""
    try:
        return cls(subject, **settings)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"Trainer: {argument}={settings} does not suit {cls.__name__}: {error}") from error
