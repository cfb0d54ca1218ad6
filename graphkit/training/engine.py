"""Devices, precision and the backward step, by Lightning Fabric, and optimizers by their names in torch."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.data import Data

from graphkit.core.validate import unknown_name

NamedParameters = Iterable[tuple[str, nn.Parameter]]


class Engine:
    r"""Runs models and optimizers where and how the trainer was told to.

    A thin layer over Lightning Fabric. It leaves the module as it is, so that strategies can call single layers, and
    averages gradients over devices in :meth:`optimize`, so that every strategy can use several.

    Args:
        accelerator: Fabric's names: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        devices: The number of devices of each machine.
        precision: Fabric's names: ``"32-true"``, ``"64-true"``, ``"bf16-mixed"``, ``"16-mixed"``, ...
        clip_norm: The largest norm of the gradient of one step (``None``: no clipping).
        num_nodes: The number of machines (default: 1).
    """

    def __init__(
        self, accelerator: str, devices: int, precision: str, clip_norm: float | None, num_nodes: int = 1
    ) -> None:
        from lightning_fabric import Fabric

        self.fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,  # type: ignore[arg-type]
        )
        self.fabric.launch()
        self.clip_norm = clip_norm
        self._dtype = torch.float64 if precision == "64-true" else None
        self._autocast = "mixed" in precision
        self._on_device: Any = WeakTensorKeyDictionary()

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.fabric.device

    @property
    def shard(self) -> tuple[int, int]:
        """This process's rank and the number of processes."""
        return self.fabric.global_rank, self.fabric.world_size

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, in double precision if that was chosen."""
        return model.to(device=self.device, dtype=self._dtype)

    def to_device(self, batch: Data) -> Data:
        """The batch on the device, in the model's precision.

        A tensor that batches share, such as the graph of a link task, is copied once; so what is computed from it once
        (normalised matrices) serves all. A graph that is to be read in chunks (``chunk_size``) stays on the CPU.
        """
        device = torch.device("cpu") if "chunk_size" in batch else self.device
        if self._dtype is None and device.type == "cpu":
            return batch
        return copy.copy(batch).apply(lambda value: self._copy(value, device))

    def _copy(self, value: Tensor, device: torch.device) -> Tensor:
        copies = self._on_device.get(value, {})  # by device: an evaluation in chunks reads the graph on the CPU
        if device in copies:
            return copies[device]
        moved = value.to(device=device, dtype=self._dtype if value.is_floating_point() else None)
        if moved is not value:  # it would keep itself alive
            self._on_device[value] = copies | {device: moved}
        return moved

    def forward(self, model: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """``model(*arguments)`` under the chosen precision; 16-bit outputs are returned as float32."""
        if not self._autocast:
            return model(*arguments)
        with self.fabric.autocast():
            out = model(*arguments)
        return out.float()

    def setup_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer with Fabric's precision handling (loss scaling for 16-bit floats)."""
        return self.fabric.setup_optimizers(optimizer)  # type: ignore[return-value]

    def optimize(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Backward, average over devices, clip and step."""
        optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.fabric.world_size > 1:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad = self.fabric.all_reduce(parameter.grad, reduce_op="mean")
        if self.clip_norm is not None:
            self.fabric.clip_gradients(nn.Identity(), optimizer, max_norm=self.clip_norm)
        optimizer.step()
        for group in optimizer.param_groups:
            for parameter in group["params"]:  # fused optimizers write without telling autograd
                torch.autograd.graph.increment_version(parameter)


class Optimizers:
    r"""Makes the optimizers and the schedulers of a run, with rates by name patterns of parameters.

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
