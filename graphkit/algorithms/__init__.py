"""Graph algorithms without learning."""

from graphkit.algorithms.colour_hash import colour_hashes, graph_hash
from graphkit.algorithms.colouring import Colouring, weisfeiler_leman
from graphkit.algorithms.common_neighbours import (
    common_neighbours,
    distinct_pairs,
    joint_neighbours,
    neighbourhoods,
)
from graphkit.algorithms.curvature import balanced_forman_curvature, ollivier_ricci_curvature
from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.greedy_resistance import greedy_resistance
from graphkit.algorithms.hops import hop_pairs
from graphkit.algorithms.multigraphs import Multigraph, connected_multigraphs, ppgn_computes
from graphkit.algorithms.partition import partition
from graphkit.algorithms.paths import PathSet, enumerate_paths
from graphkit.algorithms.polynomials import PPGN_CHANNELS, equivariant_polynomials
from graphkit.algorithms.resistance import biharmonic_distance, commute_time, effective_resistance, total_resistance
from graphkit.algorithms.spectral import spectral_gap
from graphkit.algorithms.subgraphs import Subgraph, SubgraphSource
from graphkit.algorithms.subsets import node_subsets

__all__ = [
    "PPGN_CHANNELS",
    "Colouring",
    "Multigraph",
    "PathSet",
    "SimpleGraph",
    "Subgraph",
    "SubgraphSource",
    "balanced_forman_curvature",
    "biharmonic_distance",
    "colour_hashes",
    "common_neighbours",
    "commute_time",
    "connected_multigraphs",
    "distinct_pairs",
    "effective_resistance",
    "enumerate_paths",
    "equivariant_polynomials",
    "graph_hash",
    "greedy_resistance",
    "hop_pairs",
    "joint_neighbours",
    "neighbourhoods",
    "node_subsets",
    "ollivier_ricci_curvature",
    "partition",
    "ppgn_computes",
    "spectral_gap",
    "total_resistance",
    "weisfeiler_leman",
]
