"""The trainer, its strategies, its results, and inference on large graphs."""

from graphkit.training.adaptive_fanout import AdaptiveFanout
from graphkit.training.callbacks import Callback, FitState
from graphkit.training.inference import layerwise_inference
from graphkit.training.result import Result
from graphkit.training.run import Run, load_model, load_run, save
from graphkit.training.trainer import Trainer
from graphkit.training.view_ensemble import ViewEnsemble
from graphkit.training.weights import load_weights

__all__ = [
    "AdaptiveFanout",
    "Callback",
    "FitState",
    "Result",
    "Run",
    "Trainer",
    "ViewEnsemble",
    "layerwise_inference",
    "load_model",
    "load_run",
    "load_weights",
    "save",
]
