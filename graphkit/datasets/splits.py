"""Splits: read from published files, or drawn from a seed in a stated way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.validate import unknown_name
from graphkit.datasets.catalog import Card, SplitFamily
from graphkit.datasets.parsed import Ids
from graphkit.datasets.raw import DamagedFileError, fetch
from graphkit.tasks import STAGES, LinkSplit, Split

LINKS = (*STAGES, *(f"{stage}_negatives" for stage in STAGES))  # how a parser calls the parts of an official split


@dataclass
class Request:
    """One wanted split: its family and index, and what a reader may need to make it.

    Attributes:
        card: The dataset.
        family: The split family.
        index: The split's position in the family, or the seed.
        graphs: The parsed graphs; of links with the parts of an official split, if there is one.
        stored: The splits that came with the parsed data.
        options: What was asked of the generator or parser (default: nothing).
    """

    card: Card
    family: SplitFamily
    index: int
    graphs: list[Data]
    stored: list[Ids]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The split's name."""
        return self.family.name if self.family.count == 1 else f"{self.family.name}/{self.index}"

    @cached_property
    def labels(self) -> Tensor:
        """The labels of all nodes or graphs, ``[n]`` or ``[n, columns]``."""
        first = self.graphs[0]
        if self.card.kind == "ranking":
            return torch.zeros(first.num_edges)  # interactions are all alike
        if self.card.kind == "node":
            return first.y
        if first.get("readout_mask") is not None and first.readout_mask.sum() > 1:
            return torch.zeros(len(self.graphs))  # a label per marked node: none by which graphs could be divided
        return torch.cat([torch.as_tensor(graph.y).view(1, -1) for graph in self.graphs]).squeeze(1)

    @property
    def labelled(self) -> np.ndarray:
        """The ids that can be drawn: all but those with the label -1 (missing)."""
        labels = self.labels.numpy()
        known = labels != -1 if labels.ndim == 1 and labels.dtype == np.int64 else np.ones(len(labels), dtype=bool)
        return np.flatnonzero(known)

    def file(self, ending: str) -> Path:
        """The local path of the family's raw file whose name ends so; only this one is fetched."""
        wanted = [file for file in self.family.files if file.path.endswith(ending)]
        return fetch(wanted[:1], self.card.name)[wanted[0].path]


def choose(card: Card, split: int | str) -> tuple[SplitFamily, int]:
    """The family and index that ``split`` means for a dataset.

    Args:
        card: The dataset.
        split: An index in the default family, ``"family"`` or ``"family/index"``.

    Raises:
        ValueError: If there is no such split; the message lists the families.
    """
    families = {family.name: family for family in card.splits}
    choices = ", ".join(f"{f.name} ({f.count} splits)" if f.count else f"{f.name}/SEED" for f in card.splits)
    if isinstance(split, Integral) and not isinstance(split, bool):
        family, index = card.splits[0], int(split)
    elif not isinstance(split, str):
        raise ValueError(f"dataset {card.name!r}: split must be a number or 'family/index', got {split!r}")
    else:
        name, _, number = split.partition("/")
        if name not in families:
            raise ValueError(f"dataset {card.name!r}: {unknown_name(name, families, 'split family')} ({choices})")
        if number and not number.isdecimal():
            raise ValueError(f"dataset {card.name!r}: split {split!r} has no whole number after '/'; splits: {choices}")
        family, index = families[name], int(number or 0)
    if index < 0 or (family.count and index >= family.count):
        limit = f"0..{family.count - 1}" if family.count else "0, 1, 2, ..."
        raise ValueError(
            f"dataset {card.name!r}: split {index} of family {family.name!r} does not exist, its indices are {limit}; "
            f"splits: {choices}"
        )
    return family, index


def make_split(request: Request) -> Split | LinkSplit:
    """Read or draw a split and check it against the card, which tells the sizes of what is generated without options.

    Raises:
        ValueError: If the split overlaps, or has other sizes than the card says.
    """
    parts = READERS[request.family.reader](request)
    made = parts if isinstance(parts, LinkSplit) else Split(request.name, *parts)
    expected = request.family.expected_sizes(request.index)
    other = request.card.generator and request.options
    if expected and made.sizes != expected and not other:
        raise DamagedFileError(
            f"dataset {request.card.name!r}: split {made.name!r} has the sizes {made.sizes}, but the card says "
            f"{expected}; the raw files do not belong together"
        )
    return made


# Published splits ----------------------------------------------------------------------------------------------------


def stored(request: Request) -> Ids:
    """A split that came with the data: masks in the file, or the official parts."""
    return request.stored[request.index]


def largest_component(request: Request) -> Ids:
    """The stored split without the nodes outside of the largest connected component; the graph stays whole."""
    inside = torch.from_numpy(_in_largest_component(request))
    return tuple(ids[inside[ids]] for ids in request.stored[request.index])  # type: ignore[return-value]


