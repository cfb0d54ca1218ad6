"""Datasets by name: cards, raw files, parsers, generators and splits."""

from graphkit.datasets.catalog import Card, RawFile, SplitFamily, card, cards
from graphkit.datasets.loading import available, check, load, load_graphs, load_splits
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
]
