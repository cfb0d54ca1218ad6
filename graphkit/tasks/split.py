"""Which nodes or graphs are for training, validation and test."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.hashing import hash_tensors

STAGES = ("train", "val", "test")


def ids_to_int64(split: object) -> None:
    """Turn the ids of a frozen split from int32 to int64: keys are made of them."""
    for name, ids in vars(split).items():
        if isinstance(ids, Tensor) and ids.dtype == torch.int32:
            object.__setattr__(split, name, ids.long())


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

    Raises:
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

    def __post_init__(self) -> None:
        ids_to_int64(self)
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
    def from_masks(cls, name: str, train_mask: Tensor, val_mask: Tensor, test_mask: Tensor) -> Split:
        """Build a split from boolean masks of shape ``[num_nodes]``.

        Raises:
            TypeError: If a mask is not boolean.
            ValueError: As :class:`Split`.
        """
        masks = dict(zip(STAGES, (train_mask, val_mask, test_mask), strict=True))
        for stage, mask in masks.items():
            if mask.dtype != torch.bool:
                raise TypeError(f"split {name!r}: {stage}_mask has dtype {mask.dtype}, expected torch.bool")
        return cls(name, **{stage: mask.nonzero().view(-1) for stage, mask in masks.items()})

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
