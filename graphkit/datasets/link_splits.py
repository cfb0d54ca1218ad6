"""Splits of links: official ones that come with the data, or drawn from a seed in a stated way."""

from __future__ import annotations

from collections.abc import Callable

from torch_geometric.data import Data

from graphkit.datasets.catalog import Card, SplitFamily
from graphkit.datasets.splits import check_sizes, choose
from graphkit.tasks import STAGES, LinkSplit

OFFICIAL = (*STAGES, *(f"{stage}_negatives" for stage in STAGES))  # how a parser calls the parts of an official split


def make_link_split(card: Card, split: int | str, data: Data) -> tuple[LinkSplit, SplitFamily]:
    """Read or draw a split of links and check it against the card.

    Args:
        card: The dataset.
        split: See :func:`~graphkit.datasets.splits.choose`.
        data: The parsed graph, with the parts of an official split, if there is one.

    Raises:
        ValueError: If the split does not exist, overlaps, or has other sizes than the card says.
    """
    family, index = choose(card, split)
    name = family.name if family.count == 1 else f"{family.name}/{index}"
    made = LINK_READERS[family.reader](data, family, index, name)
    check_sizes(card, family, index, made)
    return made, family


def official_links(data: Data, family: SplitFamily, index: int, name: str) -> LinkSplit:
    """The split that came with the data; the graph's edges are those that may carry messages."""
    return LinkSplit(name, **{key: data[key] for key in OFFICIAL if key in data})


def official_events(data: Data, family: SplitFamily, index: int, name: str) -> LinkSplit:
    """As ``official_links``, for links that come back later; the graph's edges are those of the past."""
    return LinkSplit(name, **{key: data[key] for key in OFFICIAL if key in data}, recurring=True)


def random_links(data: Data, family: SplitFamily, index: int, name: str) -> LinkSplit:
    """Uniformly random links in the given shares, with one negative for each, drawn from the seed."""
    _, val, test = family.fractions
    return LinkSplit.random(
        data.edge_index,
        data.num_nodes,
        val,
        test,
        seed=index,
        undirected=data.is_undirected(),
        fixed_negatives=family.fixed_negatives,
        val_messages=family.val_messages,
        name=name,
    )


_FUNCTIONS: list[Callable[[Data, SplitFamily, int, str], LinkSplit]] = [official_links, official_events, random_links]
LINK_READERS: dict[str, Callable[[Data, SplitFamily, int, str], LinkSplit]] = {f.__name__: f for f in _FUNCTIONS}
