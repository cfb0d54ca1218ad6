"""Features: transforms that add columns to ``data.x`` or features of pairs of nodes (public as ``gk.features``)."""

from graphkit.core.registry import Registry
from graphkit.transforms.features.base import NodeFeatures
from graphkit.transforms.features.embeddings import LINE, DeepWalk, FastRP, NetMF, Node2Vec
from graphkit.transforms.features.klwl import KLWL
from graphkit.transforms.features.laplacian import LaplacianPE
from graphkit.transforms.features.polynomials import EquivariantPolynomials, PPGNPolynomials
from graphkit.transforms.features.random_walk import RandomWalkPE
from graphkit.transforms.features.text import TextEmbedding

__all__ = [
    "KLWL",
    "LINE",
    "DeepWalk",
    "EquivariantPolynomials",
    "FastRP",
    "LaplacianPE",
    "NetMF",
    "Node2Vec",
    "NodeFeatures",
    "PPGNPolynomials",
    "RandomWalkPE",
    "TextEmbedding",
    "registry",
]

registry: Registry[NodeFeatures] = Registry("feature", NodeFeatures, __name__)
