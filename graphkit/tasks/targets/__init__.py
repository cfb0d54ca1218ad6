"""Targets: what labels mean, one class and file each."""

from __future__ import annotations

import copy
from typing import Any

from graphkit.core.registry import Registry
from graphkit.tasks.targets.base import Target
from graphkit.tasks.targets.binary import Binary
from graphkit.tasks.targets.given_loss import GivenLoss
from graphkit.tasks.targets.link import Link
from graphkit.tasks.targets.multiclass import Multiclass
from graphkit.tasks.targets.multilabel import Multilabel
from graphkit.tasks.targets.ranking import Ranking
from graphkit.tasks.targets.regression import Regression

__all__ = [
    "Binary",
    "GivenLoss",
    "Link",
    "Multiclass",
    "Multilabel",
    "Ranking",
    "Regression",
    "Target",
    "is_kind",
    "registry",
    "resolve",
]

registry: Registry[Target] = Registry("target", Target, __name__)


def resolve(target: str | type[Target] | Target) -> Target:
    """A target of a task's own, by name, by class or as a copy of an instance.

    Args:
        target: The name, class or instance.

    Raises:
        TypeError: If it is no target.
        ValueError: If there is no target of this name.
    """
    cls = registry.get(target) if isinstance(target, str) else target
    made: Any = cls() if isinstance(cls, type) else copy.copy(cls)
    if not isinstance(made, Target):
        raise TypeError(f"target is a {type(made).__name__}; give a name such as 'multiclass', or a subclass of Target")
    return made


def is_kind(target: Any, *classes: type[Target]) -> bool:
    """Whether a target, by name, by class or as an instance, is one of some classes.

    Args:
        target: The name, class or instance; anything else is none.
        *classes: The classes.
    """
    if isinstance(target, str):
        return target in [cls.name for cls in classes]
    return issubclass(target if isinstance(target, type) else type(target), classes)
