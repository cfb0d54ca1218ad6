"""Sets of graphs to be told apart, with what the Weisfeiler-Leman algorithms can do on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import checked
from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.validate import check_choice
from graphkit.datasets import load_graphs
from graphkit.datasets.generators.cfi import CFI_BASES, PAIRS
from graphkit.datasets.loaders.expressive import BREC_CATEGORIES

BOUNDS = ("1-WL", "1,1-WL", "2-FWL", "1,2-WL")
_STRONGLY_REGULAR = "sr16 sr16622 sr25 sr261034 sr281264 sr291467 sr351668 sr351899 sr361446 sr401224"
_FAMILIES = ("csl", *_STRONGLY_REGULAR.split())
_PAIRED = ("pairs", "cfi", "exp", "cexp", "brec")
NAMES = (*_PAIRED, *_FAMILIES)


@dataclass(frozen=True)
class Suite:
    r"""Graphs and the pairs of them that a model is to tell apart.

    Attributes:
        name: What it is called.
        graphs: The graphs.
        pairs: Positions of the two graphs of each pair, ``[num_pairs, 2]``.
        category: The category of each pair, ``[num_pairs]``.
        categories: The names of the categories.
        exact: For Weisfeiler-Leman algorithms the exact verdict on each pair, ``[num_pairs]``: 1 told apart, 0 not, -1
            not computed. A model that an algorithm bounds never does better. ``"k-FWL"`` is the folklore variant on
            k-tuples; ``"1,l-WL"`` is 1-WL on all copies of a graph with l labelled nodes.
    """

    name: str
    graphs: list[Data]
    pairs: Tensor
    category: Tensor
    categories: tuple[str, ...]
    exact: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def from_pairs(cls, name: str, pairs: Sequence[tuple[Data, Data]]) -> Suite:
        """Pairs of your own.

        Args:
            name: What the suite is called.
            pairs: The two graphs of each pair, with ``x`` and ``edge_index``.

        Raises:
            ValueError: If there are none.

        Example:
            >>> rook, shrikhande = load_graphs("sr16")
            >>> Suite.from_pairs("mine", [(rook, shrikhande)]).pairs.tolist()
            [[0, 1]]
        """
        if not pairs:
            raise ValueError(f"suite {name!r} has no pairs")
        graphs = [graph for pair in pairs for graph in pair]
        return cls(name, graphs, _twos(len(graphs)), torch.zeros(len(pairs), dtype=torch.long), (name,))

    @property
    def hash(self) -> str:
        """A digest of all graphs and pairs."""
        return hash_config([*(hash_data(graph) for graph in self.graphs), hash_tensors(self.pairs)])

    def __len__(self) -> int:
        return self.pairs.size(0)


@checked
def load_suite(name: str) -> Suite:
    """One of graphkit's suites, by name.

    ``"pairs"``, ``"cfi"``, ``"csl"`` and ``"sr16"`` are generated; the others are read as
    :func:`graphkit.datasets.load_graphs` does. Of ``"csl"`` there is one graph per class; in it and in the families of
    strongly regular graphs (``"sr25"``, ...) every graph is compared with every other.

    Args:
        name: One of :data:`NAMES`.

    Raises:
        ValueError: If there is no such suite.
        FileNotFoundError: If raw files are missing and cannot be had; the message says how to place them.

    Example:
        >>> suite = load_suite("csl")
        >>> len(suite), suite.exact["1-WL"].sum().item(), suite.exact["1,1-WL"].sum().item()
        (45, 0, 45)
    """
    check_choice(name, NAMES, "suite")
    graphs = load_graphs(name, **({"copies": 1} if name == "csl" else {}))
    graphs = [Data(x=graph.x, edge_index=graph.edge_index) for graph in graphs]
    pairs = torch.triu_indices(len(graphs), len(graphs), 1).t() if name in _FAMILIES else _twos(len(graphs))
    sizes = {name: len(pairs)}
    if name == "brec":
        sizes = dict(BREC_CATEGORIES)
    elif name in ("pairs", "cfi"):
        sizes = dict.fromkeys(PAIRS if name == "pairs" else CFI_BASES, 1)
    category = torch.arange(len(sizes)).repeat_interleave(torch.tensor(list(sizes.values())))
    exact = {bound: _verdicts(text, len(pairs)) for bound, text in _stored()[name].items()}
    return Suite(name, graphs, pairs, category, tuple(sizes), exact)


def _twos(count: int) -> Tensor:
    return torch.arange(count).view(-1, 2)


@lru_cache
def _stored() -> dict[str, dict[str, list[str]]]:
    """By suite and algorithm: one sign per pair, of which short ones repeat.

    Found by exact refinement; known without are that 2-FWL fails on strongly regular graphs of equal parameters, and
    succeeds on EXP and CEXP (Abboud et al., IJCAI 2021).
    """
    return json.loads((Path(__file__).parent / "verdicts.json").read_text())


def _verdicts(lines: Sequence[str], count: int) -> Tensor:
    signs = torch.tensor([{"0": 0, "1": 1, "?": -1}[sign] for sign in "".join(lines)], dtype=torch.int8)
    return signs.repeat(-(-count // signs.numel()))[:count]
