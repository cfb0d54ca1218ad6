"""Graph algorithms without learning."""

from graphkit.algorithms.curvature import balanced_forman_curvature, ollivier_ricci_curvature
from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.greedy_resistance import greedy_resistance
from graphkit.algorithms.hops import hop_pairs
from graphkit.algorithms.multigraphs import Multigraph, connected_multigraphs, ppgn_computes
from graphkit.algorithms.paths import PathSet, enumerate_paths
from graphkit.algorithms.polynomials import PPGN_CHANNELS, equivariant_polynomials
from graphkit.algorithms.resistance import biharmonic_distance, commute_time, effective_resistance, total_resistance
from graphkit.algorithms.spectral import spectral_gap

__all__ = [
    "PPGN_CHANNELS",
    "Multigraph",
    "PathSet",
    "SimpleGraph",
    "balanced_forman_curvature",
    "biharmonic_distance",
    "commute_time",
    "connected_multigraphs",
    "effective_resistance",
    "enumerate_paths",
    "equivariant_polynomials",
    "greedy_resistance",
    "hop_pairs",
    "ollivier_ricci_curvature",
    "ppgn_computes",
    "spectral_gap",
    "total_resistance",
]
