"""Graph algorithms without learning: compiled, deterministic, on plain index tensors."""

from graphkit.algorithms.paths import PathSet, enumerate_paths

__all__ = ["PathSet", "enumerate_paths"]
