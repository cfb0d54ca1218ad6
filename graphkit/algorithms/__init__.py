"""Graph algorithms without learning."""

from graphkit.algorithms.colouring.hashing import colour_hashes, graph_hash
from graphkit.algorithms.colouring.refinement import Colouring, weisfeiler_leman
from graphkit.algorithms.curvature import balanced_forman_curvature, ollivier_ricci_curvature
from graphkit.algorithms.embedding.fastrp import fastrp
from graphkit.algorithms.embedding.line import line
from graphkit.algorithms.embedding.netmf import netmf, netmf_matrix
from graphkit.algorithms.embedding.node2vec import node2vec
from graphkit.algorithms.embedding.walks import expected_pair_counts, random_walks
from graphkit.algorithms.events import t_batches
from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.paths.common_neighbours import (
    common_neighbours,
    distinct_pairs,
    joint_neighbours,
    neighbourhoods,
)
from graphkit.algorithms.paths.enumeration import PathSet, enumerate_paths
from graphkit.algorithms.paths.hops import hop_pairs
from graphkit.algorithms.paths.subsets import node_subsets
from graphkit.algorithms.polynomials.evaluation import PPGN_CHANNELS, equivariant_polynomials
from graphkit.algorithms.polynomials.multigraphs import Multigraph, connected_multigraphs, ppgn_computes
from graphkit.algorithms.routing import Routes, greedy_forwarding, greedy_tensile, route, routing_features
from graphkit.algorithms.sampling.partition import partition
from graphkit.algorithms.sampling.subgraphs import Subgraph, SubgraphSource
from graphkit.algorithms.spectral.gap import spectral_gap
from graphkit.algorithms.spectral.greedy_resistance import greedy_resistance
from graphkit.algorithms.spectral.resistance import (
    biharmonic_distance,
    commute_time,
    effective_resistance,
    total_resistance,
)

__all__ = [
    "PPGN_CHANNELS",
    "Colouring",
    "Multigraph",
    "PathSet",
    "Routes",
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
    "expected_pair_counts",
    "fastrp",
    "graph_hash",
    "greedy_forwarding",
    "greedy_resistance",
    "greedy_tensile",
    "hop_pairs",
    "joint_neighbours",
    "line",
    "neighbourhoods",
    "netmf",
    "netmf_matrix",
    "node2vec",
    "node_subsets",
    "ollivier_ricci_curvature",
    "partition",
    "ppgn_computes",
    "random_walks",
    "route",
    "routing_features",
    "spectral_gap",
    "t_batches",
    "total_resistance",
    "weisfeiler_leman",
]
