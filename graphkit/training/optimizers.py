"""Optimizers and schedulers by their names in torch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from graphkit.core.validate import unknown_name

_signature = functools.cache(inspect.signature)  # of the few classes of torch: it takes longer than the rest
NamedParameters = Iterable[tuple[str, nn.Parameter]]


class Optimizers:
    r"""Makes the optimizers and the schedulers of a run, with rates by name patterns of parameters.

    The arguments are those of the :class:`~graphkit.training.Trainer`; ``fused`` chooses one kernel per step where the
    optimizer has it, ``capturable`` asks for steps that a CUDA graph can replay.

    Raises:
        ValueError: If a name is unknown or a rate stands among the further arguments.
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
        capturable: bool,
    ) -> None:
        self.rates, self.decays = _patterns(lr), _patterns(weight_decay)
        self.optimizer = _torch_class(torch.optim, optimizer, torch.optim.Optimizer, "optimizer")
        if _signature(self.optimizer.step).parameters["closure"].default is inspect.Parameter.empty:
            raise ValueError(
                f"Trainer: optimizer={optimizer!r} evaluates the loss several times in a step, but strategies compute "
                "it once; choose another, e.g. 'Adam'"
            )
        self.optimizer_kwargs = dict(optimizer_kwargs or {})
        for name in {"lr", "weight_decay"} & set(self.optimizer_kwargs):
            value = self.optimizer_kwargs[name]
            raise ValueError(f"Trainer: optimizer_kwargs[{name!r}]={value!r}, must be given as Trainer({name}=...)")
        if fused and self.takes("fused"):
            self.optimizer_kwargs.setdefault("fused", True)
        if capturable and self.optimizer is not torch.optim.SGD:  # which counts no steps
            if not self.takes("capturable"):
                raise ValueError(
                    f"Trainer: cuda_graph=True replays steps on the device, but {optimizer} counts them on the host; "
                    "choose another, e.g. 'Adam'"
                )
            self.optimizer_kwargs.setdefault("capturable", True)
        schedulers = torch.optim.lr_scheduler
        self.scheduler = scheduler and _torch_class(schedulers, scheduler, schedulers.LRScheduler, "scheduler")
        self.scheduler_kwargs = dict(scheduler_kwargs or {})
        if scheduler is None and self.scheduler_kwargs:
            raise ValueError(f"Trainer: scheduler_kwargs={self.scheduler_kwargs}, but scheduler=None; name one")
        self.unmatched = {"lr": set(self.rates) - {"*"}, "weight_decay": set(self.decays) - {"*"}}

    def takes(self, argument: str) -> bool:
        """Whether the optimizer has such an argument."""
        return argument in _signature(self.optimizer).parameters

    def make(self, parameters: NamedParameters) -> torch.optim.Optimizer:
        """An optimizer of the parameters that are trained, grouped by learning rate and weight decay.

        Raises:
            TypeError: If they come without their names.
            ValueError: If there are none, no pattern of ``lr`` matches one, or torch refuses an argument.
        """
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in _named(parameters):
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

    def make_schedulers(
        self, optimizers: list[torch.optim.Optimizer], larger_is_better: bool, max_epochs: int
    ) -> list[Any]:
        """A scheduler for each optimizer, or none at all.

        Args:
            optimizers: What :meth:`make` made.
            larger_is_better: Whether the monitored score, which ``ReduceLROnPlateau`` follows, is better if larger.
            max_epochs: After how many epochs the last step may come.

        Raises:
            ValueError: If torch refuses an argument, ``mode`` takes a better score for a worse one, or a schedule ends
                too early.
        """
        if self.scheduler is None:
            return []
        settings = self.scheduler_kwargs
        if self.scheduler is torch.optim.lr_scheduler.ReduceLROnPlateau:
            settings = {"mode": "max" if larger_is_better else "min"} | settings
            if (settings["mode"] == "max") != larger_is_better:
                better = "larger" if larger_is_better else "smaller"
                raise ValueError(
                    f"Trainer: scheduler_kwargs has mode={settings['mode']!r}, but the monitored score is better if "
                    f"{better}; leave mode out, or choose monitor"
                )
        schedulers = [_made(self.scheduler, each, settings, "scheduler_kwargs") for each in optimizers]
        steps = min((getattr(each, "total_steps", max_epochs) for each in schedulers), default=max_epochs)
        if steps < max_epochs:  # OneCycleLR would refuse the step after the last one
            raise ValueError(
                f"Trainer: scheduler_kwargs={settings} end after {steps} of {max_epochs} epochs; give total_steps"
            )
        return schedulers

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


def _named(parameters: Any) -> Iterable[tuple[str, nn.Parameter]]:
    for each in parameters:
        if not isinstance(each, tuple):
            raise TypeError(
                f"Trainer: an optimizer is made of named parameters, as of model.named_parameters(), not of a "
                f"{type(each).__name__}"
            )
        yield each