def _in_largest_component(request: Request) -> np.ndarray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    source, target = request.graphs[0].edge_index.numpy()
    n = request.labels.size(0)
    _, component = connected_components(coo_array((np.ones(source.size), (source, target)), shape=(n, n)))
    return component == np.bincount(component).argmax()


def extrapolation(request: Request) -> Ids:
    """The stored splits after the first: the same training and validation parts, and harder examples to test on."""
    return request.stored[1 + request.index]


def mask_files(request: Request) -> Ids:
    """One npz file of masks per split, as Geom-GCN ships them."""
    with np.load(request.file(f"_{request.index}.npz")) as content:
        masks = [content[f"{stage}_mask"].astype(bool) for stage in ("train", "val", "test")]
    return _ids(*(np.flatnonzero(mask) for mask in masks))


def id_file(request: Request) -> Ids:
    """One npz file with the ids of train, valid and test."""
    with np.load(request.file(".npz")) as content:
        return _ids(content["train"], content["valid"], content["test"])


def errica(request: Request) -> Ids:
    """A fold of Errica et al. (2020): its test graphs, and its only pair of training and validation graphs."""
    fold = json.loads(request.file(".json").read_text())[request.index]
    inner = fold["model_selection"][0]
    return _ids(inner["train"], inner["validation"], fold["test"])


def dgcnn_folds(request: Request) -> Ids:
    """A fold of DGCNN's files, which know no validation part: the next fold's test graphs serve as one."""
    following = (request.index + 1) % request.family.count
    train, test = (np.loadtxt(request.file(f"/{part}_idx-{request.index + 1}.txt"), dtype=np.int64) for part in
                   ("train", "test"))  # fmt: skip
    val = np.loadtxt(request.file(f"/test_idx-{following + 1}.txt"), dtype=np.int64)
    return _ids(np.setdiff1d(train, val), val, test)


def index_lines(request: Request) -> Ids:
    """Three text files, one line of comma-separated ids per split."""
    parts = []
    for stage in ("train", "val", "test"):
        line = request.file(f"_{stage}.index").read_text().splitlines()[request.index]
        parts.append(np.fromstring(line, dtype=np.int64, sep=","))
    return _ids(*parts)


# Drawn splits --------------------------------------------------------------------------------------------------------


def _generator(seed: int) -> np.random.Generator:
    """Not ``default_rng(seed)``: a generated dataset may have drawn its labels from it, and the split would follow."""
    return np.random.default_rng([0x5B117, seed])


def per_class(request: Request) -> Ids:
    """So many training and validation ids of every class, the rest for testing."""
    rng = _generator(request.index)
    labels = request.labels.numpy()
    num_train, num_val = request.family.per_class
    train, val = [], []
    for label in np.unique(labels[request.labelled]):
        ids = rng.permutation(np.flatnonzero(labels == label))
        if ids.size <= num_train + num_val:
            raise ValueError(
                f"dataset {request.card.name!r}: class {label} has {ids.size} members, too few for "
                f"{num_train} training and {num_val} validation ids"
            )
        train.append(ids[:num_train])
        val.append(ids[num_train : num_train + num_val])
    chosen = np.concatenate(train), np.concatenate(val)
    return _ids(*chosen, np.setdiff1d(request.labelled, np.concatenate(chosen)))


def equal_classes(request: Request) -> Ids:
    """As many training ids of every class; of the rest, the numbers of the card for validation and for testing."""
    return _equal_classes(request, request.labelled)


def equal_classes_component(request: Request) -> Ids:
    """As :func:`equal_classes`, of nodes of the largest connected component only; the graph stays whole."""
    return _equal_classes(request, np.intersect1d(request.labelled, np.flatnonzero(_in_largest_component(request))))


def _equal_classes(request: Request, candidates: np.ndarray) -> Ids:
    num_train, num_val, num_test = request.family.expected_sizes(request.index)
    order = _generator(request.index).permutation(candidates)
    labels = request.labels.numpy()[order]
    rank = np.empty(order.size, dtype=np.int64)  # of an id among those of its class
    for label in np.unique(labels):
        rank[labels == label] = np.arange(np.count_nonzero(labels == label))
    chosen = rank < num_train // np.unique(labels).size
    rest = order[~chosen]
    return _ids(order[chosen], rest[:num_val], rest[num_val : num_val + num_test])


def fractions(request: Request) -> Ids:
    """A uniformly random partition in the given shares."""
    order = _generator(request.index).permutation(request.labelled)
    size = order.size
    train, val, _ = request.family.fractions
    first, second = round(size * train), round(size * (train + val))
    return _ids(order[:first], order[first:second], order[second:])


