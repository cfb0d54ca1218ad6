"""The trainer, its strategies and its results."""

from graphkit.training.result import Result
from graphkit.training.trainer import Trainer

__all__ = ["Result", "Trainer"]
