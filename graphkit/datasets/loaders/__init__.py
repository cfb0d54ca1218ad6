"""Parsers of raw files, one small function per family; PyG's own dataset classes do the work where they exist.

Each takes the raw files and the fixed arguments of the card. Keyword arguments with a default are options that a user
may give to :func:`graphkit.datasets.load`.
"""

from collections.abc import Callable

from graphkit.datasets.cache import Collated
from graphkit.datasets.loaders import expressive, graph, link, molecules, node, ogb
from graphkit.datasets.loaders.base import RawFiles

_FUNCTIONS: list[Callable[..., Collated]] = [
    node.planetoid, node.webkb, node.wikipedia, node.actor, node.heterophilous, node.heterophilous_npz, node.amazon,
    node.coauthor, node.citation_full, node.airports, node.wikics, node.structure_npz, node.musae, graph.tu,
    graph.collab_npz, molecules.peptides_npz, molecules.lrgb, molecules.zinc, molecules.zinc_npz, molecules.qm9_ggnn,
    expressive.csl, expressive.exp, expressive.graph6, expressive.brec, link.seal, ogb.ogb_graph, ogb.ogb_link,
    ogb.ogb_node,
]  # fmt: skip

LOADERS: dict[str, Callable[..., Collated]] = {function.__name__: function for function in _FUNCTIONS}

__all__ = ["LOADERS", "RawFiles"]
