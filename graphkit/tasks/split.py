"""Which nodes, edges or graphs are for training, validation and test."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Interval, NonNegativeInt, Seed, Share, checked
from graphkit.core.graph_input import as_tensor
from graphkit.core.hashing import hash_tensors
from graphkit.tasks.times import as_times, parts_by_time, time_bounds

STAGES = ("train", "val", "test")


def set_ids(split: Any, *names: str) -> None:
    """Turn the ids of a frozen split into tensors, of int64 where they are integers: keys are made of them."""
    for name in names:
        ids = as_tensor(getattr(split, name), f"split {split.name!r}: {name}")
        if ids.layout != torch.strided:
            raise TypeError(f"split {split.name!r}: {name} is a {ids.layout} tensor; give ids in a dense one")
        if ids.dtype in (torch.int8, torch.int16, torch.int32) or ids.numel() == 0:  # uint8 is a mask of old
            ids = ids.long()
        object.__setattr__(split, name, ids)


def without_masks(data: Data) -> Data:
    """A shallow copy without the masks that came with the data: they describe another split, or this one twice."""
    plain = copy.copy(data)
    for stage in STAGES:
        plain.pop(f"{stage}_mask", None)
    return plain


def part_of(split: Split, count: int) -> Tensor:
    """The number of the part that each of so many examples is in, as in ``STAGES``; -1 for none."""
    part = torch.full((count,), -1, dtype=torch.int8)
    for number, stage in enumerate(STAGES):
        part[getattr(split, stage)] = number
    return part


@dataclass(frozen=True, eq=False)
class Split:
    r"""Disjoint train, validation and test ids with a name and a content hash.

    Args:
        name: The split's name, e.g. ``"public"`` or ``"geom-gcn/3"``.
        train: Ids of the training nodes, edges or graphs, of shape ``[num_train]``.
        val: Ids for validation.
        test: Ids for the final score.
        num_examples: How many nodes, edges or graphs there are; a task of others is refused (default: not known).

    Ids may be tensors, arrays or lists.

    Raises:
        TypeError: If ids are no numbers.
        ValueError: If a part is empty, repeats an id, or shares one with another part.

    Example:
        >>> split = Split("mine", torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3]))
        >>> split.sizes
        (2, 1, 1)
    """

    name: str
    train: Tensor
    val: Tensor
    test: Tensor
    num_examples: int | None = None

    def __post_init__(self) -> None:
        set_ids(self, *STAGES)
        for stage in STAGES:
            ids = getattr(self, stage)
            if ids.dtype != torch.int64 or ids.dim() != 1:
                raise ValueError(
                    f"split {self.name!r}: {stage} ids must be a 1-dimensional int64 tensor, got {ids.dtype} of shape "
                    f"{list(ids.shape)}; boolean masks go through Split.from_masks"
                )
            if ids.numel() == 0:
                raise ValueError(f"split {self.name!r}: the {stage} part is empty; give it at least one id")
            if ids.min() < 0:
                raise ValueError(f"split {self.name!r}: the {stage} part has the negative id {int(ids.min())}")
        ids = torch.cat([self.train, self.val, self.test])
        if ids.unique().numel() < ids.numel():
            raise ValueError(self._overlap())

    def _overlap(self) -> str:
        parts = {stage: set(getattr(self, stage).tolist()) for stage in STAGES}
        for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
            shared = parts[first] & parts[second]
            if shared:
                return (
                    f"split {self.name!r}: {first} and {second} overlap in {len(shared)} ids, e.g. {min(shared)}; "
                    "each node or graph may be in one part only"
                )
        return f"split {self.name!r}: an id is repeated within one part; list each id once"

    @classmethod
    @checked
    def from_masks(
        cls,
        name: str,
        train_mask: Any,
        val_mask: Any,
        test_mask: Any,
        split: NonNegativeInt | Literal["all"] | None = None,
    ) -> Any:
        """Build a split from boolean masks ``[num_nodes]``, or from a column of masks ``[num_nodes, num_splits]``.

        Args:
            name: The split's name.
            train_mask: Which nodes are for training; a tensor, an array or a list.
            val_mask: Which nodes are for validation.
            test_mask: Which nodes are for the test.
            split: The column of masks that hold several splits, as PyG's Geom-GCN and WikiCS do, or ``"all"`` for a
                list of them, called ``"name/0"``, ``"name/1"``, ...; masks of one dimension, which all splits share,
                have none (default: masks hold one split).

        Raises:
            TypeError: If a mask is not boolean.
            ValueError: If masks differ in length or lack the column; and as :class:`Split`.

        Example:
            >>> masks = torch.eye(3, dtype=torch.bool)
            >>> Split.from_masks("first", masks, masks.roll(1, 0), [False, False, True], split=0).sizes
            (1, 1, 1)
        """
        masks = {"train": train_mask, "val": val_mask, "test": test_mask}
        if split == "all":
            counts = {np.shape(mask)[1] for mask in masks.values() if np.ndim(mask) == 2}
            if len(counts) != 1:
                raise ValueError(
                    f"split {name!r}: split='all' needs masks [num_nodes, num_splits] of equally many columns, got "
                    f"{[list(np.shape(mask)) for mask in masks.values()]}"
                )
            columns = range(counts.pop())
            return [cls.from_masks(f"{name}/{i}", train_mask, val_mask, test_mask, i) for i in columns]
        given = {stage: _as_mask(mask, split, f"split {name!r}: {stage}_mask") for stage, mask in masks.items()}
        lengths = {stage: mask.numel() for stage, mask in given.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"split {name!r}: the masks are of different lengths, {lengths}; give those of one graph")
        parts = {stage: mask.nonzero().view(-1) for stage, mask in given.items()}
        return cls(name, **parts, num_examples=lengths["train"])

    @classmethod
    @checked
    def random(
        cls,
        num_examples: Count,
        val: Share = 0.2,
        test: Share = 0.2,
        seed: Seed = 0,
        stratify: Any = None,
        name: str | None = None,
    ) -> Split:
        """Divide nodes or graphs at random.

        Args:
            num_examples: How many there are.
            val: The share for validation (default: 0.2).
            test: The share for the test; the rest is for training (default: 0.2).
            seed: The seed of the draw (default: 0).
            stratify: Labels ``[num_examples]`` of any type, of which each part gets its share; those that are missing
                (-1, NaN, ``None``) are in no part (default: parts are drawn whatever the labels).
            name: The split's name (default: ``"random/<seed>"``).

        Raises:
            ValueError: If shares leave nothing for a part, or for the training of a class.

        Example:
            >>> split = Split.random(10, stratify=["a"] * 5 + ["b"] * 5)
            >>> split.sizes, sorted((split.val // 5).tolist())
            ((6, 2, 2), [0, 1])
        """
        label = f"random/{seed}" if name is None else name
        if val + test >= 1:
            raise ValueError(f"split {label!r}: val={val} and test={test} leave nothing for training")
        order = _shuffled(num_examples, stratify, seed, label)
        for_test = _every(order.ids.size, test)
        rest = order.ids[~for_test]
        for_val = _every(rest.size, val / (1 - test))
        train, *others = (
            torch.from_numpy(np.sort(ids)) for ids in (rest[~for_val], rest[for_val], order.ids[for_test])
        )
        lost = set(order.codes.tolist()) - set(order.codes[np.isin(order.ids, train.numpy())].tolist())
        if lost:
            raise ValueError(
                f"split {label!r}: class {order.classes[min(lost)]!r} has too few members for three parts; mark them "
                "as missing, or give no stratify"
            )
        return cls(label, train, others[0], others[1], num_examples)

    @classmethod
    @checked
    def k_fold(
        cls, num_examples: Count, k: Annotated[int, Interval(3)] = 10, seed: Seed = 0, stratify: Any = None
    ) -> list[Split]:
        """Splits for cross-validation: each fold is the test once, and the next one validates.

        Args:
            num_examples: How many nodes or graphs there are.
            k: The number of folds (default: 10).
            seed: The seed by which they are dealt (default: 0).
            stratify: As in :meth:`random` (default: ``None``).

        Raises:
            ValueError: If there are fewer examples than folds.

        Example:
            >>> [split.sizes for split in Split.k_fold(9, k=3)]
            [(3, 3, 3), (3, 3, 3), (3, 3, 3)]
        """
        label = f"{k}-fold-{seed}"
        ids = _shuffled(num_examples, stratify, seed, label).ids
        if ids.size < k:
            raise ValueError(f"split {label!r}: {ids.size} examples are fewer than {k} folds")
        folds = [torch.from_numpy(np.sort(ids[i::k])) for i in range(k)]
        splits = []
        for i in range(k):
            val, test = folds[(i + 1) % k], folds[i]
            train = torch.cat([fold for j, fold in enumerate(folds) if j not in (i, (i + 1) % k)]).sort().values
            splits.append(cls(f"{label}/{i}", train, val, test, num_examples=num_examples))
        return splits

    @classmethod
    @checked
    def random_edges(
        cls,
        edge_index: Any,
        val: Share = 0.2,
        test: Share = 0.2,
        seed: Seed = 0,
        stratify: Any = None,
        undirected: bool = True,
        name: str | None = None,
    ) -> Split:
        """Divide the edges of a graph at random, those between the same nodes together.

        Args:
            edge_index: The edges ``[2, num_edges]``.
            val: The share for validation (default: 0.2).
            test: The share for the test; the rest is for training (default: 0.2).
            seed: The seed of the draw (default: 0).
            stratify: Labels ``[num_edges]``, as in :meth:`random`; of several edges between the same nodes the first
                one's counts (default: ``None``).
            undirected: Whether (a, b) and (b, a) are together, too (default: ``True``).
            name: The split's name (default: ``"random/<seed>"``).

        Raises:
            ValueError: As :meth:`random`.

        Example:
            >>> edges = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 4], [1, 2, 3, 4, 0, 1, 2, 3]])
            >>> (Split.random_edges(edges, 0.25, 0.25).test % 4).tolist()  # both directions of one edge
            [1, 1]
        """
        ends = as_tensor(edge_index, "Split.random_edges: edge_index").cpu().numpy()
        ends = np.sort(ends, axis=0) if undirected else ends
        _, first, pair_of = np.unique(ends, axis=1, return_index=True, return_inverse=True)
        if stratify is not None:
            labels = stratify.tolist() if hasattr(stratify, "tolist") else list(stratify)
            if len(labels) != ends.shape[1]:
                raise ValueError(f"Split.random_edges: stratify has {len(labels)} labels for {ends.shape[1]} edges")
            stratify = [labels[i] for i in first]
        pairs = cls.random(first.size, val, test, seed, stratify, name)
        of_part = (np.isin(pair_of, getattr(pairs, stage).numpy()) for stage in STAGES)
        train, val_ids, test_ids = (torch.from_numpy(np.flatnonzero(mask)) for mask in of_part)
        return cls(pairs.name, train, val_ids, test_ids, num_examples=ends.shape[1])

    @classmethod
    @checked
    def by_time(cls, time: Any, val: Share = 0.2, test: Share = 0.2, name: str = "time") -> Split:
        """Train on the past, validate and test on what comes after it.

        As in PyG's ``TemporalData.train_val_test_split``, bounds are quantiles of the times: those up to the
        ``1 - val - test`` quantile are for training, later ones up to the ``1 - test`` quantile for validation, all
        others for the test. So examples of the same time are always in the same part.

        Args:
            time: The time of each node, edge or graph ``[num_examples]``, as numbers or dates.
            val: The share for validation (default: 0.2).
            test: The share for the test; the rest is for training (default: 0.2).
            name: The split's name (default: ``"time"``).

        Raises:
            ValueError: If a time is missing, or so many are equal that nothing is left for a part.

        Example:
            >>> Split.by_time([3, 1, 1, 2, 5, 4, 6, 6]).test.tolist()
            [6, 7]
        """
        times = as_times(time, f"split {name!r}")
        part = parts_by_time(times, time_bounds(times, val, test, f"split {name!r}"))
        train, val_ids, test_ids = (torch.from_numpy(np.flatnonzero(part == number)) for number in range(3))
        return cls(name, train, val_ids, test_ids, num_examples=part.size)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the three id sets; the order of ids does not matter."""
        return hash_tensors(*(getattr(self, stage).sort().values for stage in STAGES))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of train, validation and test ids."""
        return self.train.numel(), self.val.numel(), self.test.numel()

    def __repr__(self) -> str:
        return f"Split({self.name}: {'/'.join(map(str, self.sizes))}, {self.hash})"


@dataclass(frozen=True)
class _Shuffled:
    """Ids in random order, class after class, with the class of each."""

    ids: np.ndarray
    codes: np.ndarray
    classes: list[Any]


def _shuffled(count: int, labels: Any, seed: int, split: str) -> _Shuffled:
    order = np.random.default_rng([0x5B117, seed]).permutation(count)  # not the generator that labels are drawn by
    if labels is None:
        return _Shuffled(order, np.zeros(count, dtype=np.int64), [None])
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    if len(values) != count:
        raise ValueError(f"split {split!r}: stratify has {len(values)} labels for {count} examples")
    if any(isinstance(value, list) for value in values):
        raise ValueError(f"split {split!r}: stratify has rows of several labels; give one label per example")
    classes = sorted({value for value in values if not _is_missing(value)}, key=lambda value: (str(type(value)), value))
    if len(classes) > max(2, count // 2):
        raise ValueError(
            f"split {split!r}: stratify has {len(classes)} different labels of {count}; these are no classes, of "
            "which each part could get its share; choose other labels, or give no stratify"
        )
    code_of = {value: code for code, value in enumerate(classes)}
    codes = np.array([-1 if _is_missing(value) else code_of[value] for value in values], dtype=np.int64)
    order = order[codes[order] >= 0]
    order = order[np.argsort(codes[order], kind="stable")]
    return _Shuffled(order, codes[order], classes)


def _is_missing(value: Any) -> bool:
    if value is None or not isinstance(value == value, bool | np.bool_):  # as pandas' NA
        return True
    return bool(value != value) or (isinstance(value, int | np.integer) and bool(value == -1))


def _every(count: int, share: float) -> np.ndarray:
    """A mask of as many of ``count`` rows as is their share, evenly spread."""
    steps = np.floor(np.arange(count + 1) * share + 0.5)
    return np.diff(steps) > 0


def _as_mask(mask: Any, split: int | None, what: str) -> Tensor:
    mask = as_tensor(mask, what)
    if mask.layout != torch.strided:
        raise TypeError(f"{what} is a {mask.layout} tensor; give a dense one")
    if mask.dtype == torch.uint8 and bool((mask <= 1).all()):  # what masks were before there was torch.bool
        mask = mask.bool()
    if mask.dtype != torch.bool:
        raise TypeError(f"{what} has dtype {mask.dtype}, expected torch.bool; ids go to gk.Split(...)")
    if mask.dim() == 2:
        if split is None:
            raise ValueError(f"{what} has the shape {list(mask.shape)}: {mask.size(1)} splits; choose one by split=")
        if not 0 <= split < mask.size(1):
            raise ValueError(f"{what} has {mask.size(1)} columns, 0..{mask.size(1) - 1}, but split={split}")
        return mask[:, split]
    if mask.dim() != 1:
        raise ValueError(f"{what} has the shape {list(mask.shape)}, expected [num_nodes]")
    return mask
