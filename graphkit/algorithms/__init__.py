"""Graph algorithms without learning."""

from graphkit.algorithms.paths import PathSet, enumerate_paths

__all__ = ["PathSet", "enumerate_paths"]
