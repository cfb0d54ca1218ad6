"""Training strategies: how a model's weights are changed by a batch (public as ``gk.strategies``)."""

from graphkit.core.registry import Registry
from graphkit.training.strategies.backprop import Backprop
from graphkit.training.strategies.base import Phase, Strategy

__all__ = ["Backprop", "Phase", "Strategy", "registry"]

registry: Registry[Strategy] = Registry("strategy", Strategy, __name__)
