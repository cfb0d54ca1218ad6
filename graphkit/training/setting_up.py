"""From a user's module and a task to what can be trained, and to weights."""

from __future__ import annotations

import math
import warnings

import torch
from torch import nn

from graphkit.core.reads import reads_of
from graphkit.models import LayeredModel, PyGModel
from graphkit.models.base import required_by
from graphkit.models.unread import check_task
from graphkit.tasks import Task
from graphkit.training.checkpoint import seed_everything
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import Strategy


def configured(model: nn.Module, task: Task, strategy: Strategy, engine: Engine) -> tuple[nn.Module, Task]:
    """The model on its device, in the shape that the strategy needs, and the task that it can read."""
    network: nn.Module = model if isinstance(model, (LayeredModel, PyGModel)) else PyGModel(model)
    check_task(network, task)
    _warn_of_hidden(network)
    task = prepared(task, network)
    strategy.check(network, task)
    network = engine.place(network)
    strategy.configure_model(network, task, engine)
    return network, task


def _has_weights(member: object) -> bool:
    """Whether something is a weight, or a module with some; activations in a list are lost to nobody."""
    if isinstance(member, nn.Module):
        return next(member.parameters(), None) is not None or next(member.buffers(), None) is not None
    return isinstance(member, nn.Parameter)


def _warn_of_hidden(network: nn.Module) -> None:
    """Warn of modules and weights in plain containers, of which neither torch nor an optimizer knows."""
    known = {id(part) for part in (*network.modules(), *network.parameters())}
    for part in network.modules():
        for name, value in vars(part).items():
            if not value or name in ("_modules", "_parameters") or not isinstance(value, list | tuple | dict):
                continue
            members = value.values() if isinstance(value, dict) else value
            hidden = next((type(one).__name__ for one in members if _has_weights(one) and id(one) not in known), None)
            if hidden:
                warnings.warn(
                    f"{type(part).__name__}.{name} holds a {hidden} in a plain {type(value).__name__}, where no "
                    "optimizer, device or saved run finds weights; use torch.nn.ModuleList or ParameterList",
                    stacklevel=5,
                )


def prepared(task: Task, network: nn.Module) -> Task:
    """The task with the structure that a model wants precomputed, told whether the model scores pairs itself."""
    required = required_by(network)
    task = task if required is None else task.transform(required)
    undeclared = isinstance(network, PyGModel) and network.takes_batch and not hasattr(network.module, "reads")
    return task.scored_by(None if undeclared else reads_of(network).edge_label_index)


def materialise(network: nn.Module, task: Task, engine: Engine, batch_size: int | None) -> None:
    """Let layers that take their width from the first batch see one."""
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in network.parameters()):
        first = next(iter(task.batches("train", batch_size)))
        with torch.no_grad():
            engine.forward(network, engine.to_device(first))


def initialise(
    network: nn.Module, task: Task, engine: Engine, batch_size: int | None, seed: int | None, warm_start: bool
) -> None:
    """Seed all generators and draw the weights that are to be new; frozen ones stay."""
    if seed is not None:
        seed_everything(seed)
    materialise(network, task, engine, batch_size)
    if seed is None or warm_start:
        return
    seed_everything(seed)
    before = {p: p.detach().clone() for p in network.parameters()}
    for parameter in before:
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data.fill_(math.nan)  # what nobody draws anew will be seen by it
    fixed = engine.initialise(network, reset_parameters)
    drawn = {p for p in before if p.requires_grad and not p.isnan().any()}
    for parameter, value in before.items():
        if parameter not in drawn:
            parameter.data.copy_(value)
    left = [name for name, p in network.named_parameters() if p.requires_grad and p in before and p not in drawn]
    if fixed or left:
        culprit = f"{fixed[0]} has" if fixed else f"the part with {left[0].removeprefix('module.')} has"
        warnings.warn(
            f"{culprit} no reset_parameters method, so fit cannot draw its initial weights and the seed does "
            "not cover them; add the method, or pass warm_start=True to say that they are meant to stay",
            stacklevel=4,
        )


def reset_parameters(module: nn.Module) -> list[str]:
    """Draw new weights; returns the classes of the modules that could not."""
    reset = getattr(module, "reset_parameters", None)
    if reset is not None:
        reset()
        return []
    own = [type(module).__name__] if any(True for _ in module.parameters(recurse=False)) else []
    return own + [name for child in module.children() for name in reset_parameters(child)]
