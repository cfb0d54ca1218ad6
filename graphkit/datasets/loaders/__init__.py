"""Parsers of raw files, one small function per family; PyG's own dataset classes do the work where they exist.

Each takes the raw files, as ``raw``, and the fixed arguments of the card. Keyword arguments with a default are options
that a user may give to :func:`graphkit.datasets.load`.
"""

import inspect
from collections.abc import Callable

from graphkit.datasets.loaders import events, expressive, graph, link, molecules, node, ogb, ratings
from graphkit.datasets.parsed import Collated

LOADERS: dict[str, Callable[..., Collated]] = {
    name: function
    for module in (events, expressive, graph, link, molecules, node, ogb, ratings)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if not name.startswith("_") and "raw" in inspect.signature(function).parameters
}
