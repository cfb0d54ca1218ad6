"""Datasets that are computed: no file, no network, fully determined by their options."""

from collections.abc import Callable

from graphkit.datasets.generators import expressive, matching, minesweeper, transfer
from graphkit.datasets.generators.base import Generated

_FUNCTIONS: list[Callable[..., Generated]] = [
    transfer.ring_transfer, transfer.crossed_ring, transfer.clique_path, transfer.tree_transfer,
    matching.tree_neighbors_match, minesweeper.minesweeper, expressive.csl, expressive.sr16, expressive.karate,
]  # fmt: skip

GENERATORS: dict[str, Callable[..., Generated]] = {function.__name__: function for function in _FUNCTIONS}

__all__ = ["GENERATORS", "Generated"]
