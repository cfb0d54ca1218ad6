"""From a name to a task: the card says what to fetch, parse or generate, and how to split it."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.hashing import hash_config
from graphkit.datasets.catalog import Card, SplitFamily, card, cards
from graphkit.datasets.generators import GENERATORS
from graphkit.datasets.link_splits import OFFICIAL, make_link_split
from graphkit.datasets.loaders import LOADERS
from graphkit.datasets.parsed import Collated, Ids, cached
from graphkit.datasets.raw import RawFiles, fetch, state
from graphkit.datasets.splits import choose, make_split
from graphkit.tasks import GraphTask, LinkSplit, LinkTask, NodeTask, Split, Task


def load(name: str, split: int | str = 0, **options: Any) -> Task:
    """Load a dataset as a task: graphs, labels, one split, loss and metric, all checked.

    Raw files are taken from the data root, else from the folder named by ``$GRAPHKIT_MIRROR``, else downloaded; their
    sha256 is checked either way. The parsed graphs are cached. Generated datasets need no file at all.

    Args:
        name: The dataset, e.g. ``"cora"``; :func:`available` lists them all.
        split: An index in the dataset's default family of splits, ``"family"`` or ``"family/index"``, e.g.
            ``"geom-gcn/3"`` or ``"random/0"`` (default: ``0``).
        **options: Options of the dataset's generator or parser, e.g. ``num_nodes=10`` for ``"ring-transfer"``.

    Raises:
        ValueError: If the dataset or the split does not exist, or an option has an impossible value.
        TypeError: If the dataset has no such option; the message names those it has.
        FileNotFoundError: If raw files are missing and cannot be had; the message says how to place them.

    Example:
        >>> task = load("karate")
        >>> task.num_features, task.num_outputs, task.split.sizes
        (34, 4, (4, 10, 20))
        >>> load("karate-links").split.sizes
        (68, 3, 7)
    """
    found = card(name)
    if found.kind == "list":
        raise ValueError(
            f"dataset {found.name!r} is a list of graphs to tell apart, without labels and split; "
            f"use graphkit.datasets.load_graphs({found.name!r})"
        )
    choose(found, split)  # a wrong split is refused before any work
    graphs, stored = _graphs(found, options)
    made, family = _split(found, split, graphs, stored)
    metric = family.metric or found.metric
    if isinstance(made, LinkSplit):
        data = Data(**{key: value for key, value in graphs[0].to_dict().items() if key not in OFFICIAL})
        return LinkTask(found.name, data, made, metric)
    arguments: dict[str, Any] = {
        "target": found.target,
        "metric": metric,
        "num_outputs": found.expect.get("outputs") if not options and found.target == "multiclass" else None,
        "allow_missing_classes": family.allow_missing_classes,
    }
    if found.kind == "node":
        return NodeTask(found.name, graphs[0], made, **arguments)
    return GraphTask(found.name, graphs, made, **arguments)


def load_splits(name: str, splits: Sequence[int | str], **options: Any) -> list[Split | LinkSplit]:
    """Several splits of one dataset, which is read or generated only once.

    Args:
        name: The dataset.
        splits: As ``split`` of :func:`load`.
        **options: As for :func:`load`.

    Example:
        >>> [split.name for split in load_splits("csl", [0, 1])]
        ['cv-5/0', 'cv-5/1']
    """
    found = card(name)
    for split in splits:
        choose(found, split)
    graphs, stored = _graphs(found, options)
    return [_split(found, split, graphs, stored)[0] for split in splits]


def load_graphs(name: str, **options: Any) -> list[Data]:
    """Load the graphs of any dataset as plain PyG ``Data`` objects, without a split.

    Args:
        name: The dataset, e.g. ``"sr25"`` or ``"brec"``.
        **options: As for :func:`load`.

    Example:
        >>> rook, shrikhande = load_graphs("sr16")
        >>> rook.num_nodes, rook.num_edges
        (16, 96)
    """
    return _graphs(card(name), options)[0]


def available() -> dict[str, str]:
    """All dataset names and whether each can be loaded now without a network.

    Returns:
        For each name ``"generated"``, ``"at hand"`` (local or mirror), or ``"missing"``.

    Example:
        >>> available()["ring-transfer"]
        'generated'
    """
    return {name: "generated" if found.generator else _summary(found) for name, found in cards().items()}


def check(name: str) -> dict[str, str]:
    """Where each raw file of a dataset is: ``"local"``, ``"mirror"``, ``"damaged"`` (wrong length) or ``"missing"``.

    Args:
        name: The dataset.

    Returns:
        The state by path below the mirror; empty for a generated dataset. Contents are not read, see :func:`load`.
    """
    return {file.path: state(file) for file in card(name).all_files}


def _summary(found: Card) -> str:
    states = {state(file) for file in found.files}
    return "at hand" if states <= {"local", "mirror"} else "missing"


def _graphs(found: Card, options: dict[str, Any]) -> tuple[list[Data], list[Ids]]:
    function = GENERATORS[found.generator] if found.generator else LOADERS[found.loader]
    _check_options(found, function, options)
    arguments = {**found.arguments, **options}
    if found.generator:
        generated = GENERATORS[found.generator](**arguments)
        return generated.graphs, generated.splits
    parsed = _parsed(found, LOADERS[found.loader], arguments, options)
    return parsed.graphs(), parsed.splits


def _check_options(found: Card, function: Callable[..., Any], options: dict[str, Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    choices = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty]
    for option in options:
        if option not in choices:
            has = f"its options are: {', '.join(choices)}" if choices else "it has no options"
            raise TypeError(f"dataset {found.name!r} has no option {option!r}; {has}")


def _parsed(
    found: Card, loader: Callable[..., Collated], arguments: dict[str, Any], options: dict[str, Any]
) -> Collated:
    import torch_geometric

    def build(scratch: Path) -> Collated:
        if found.extra and importlib.util.find_spec(found.extra) is None:
            raise ImportError(
                f"dataset {found.name!r} is parsed by the package {found.extra}, which is not installed: "
                f"pip install 'graphkit-pyg[{found.extra}]'"
            )
        files = fetch(found.files, found.name)
        scratch.mkdir()
        trusted = {file.path for file in found.files if file.sha256}
        parsed = loader(RawFiles(files, scratch, trusted), **arguments)
        _check_counts(found, parsed, options)
        return parsed

    stamp = {"card": found.data_hash, "options": options, "torch_geometric": torch_geometric.__version__}
    return cached((found.of or found.name) + (f"-{hash_config(options, 8)}" if options else ""), stamp, build)


def _check_counts(found: Card, parsed: Collated, options: dict[str, Any]) -> None:
    counts = parsed.counts
    for what, expected in found.expect.items():
        if options and what in ("features", "outputs"):
            continue
        if counts[what] != expected:
            raise ValueError(
                f"dataset {found.name!r}: parsing gave {counts[what]} {what}, but the card says {expected}; "
                "the raw files are not the ones that the card describes"
            )


def _split(
    found: Card, split: int | str, graphs: list[Data], stored: list[Ids]
) -> tuple[Split | LinkSplit, SplitFamily]:
    if found.kind == "link":
        return make_link_split(found, split, graphs[0])
    edges = graphs[0].edge_index if found.kind == "node" else None
    return make_split(found, split, _labels(graphs, found), stored, edges)


def _labels(graphs: list[Data], found: Card) -> Tensor:
    if found.kind == "node":
        return graphs[0].y
    if graphs[0].get("readout_mask") is not None and graphs[0].readout_mask.sum() > 1:
        return torch.zeros(len(graphs))  # a label per marked node: none by which graphs could be divided
    return torch.cat([torch.as_tensor(graph.y).view(1, -1) for graph in graphs]).squeeze(1)
