"""From a name to a task: the card says what to fetch, parse or generate, and how to split it."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from torch_geometric.data import Data

from graphkit.core.constraints import Count, Seed, checked, enforce
from graphkit.core.hashing import hash_config
from graphkit.datasets import catalog, names
from graphkit.datasets.catalog import Card
from graphkit.datasets.generators import GENERATORS
from graphkit.datasets.loaders import LOADERS
from graphkit.datasets.parsed import Collated, Ids, cached
from graphkit.datasets.raw import RawFiles, fetch
from graphkit.datasets.splits import LINKS, Request, choose, make_split
from graphkit.tasks import (
    Batching,
    EventTask,
    FixedSize,
    GraphTask,
    LinkSplit,
    LinkTask,
    NodeTask,
    RankingTask,
    Split,
    Task,
    TBatch,
)


@overload
def load(name: names.Node, split: int | str = 0, **options: Any) -> NodeTask: ...
@overload
def load(name: names.Graph, split: int | str = 0, **options: Any) -> GraphTask: ...
@overload
def load(name: names.Link, split: int | str = 0, **options: Any) -> LinkTask: ...
@overload
def load(name: names.Event, split: int | str = 0, **options: Any) -> EventTask: ...
@overload
def load(name: names.Ranking, split: int | str = 0, **options: Any) -> RankingTask: ...
@overload
def load(name: str, split: int | str = 0, **options: Any) -> Task: ...
@checked
def load(name: str, split: int | str = 0, metric: str | None = None, **options: Any) -> Task:
    """Load a dataset as a task: graphs, labels, one split, loss and metric, all checked.

    Raw files are taken from the data root, else from the folder named by ``$GRAPHKIT_MIRROR``, else downloaded; their
    sha256 is checked either way. The parsed graphs are cached. Generated datasets need no file at all.

    Args:
        name: The dataset, e.g. ``"cora"``; :func:`available` lists them all.
        split: An index in the dataset's default family of splits, ``"family"`` or ``"family/index"``, e.g.
            ``"geom-gcn/3"`` or ``"random/0"`` (default: ``0``).
        metric: The name of another score than papers report (default: that of the dataset's page).
        **options: Options of the dataset's generator or parser, e.g. ``num_nodes=10`` for ``"ring-transfer"``; for
            streams of events those of :class:`~graphkit.EventTask`, e.g. ``negatives="historical"``, with
            ``batching="t-batch"`` for :class:`~graphkit.tasks.TBatch`.

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
        >>> load("karate", metric="f1_macro").metric
        'f1_macro'
    """
    card = catalog.card(name)
    if card.kind == "list":
        raise ValueError(
            f"dataset {card.name!r} is a list of graphs to tell apart, without labels and split; "
            f"use graphkit.datasets.load_graphs({card.name!r})"
        )
    task = _task(card, split, metric, options)
    task.dataset = card.name
    return task


@checked
def load_splits(name: str, splits: Sequence[int | str], **options: Any) -> list[Split | LinkSplit]:
    """Several splits of one dataset, which is read or generated only once.

    A split says which items are trained on and judged. A metric of its own, and for events what is judged against
    what, are in the task that :func:`load` makes of the split's name.

    Args:
        name: The dataset.
        splits: As ``split`` of :func:`load`.
        **options: As for :func:`load`.

    Example:
        >>> [split.name for split in load_splits("csl", [0, 1])]
        ['cv-5/0', 'cv-5/1']
    """
    card = catalog.card(name)
    chosen = [choose(card, split) for split in splits]
    _check_options(card, options)
    graphs, stored = _graphs(card, options)
    return [make_split(Request(card, family, index, graphs, stored, options)) for family, index in chosen]


@checked
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
    card = catalog.card(name)
    _check_options(card, options)
    return _graphs(card, options)[0]


def _task(card: Card, split: int | str, metric: str | None, options: dict[str, Any]) -> Task:
    family, index = choose(card, split)  # a wrong split is refused before any work
    _check_options(card, options)
    of_task = options if card.kind == "event" else {}
    graphs, stored = _graphs(card, {key: value for key, value in options.items() if key not in of_task})
    made = make_split(Request(card, family, index, graphs, stored, options))
    metric = metric or family.metric or card.metric
    if card.kind == "event":
        return _event_task(card.name, graphs[0], made, metric, **family.options | of_task)
    if isinstance(made, LinkSplit):
        data = Data(**{key: value for key, value in graphs[0].to_dict().items() if key not in LINKS})
        return LinkTask(card.name, data, made, metric)
    if card.kind == "ranking":
        return RankingTask(card.name, graphs[0], made, metric)
    arguments: dict[str, Any] = {
        "target": card.target,
        "metric": metric,
        "num_outputs": card.expect.get("outputs") if not options and card.target == "multiclass" else None,
        "allow_missing_classes": family.allow_missing_classes,
    }
    if card.kind == "node":
        return NodeTask(card.name, graphs[0], made, **arguments)
    return GraphTask(card.name, graphs, made, **arguments)


def _event_task(
    name: str,
    data: Data,
    split: Any,
    metric: str,
    *,
    negatives: Literal["random", "historical", "inductive"] = "random",
    num_negatives: Count = 1,
    eval_negatives: Count = 1,
    judged: Literal["all", "inductive"] = "all",
    snapshot: Count | None = None,
    batching: Literal["fixed", "t-batch"] = "fixed",
    seed: Seed = 0,
    target: Literal["link", "binary"] = "link",
    labels_of: Literal["event", "source"] = "event",
) -> EventTask:
    """The task of a stream; see :class:`~graphkit.EventTask`."""
    stream = Data(num_nodes=data.num_nodes, **{key: data[key] for key in data.keys() if key != "x"})  # noqa: SIM118
    drawn = (negatives, num_negatives, eval_negatives, judged, snapshot)
    divided: Batching = TBatch() if batching == "t-batch" else FixedSize()
    return EventTask(name, stream, split, metric, *drawn, divided, seed, target=target, labels_of=labels_of)


def options_from(card: Card) -> Callable[..., Any]:
    """The function whose keyword-only arguments are the options of a dataset."""
    if card.kind == "event":
        return _event_task
    return GENERATORS[card.generator] if card.generator else LOADERS[card.loader]


def _graphs(card: Card, options: dict[str, Any]) -> tuple[list[Data], list[Ids]]:
    arguments = {**card.arguments, **options}
    if card.generator:
        generated = GENERATORS[card.generator](**arguments)
        return generated.graphs, generated.splits
    parsed = _parsed(card, LOADERS[card.loader], arguments, options)
    return parsed.graphs(), parsed.splits


def _check_options(card: Card, options: dict[str, Any]) -> None:
    function = options_from(card)
    parameters = inspect.signature(function).parameters.values()
    choices = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty]
    for option in options:
        if option not in choices:
            has = f"its options are: {', '.join(choices)}" if choices else "it has no options"
            raise TypeError(f"dataset {card.name!r} has no option {option!r}; {has}")
    enforce(function, options, f"dataset {card.name!r}")


def _parsed(
    card: Card, loader: Callable[..., Collated], arguments: dict[str, Any], options: dict[str, Any]
) -> Collated:
    import torch_geometric

    def build(scratch: Path) -> Collated:
        if card.extra and importlib.util.find_spec(card.extra) is None:
            raise ImportError(
                f"dataset {card.name!r} is parsed by the package {card.extra}, which is not installed: "
                f"pip install 'graphkit-pyg[{card.extra}]'"
            )
        files = fetch(card.files, card.name)
        scratch.mkdir()
        trusted = {file.path for file in card.files if file.sha256}
        parsed = loader(RawFiles(files, scratch, trusted), **arguments)
        _check_counts(card, parsed, options)
        return parsed

    stamp = {"card": card.data_hash, "options": options, "torch_geometric": torch_geometric.__version__}
    return cached((card.of or card.name) + (f"-{hash_config(options, 8)}" if options else ""), stamp, build)


def _check_counts(card: Card, parsed: Collated, options: dict[str, Any]) -> None:
    counts = parsed.counts
    for what, expected in card.expect.items():
        if options and what in ("features", "outputs"):
            continue
        if counts[what] != expected:
            raise ValueError(
                f"dataset {card.name!r}: parsing gave {counts[what]} {what}, but the card says {expected}; "
                "the raw files are not the ones that the card describes"
            )