def forwardgnn(request: Request) -> Ids:
    """ForwardGNN's split, as scikit-learn's KFold (seed 101) and train_test_split (seed 127 times the index) draw it.

    NumPy's legacy generator never changes what it draws from a seed.
    """
    n, index, count = request.labels.size(0), request.index, request.family.count
    order = np.arange(n)
    np.random.RandomState(101).shuffle(order)
    test = np.array_split(order, count)[index]
    rest = np.setdiff1d(np.arange(n), test)
    rest = rest[np.random.RandomState(127 * index).permutation(rest.size)]
    num_val = -(-rest.size // 5)
    return _ids(rest[num_val:], rest[:num_val], test)


def folds(request: Request) -> Ids:
    """Stratified folds drawn from seed 0: fold ``index`` tests, the next one validates."""
    return _fold(request, _deal(request.labels.numpy(), request.family.count))


def pair_folds(request: Request) -> Ids:
    """As :func:`folds`, with graphs ``2i`` and ``2i + 1`` in the same fold."""
    pairs = np.zeros(request.labels.size(0) // 2, dtype=np.int64)
    return _fold(request, np.repeat(_deal(pairs, request.family.count), 2))


def _deal(labels: np.ndarray, count: int) -> np.ndarray:
    """Deal all ids to ``count`` folds like cards, class after class, each class in random order."""
    shuffled = _generator(0).permutation(labels.size)
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    fold = np.empty(labels.size, dtype=np.int64)
    fold[order] = np.arange(labels.size) % count
    return fold


def _fold(request: Request, fold: np.ndarray) -> Ids:
    following = (request.index + 1) % request.family.count
    test, val = fold == request.index, fold == following
    return _ids(*(np.flatnonzero(mask) for mask in (~test & ~val, val, test)))


def _ids(train: object, val: object, test: object) -> Ids:
    return tuple(torch.from_numpy(np.sort(np.asarray(part, dtype=np.int64))) for part in (train, val, test))  # type: ignore[return-value]


# Links ---------------------------------------------------------------------------------------------------------------


def official_links(request: Request, recurring: bool = False) -> LinkSplit:
    """The split that came with the data; the graph's edges are those that may carry messages."""
    parts = {key: value for key, value in request.graphs[0].to_dict().items() if key in LINKS}
    return LinkSplit(request.name, **parts, recurring=recurring)


def official_events(request: Request) -> LinkSplit:
    """As ``official_links``, for links that come back later; the graph's edges are those of the past."""
    return official_links(request, recurring=True)


def random_links(request: Request) -> LinkSplit:
    """Uniformly random links in the given shares, with one negative for each, drawn from the seed."""
    data, family = request.graphs[0], request.family
    _, val, test = family.fractions
    return LinkSplit.random(
        data.edge_index,
        data.num_nodes,
        val,
        test,
        seed=request.index,
        undirected=data.is_undirected(),
        fixed_negatives=family.fixed_negatives,
        val_messages=family.val_messages,
        name=request.name,
    )


def by_time(request: Request) -> Ids:
    """The past to train on, what comes next for validation and testing, in the given shares."""
    _, val, test = request.family.fractions
    split = Split.by_time(request.graphs[0].edge_time, val, test)
    return split.train, split.val, split.test


READERS: dict[str, Callable[[Request], Ids | LinkSplit]] = {
    reader.__name__: reader
    for reader in (
        stored, largest_component, extrapolation, mask_files, id_file, errica, dgcnn_folds, index_lines, per_class,
        equal_classes, equal_classes_component, fractions, forwardgnn, folds, pair_folds, official_links,
        official_events, random_links, by_time,
    )
}  # fmt: skip
FOLDS = (errica, dgcnn_folds, forwardgnn, folds, pair_folds)


def fold_overlap(card: Card, splits: Sequence[int | str]) -> float:
    """Nadeau and Bengio's ratio of test to training examples where splits are folds of one cross-validation, else 0.

    Args:
        card: The dataset.
        splits: The splits on which a model was trained.

    Example:
        >>> from graphkit.datasets import card
        >>> fold_overlap(card("csl"), ["cv-5/0", "cv-5/1"]), fold_overlap(card("cora"), ["public"])
        (0.25, 0.0)
    """
    families = {family.name: family for family, _ in (choose(card, split) for split in splits)}
    folds = len(families) == 1 and all(READERS[family.reader] in FOLDS for family in families.values())
    return resampling_ratio(card, splits) if folds else 0.0


def resampling_ratio(card: Card, splits: Sequence[int | str]) -> float:
    """Nadeau and Bengio's ratio of test to training examples where splits divide the same data, and 0 for one split.

    What validates counts as training: it chooses the weights. Where the card does not tell sizes, it is 1.

    Args:
        card: The dataset.
        splits: The splits on which a model was trained; of several ratios the largest counts.

    Example:
        >>> from graphkit.datasets import card
        >>> resampling_ratio(card("cora"), ["random-60-20-20/0", "random-60-20-20/1"])
        0.25
    """
    chosen = {(family.name, index): family for family, index in (choose(card, split) for split in splits)}
    ratios = [_ratio(family, index) for (_, index), family in chosen.items()]
    return max(ratios) if len(ratios) > 1 else 0.0


def _ratio(family: SplitFamily, index: int) -> float:
    if READERS[family.reader] in FOLDS:
        return 1 / (family.count - 1)
    parts = family.expected_sizes(index) or family.fractions
    return parts[2] / (parts[0] + parts[1]) if len(parts) == 3 else 1.0
