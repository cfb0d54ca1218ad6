"""Optuna's samplers and pruners by name."""

from __future__ import annotations

import inspect
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from graphkit.core.validate import unknown_name
from graphkit.tuning.conservative import ConservativeSampler


def make_sampler(sampler: str | BaseSampler, seed: int) -> BaseSampler:
    """A sampler, as it is or by its name, such as ``"tpe"`` for ``TPESampler``.

    Args:
        sampler: The sampler or its name.
        seed: The seed of one that is made here.

    Raises:
        ValueError: If there is none of this name, or it needs arguments.
    """
    if isinstance(sampler, BaseSampler):
        return sampler
    return _by_name(sampler, SAMPLERS, "sampler", seed=seed)


def make_pruner(pruner: str | BasePruner | None) -> BasePruner:
    """A pruner, as it is or by its name, such as ``"median"`` for ``MedianPruner``.

    Args:
        pruner: The pruner or its name; ``None`` for one that prunes nothing.

    Raises:
        ValueError: If there is none of this name, or it needs arguments.
    """
    return pruner if isinstance(pruner, BasePruner) else _by_name(pruner or "nop", PRUNERS, "pruner")


def _classes(module: Any, base: type) -> dict[str, Any]:
    """The public classes of a module of Optuna by their short names."""
    found = [getattr(module, name) for name in module.__all__]
    classes = [cls for cls in found if isinstance(cls, type) and issubclass(cls, base) and not inspect.isabstract(cls)]
    return {_short(cls.__name__): cls for cls in classes}


def _short(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("sampler").removesuffix("pruner")


SAMPLERS = _classes(optuna.samplers, BaseSampler) | {"conservative": ConservativeSampler}
PRUNERS = _classes(optuna.pruners, BasePruner)


def _by_name(name: str, classes: dict[str, Any], kind: str, **arguments: Any) -> Any:
    found = classes.get(_short(name))
    if found is None:
        raise ValueError(unknown_name(name, classes, kind))
    try:
        return found(**arguments)
    except TypeError:
        raise ValueError(f"search: {kind}={name!r} needs arguments; pass an object, {found.__name__}(...)") from None
