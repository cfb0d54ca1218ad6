"""Transforms of graphs: plain PyG transforms that also know how to be cached.

``gk.rewiring`` holds those that change edges, ``gk.features`` those that add node features.
"""

from graphkit.transforms.ancestor_groups import AncestorGroups
from graphkit.transforms.base import Precompute, apply
from graphkit.transforms.connection_maps import ConnectionMaps
from graphkit.transforms.directed_patterns import DirectedPatterns
from graphkit.transforms.hop_combination import NodeAdaptiveCombination
from graphkit.transforms.hops import Hops
from graphkit.transforms.laplacian import LaplacianEigenvectors
from graphkit.transforms.missing_features import AllotropicGraph, MissingFeatures
from graphkit.transforms.node_subsets import NodeSubsets
from graphkit.transforms.one_hot_codes import OneHotCodes
from graphkit.transforms.paths import Paths
from graphkit.transforms.sparse_features import SparseFeatures
from graphkit.transforms.undirected import Undirected

__all__ = [
    "AllotropicGraph",
    "AncestorGroups",
    "ConnectionMaps",
    "DirectedPatterns",
    "Hops",
    "LaplacianEigenvectors",
    "MissingFeatures",
    "NodeAdaptiveCombination",
    "NodeSubsets",
    "OneHotCodes",
    "Paths",
    "Precompute",
    "SparseFeatures",
    "Undirected",
    "apply",
]
