"""What the parsers share: the raw files with a scratch folder, and small changes of form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphkit.datasets.cache import Collated, Ids
from graphkit.datasets.pickles import check_pickle


class RawFiles:
    """The verified raw files of one dataset and a scratch folder to work in.

    Args:
        files: Local paths by the paths in the card.
        scratch: A folder that is removed after parsing.
        trusted: The card paths whose sha256 is known; pickles among the others are scanned first.
    """

    def __init__(self, files: dict[str, Path], scratch: Path, trusted: set[str]) -> None:
        self.files = files
        self.scratch = scratch
        self._trusted = trusted

    def __getitem__(self, name: str) -> Path:
        """The file whose card path ends in ``name``."""
        found = [path for key, path in self.files.items() if f"/{key}".endswith(f"/{name}")]
        return found[0]

    def place(self, folder: str, strip: str | None = None) -> None:
        """Lay the files out as a dataset class wants them: under ``folder``, by name or by path after ``strip``."""
        for key, path in self.files.items():
            name = path.name if strip is None else key.partition(f"{strip}/")[2]
            target = self.scratch / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(path.resolve(), target)

    def scan_pickles(self) -> None:
        """Scan every file of unknown content before a class unpickles it."""
        for key, path in self.files.items():
            if key not in self._trusted and not key.endswith((".index", ".txt", ".csv.gz", ".npz", ".json")):
                check_pickle(path)


def parse(cls: type, *args: Any, **kwargs: Any) -> Any:
    """Build a PyG dataset from files that are in place; the class is kept from downloading anything itself."""

    def refuse(self: Any) -> None:
        raise RuntimeError(f"{cls.__name__} does not find its raw files in {self.raw_dir}: {self.raw_file_names}")

    return type(cls.__name__, (cls,), {"download": refuse})(*args, **kwargs)


def from_dataset(dataset: Any) -> Collated:
    """The content of a PyG ``InMemoryDataset``; masks become splits, and features become floating point."""
    content = dataset._data.to_dict()
    splits: list[Ids] = []
    if "train_mask" in content and "test_mask" in content:
        splits = masks_to_ids(*(content.pop(f"{stage}_mask") for stage in ("train", "val", "test")))
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if "x" in tensors:
        tensors["x"] = tensors["x"].float()
    slices = {key: torch.as_tensor(ends) for key, ends in (dataset.slices or {}).items() if key in tensors}
    return Collated(tensors, slices, splits)


def masks_to_ids(train: Tensor, val: Tensor, test: Tensor) -> list[Ids]:
    """Splits from masks of shape ``[num_nodes]`` or ``[num_nodes, num_splits]``; a single column serves all splits."""
    masks = [mask.view(mask.size(0), -1).bool() for mask in (train, val, test)]
    count = max(mask.size(1) for mask in masks)
    columns = [mask.expand(-1, count).unbind(1) for mask in masks]
    return [tuple(mask.nonzero().view(-1) for mask in row) for row in zip(*columns)]


def ends(counts: Tensor) -> Tensor:
    """The ends of consecutive groups, starting with 0."""
    return torch.cat([torch.zeros(1, dtype=torch.int64), counts.long().cumsum(0)])


def joined(parts: list[Collated]) -> Collated:
    """Train, validation and test sets as one set with one split."""
    keys = list(parts[0].tensors)
    tensors = {
        key: torch.cat([part.tensors[key] for part in parts], dim=1 if key == "edge_index" else 0) for key in keys
    }
    slices = {key: ends(torch.cat([part.slices[key].diff() for part in parts])) for key in keys}
    first, second = parts[0].counts["graphs"], parts[0].counts["graphs"] + parts[1].counts["graphs"]
    everything = torch.arange(second + parts[2].counts["graphs"])
    return Collated(tensors, slices, [(everything[:first], everything[first:second], everything[second:])])
