"""Parsed datasets: many graphs in one set of tensors, cached on disk.

On disk each is one tensor file, whole or not there, and built again whenever it is not trustworthy.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.data_folder import writing
from graphkit.core.files import load_tensors, save_tensors
from graphkit.core.resources import data_root
from graphkit.ops.indices import starts

Ids = tuple[Tensor, Tensor, Tensor]

_FORMAT = 2
_logger = logging.getLogger("graphkit.datasets")


@dataclass
class Collated:
    r"""Many graphs in one set of tensors, as PyG's ``InMemoryDataset`` keeps them.

    Attributes:
        tensors: All graphs' tensors, concatenated; node ids in ``edge_index`` are local to their graph.
        slices: For each key the ends of the graphs, of shape ``[num_graphs + 1]``; empty for a single graph.
        splits: The published splits that came with the data, as (train, validation, test) ids.
    """

    tensors: dict[str, Tensor]
    slices: dict[str, Tensor] = field(default_factory=dict)
    splits: list[Ids] = field(default_factory=list)

    def graphs(self) -> list[Data]:
        """The graphs one by one; their tensors are views."""
        if not self.slices:
            told = {} if {"x", "node_type"} & self.tensors.keys() else {"num_nodes": self._num_nodes}  # PyG reads these
            return [Data(**self.tensors, **told)]
        pieces = {
            key: tensor.split(self.slices[key].diff().tolist(), dim=1 if key == "edge_index" else 0)
            for key, tensor in self.tensors.items()
        }
        keys = list(pieces)
        return [Data(**dict(zip(keys, row, strict=True))) for row in zip(*pieces.values(), strict=True)]

    @property
    def counts(self) -> dict[str, int]:
        """Graphs, nodes, edges, features and distinct outputs, in the words of a card's ``expect``."""
        y = self.tensors.get("y")
        outputs, x = 0, self.tensors.get("x")
        if y is not None:
            outputs = y.size(1) if y.dim() == 2 else int(y.max()) + 1 if not y.is_floating_point() else 1
        return {
            "graphs": self.slices["x"].numel() - 1 if self.slices else 1,
            "nodes": self._num_nodes,
            "edges": self.tensors["edge_index"].size(1),
            "features": 0 if x is None else x.size(1),
            "outputs": outputs,
        }

    @property
    def _num_nodes(self) -> int:
        return next(self.tensors[key].size(0) for key in ("x", "node_type", "y") if key in self.tensors)


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


def collate(
    tensors: dict[str, Tensor], num_nodes: Sequence[int] | Tensor, num_edges: Sequence[int] | Tensor
) -> Collated:
    """Many graphs from their concatenated tensors, of nodes (``x``), edges (``edge_...``) and graphs (all others)."""
    nodes, edges = (starts(torch.as_tensor(counts).long()) for counts in (num_nodes, num_edges))
    graphs = torch.arange(len(num_nodes) + 1)
    return Collated(
        tensors, {key: nodes if key == "x" else edges if key.startswith("edge_") else graphs for key in tensors}
    )


def joined(parts: list[Collated]) -> Collated:
    """Train, validation and test sets as one set with one split."""
    keys = list(parts[0].tensors)
    tensors = {
        key: torch.cat([part.tensors[key] for part in parts], dim=1 if key == "edge_index" else 0) for key in keys
    }
    slices = {key: starts(torch.cat([part.slices[key].diff() for part in parts])) for key in keys}
    first, second = parts[0].counts["graphs"], parts[0].counts["graphs"] + parts[1].counts["graphs"]
    everything = torch.arange(second + parts[2].counts["graphs"])
    return Collated(tensors, slices, [(everything[:first], everything[first:second], everything[second:])])


# On disk -------------------------------------------------------------------------------------------------------------


def cached(name: str, stamp: dict[str, Any], build: Callable[[Path], Collated]) -> Collated:
    """The parsed data from the cache if it is whole and made for the same stamp; else build and save it.

    Args:
        name: The cache's name.
        stamp: What the content depends on: the card's data hash, options, library versions.
        build: Parses the raw files; is given a scratch folder.

    Raises:
        OSError: If the disk is full or the data root can be no folder. Nothing half-written stays behind.
    """
    path = data_root() / "processed" / f"{name}.pt"
    stamp = json.loads(json.dumps({"format": _FORMAT, **stamp}))
    kept, _ = _kept(path, stamp)
    if kept is not None:
        return kept
    with writing(path, f"another process parses {name}; waiting for it") as can_write:
        kept, fault = _kept(path, stamp)
        if kept is not None:
            return kept
        if fault:
            _logger.warning("the processed data in %s are not usable (%s); building them again", path, fault)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent if can_write else None))
        try:
            parsed = build(scratch / "work")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if can_write:
            save_tensors(path, {"stamp": stamp, **_packed(parsed)})
    return parsed


def _kept(path: Path, stamp: dict[str, Any]) -> tuple[Collated | None, str]:
    """What the file holds, or what is wrong with it; neither if there is none."""
    try:
        content = load_tensors(path)
        if content["stamp"] == stamp:
            return _unpacked(content), ""
        return None, "made from another card, other options or by other versions"
    except FileNotFoundError:
        return None, ""
    except Exception as error:  # whatever is wrong with the file
        return None, f"damaged: {error}"


def _packed(parsed: Collated) -> dict[str, Any]:
    return {
        "tensors": {key: _pack(tensor) for key, tensor in parsed.tensors.items()},
        "slices": {key: _pack(tensor) for key, tensor in parsed.slices.items()},
        "splits": [[_pack(ids) for ids in split] for split in parsed.splits],
    }


def _unpacked(content: dict[str, Any]) -> Collated:
    tensors, slices = ({key: _unpack(part) for key, part in content[of].items()} for of in ("tensors", "slices"))
    return Collated(tensors, slices, [(_unpack(a), _unpack(b), _unpack(c)) for a, b, c in content["splits"]])


def _pack(tensor: Tensor) -> dict[str, Any]:
    """A compact form: integers in the smallest dtype that holds them, mostly-zero matrices by their nonzeros."""
    tensor = tensor.contiguous()
    if tensor.dim() == 2 and tensor.is_floating_point():
        flat = tensor.view(-1)
        where = flat.nonzero().view(-1)
        if where.numel() * 10 < flat.numel():
            return {"shape": list(tensor.shape), "where": _pack(where), "values": flat[where]}
    if tensor.dtype == torch.int64 and tensor.numel():
        low, high = int(tensor.min()), int(tensor.max())
        for dtype in (torch.uint8, torch.int16, torch.int32):
            info = torch.iinfo(dtype)
            if info.min <= low and high <= info.max:
                return {"integers": tensor.to(dtype)}
    return {"plain": tensor.clone()}


def _unpack(packed: dict[str, Any]) -> Tensor:
    if "integers" in packed:
        return packed["integers"].long()
    if "where" in packed:
        values = packed["values"]
        flat = torch.zeros(packed["shape"][0] * packed["shape"][1], dtype=values.dtype)
        flat[_unpack(packed["where"])] = values
        return flat.view(packed["shape"])
    return packed["plain"]
