"""Short content hashes: equal input gives equal digests, in every process and on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def hash_tensors(*tensors: Tensor | None, length: int = 12) -> str:
    """A hexadecimal digest of the tensors' dtypes, shapes and values (``None`` is allowed and counts).

    Example:
        >>> import torch
        >>> hash_tensors(torch.arange(3)) == hash_tensors(torch.tensor([0, 1, 2]))
        True
    """
    import torch

    digest = hashlib.sha256()
    for tensor in tensors:
        if tensor is None:
            digest.update(b"none")
            continue
        if tensor.layout != torch.strided:
            tensor = tensor.to_sparse_coo().coalesce()
            digest.update(hash_tensors(tensor.indices(), tensor.values()).encode() + str(tensor.shape).encode())
            continue
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{array.dtype}{list(array.shape)}".encode())
        if array.numel():  # an empty tensor may keep a stride that forbids the view
            digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:length]


def hash_data(data: Mapping[str, Any] | Any, length: int = 12) -> str:
    """A digest of a PyG ``Data`` object: every attribute by name."""
    from torch import Tensor

    own = getattr(type(data), "digest", None)  # of a mapped graph
    if own is not None:
        return own(data)[:length]
    items = data.to_dict() if hasattr(data, "to_dict") else dict(data)
    parts = []
    for key in sorted(items):
        value = items[key]
        parts.append(f"{key}={hash_tensors(value) if isinstance(value, Tensor) else hash_config(value)}")
    return hashlib.sha256(";".join(parts).encode()).hexdigest()[:length]


def hash_config(config: Any, length: int = 12) -> str:
    """A digest of plain values (dicts, lists, strings, numbers); the order of a dict's keys does not matter."""
    text = json.dumps(config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
