"""Cache: what follows from an object that never changes is computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Caching:
    """Mixin of immutable objects: :meth:`cached` computes once what follows from the object, and lives as long.

    Such a thing is never an inference tensor and has no gradient, so that an evaluation under ``torch.inference_mode``
    leaves nothing behind that training could not use. A copy, on another device or from a file, begins empty.
    """

    def cached(self, key: Hashable, make: Callable[..., T], *inputs: Tensor | None) -> T:
        """``make(*inputs)``, computed when first asked for.

        Args:
            key: A name, with every argument that ``make`` reads besides the object and the inputs.
            make: Computes it, from private copies of the inputs; a function that was defined anew computes it anew.
            *inputs: Tensors on which it depends besides the object, e.g. edge weights. It counts only as long as they
                have the contents of the copies; the latest contents are cached.
        """
        cache: dict[Hashable, tuple[Any, tuple[Tensor | None, ...], Any]] = self.__dict__.setdefault("_cache", {})
        entry, code = cache.get(key), getattr(make, "__code__", None)
        if entry is not None and entry[0] is code and (not inputs or same_contents(inputs, entry[1])):
            return entry[2]
        with torch.inference_mode(False), torch.no_grad():
            copies = tuple(None if value is None else value.clone() for value in inputs)
            value = make(*copies)
        if inputs or entry is not None:
            cache[key] = code, copies, value
            return value
        return cache.setdefault(key, (code, copies, value))[2]  # one winner when threads race

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_cache"}


def same_contents(new: tuple[Tensor | None, ...], old: tuple[Tensor | None, ...]) -> bool:
    """Whether tensors are equal in dtype, device, shape and values."""
    return all(
        a is b
        if a is None or b is None
        else a.dtype == b.dtype and a.device == b.device and a.shape == b.shape and torch.equal(a, b)
        for a, b in zip(new, old, strict=True)
    )
