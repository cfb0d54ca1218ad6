"""Graph algorithms without learning."""

from graphkit.algorithms.hops import hop_pairs

__all__ = ["hop_pairs"]
