"""Datasets by name: cards, raw files, parsers, generators and splits."""

from typing import TYPE_CHECKING

from graphkit.core.lazy import lazy_members

if TYPE_CHECKING:
    from graphkit.datasets.at_hand import available, check
    from graphkit.datasets.catalog import Card, RawFile, SplitFamily, card, cards
    from graphkit.datasets.loading import load, load_graphs, load_splits
    from graphkit.datasets.mapped_files import map_files
    from graphkit.datasets.mapping import map_graph
    from graphkit.datasets.raw import DamagedFileError, MissingFilesError

__all__ = [
    "Card",
    "DamagedFileError",
    "MissingFilesError",
    "RawFile",
    "SplitFamily",
    "available",
    "card",
    "cards",
    "check",
    "load",
    "load_graphs",
    "load_splits",
    "map_files",
    "map_graph",
]

__getattr__ = lazy_members(
    globals(),
    {
        "at_hand": ["available", "check"],
        "catalog": ["Card", "RawFile", "SplitFamily", "card", "cards"],
        "loading": ["load", "load_graphs", "load_splits"],
        "mapped_files": ["map_files"],
        "mapping": ["map_graph"],
        "raw": ["DamagedFileError", "MissingFilesError"],
    },
)
