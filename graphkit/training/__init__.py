"""The trainer, its strategies, its results, and inference on large graphs."""

from graphkit.training.checkpoint import load_weights
from graphkit.training.inference import layerwise_inference
from graphkit.training.result import Result
from graphkit.training.trainer import Trainer

__all__ = ["Result", "Trainer", "layerwise_inference", "load_weights"]
