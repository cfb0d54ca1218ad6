"""Datasets that are computed: no file, no network, fully determined by their options."""

from collections.abc import Callable

from graphkit.datasets.generators import (
    cfi,
    chains,
    communities,
    expressive,
    gnp_tasks,
    hierarchy,
    interactions,
    matching,
    minesweeper,
    pna_multitask,
    routing,
    second_minimum,
    subgraph_counts,
    transfer,
    zoo,
)
from graphkit.datasets.generators.base import Generated

_FUNCTIONS: list[Callable[..., Generated]] = [
    transfer.transfer, transfer.tree_transfer,
    matching.tree_neighbors_match, minesweeper.minesweeper, expressive.csl, expressive.sr16, expressive.karate,
    second_minimum.second_minimum, pna_multitask.pna_multitask, gnp_tasks.gnp_sets, gnp_tasks.gnp_graphs,
    gnp_tasks.gnp_nodes, cfi.cfi, cfi.pairs,
    chains.chains, chains.count, hierarchy.zero_shot, communities.communities, communities.texts,
    routing.geometric, routing.routing, interactions.interactions,
    zoo.digits_mlps, zoo.digits_cnns, zoo.sine_networks, subgraph_counts.subgraph_counts,
]  # fmt: skip

GENERATORS: dict[str, Callable[..., Generated]] = {function.__name__: function for function in _FUNCTIONS}

__all__ = ["GENERATORS", "Generated"]
