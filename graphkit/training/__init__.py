"""The trainer, its strategies, its results, and inference on large graphs."""

from graphkit.training.callbacks import Callback, FitState
from graphkit.training.checkpoint import load_weights
from graphkit.training.inference import layerwise_inference
from graphkit.training.result import Result
from graphkit.training.run import Run, load_run
from graphkit.training.trainer import Trainer

__all__ = [
    "Callback",
    "FitState",
    "Result",
    "Run",
    "Trainer",
    "layerwise_inference",
    "load_run",
    "load_weights",
]
