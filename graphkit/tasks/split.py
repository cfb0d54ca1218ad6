"""Which nodes or graphs are for training, validation and test."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import NonNegativeInt, checked
from graphkit.core.graph_input import as_tensor
from graphkit.core.hashing import hash_tensors

STAGES = ("train", "val", "test")


def set_ids(split: Any, *names: str) -> None:
    """Turn the ids of a frozen split into tensors, of int64 where they are integers: keys are made of them."""
    for name in names:
        ids = as_tensor(getattr(split, name), f"split {split.name!r}: {name}")
        if ids.layout != torch.strided:
            raise TypeError(f"split {split.name!r}: {name} is a {ids.layout} tensor; give ids in a dense one")
        if ids.dtype in (torch.int8, torch.int16, torch.int32):  # uint8 is a mask of old
            ids = ids.long()
        object.__setattr__(split, name, ids)


def without_masks(data: Data) -> Data:
    """A shallow copy without the masks that came with the data: they describe another split, or this one twice."""
    plain = copy.copy(data)
    for stage in STAGES:
        plain.pop(f"{stage}_mask", None)
    return plain


@dataclass(frozen=True, eq=False)
class Split:
    r"""Disjoint train, validation and test ids with a name and a content hash.

    Args:
        name: The split's name, e.g. ``"public"`` or ``"geom-gcn/3"``.
        train: Ids of the training nodes or graphs, of shape ``[num_train]``.
        val: Ids for validation.
        test: Ids for the final score.
        num_examples: How many nodes or graphs there are; then a task of another number is refused (default: not known).

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
        cls, name: str, train_mask: Any, val_mask: Any, test_mask: Any, split: NonNegativeInt | None = None
    ) -> Split:
        """Build a split from boolean masks ``[num_nodes]``, or from a column of masks ``[num_nodes, num_splits]``.

        Args:
            name: The split's name.
            train_mask: Which nodes are for training; a tensor, an array or a list.
            val_mask: Which nodes are for validation.
            test_mask: Which nodes are for the test.
            split: The column of masks that hold several splits, as PyG's Geom-GCN and WikiCS do; masks of one
                dimension, which all splits share, have none (default: masks hold one split).

        Raises:
            TypeError: If a mask is not boolean.
            ValueError: If masks differ in length or lack the column; and as :class:`Split`.

        Example:
            >>> masks = torch.eye(3, dtype=torch.bool)
            >>> Split.from_masks("first", masks, masks.roll(1, 0), [False, False, True], split=0).sizes
            (1, 1, 1)
        """
        masks = dict(zip(STAGES, (train_mask, val_mask, test_mask), strict=True))
        given = {stage: _as_mask(mask, split, f"split {name!r}: {stage}_mask") for stage, mask in masks.items()}
        lengths = {stage: mask.numel() for stage, mask in given.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"split {name!r}: the masks are of different lengths, {lengths}; give those of one graph")
        parts = {stage: mask.nonzero().view(-1) for stage, mask in given.items()}
        return cls(name, **parts, num_examples=lengths["train"])

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
