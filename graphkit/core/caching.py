"""Cache: what follows from an object that never changes is computed once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakIdRef, WeakTensorKeyDictionary

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
        cache: dict[Hashable, tuple[Any, Snapshot, Any]] = self.__dict__.setdefault("_cache", {})
        entry, code = cache.get(key), getattr(make, "__code__", None)
        if entry is not None and entry[0] is code and (not inputs or entry[1].holds(inputs)):
            return entry[2]
        snapshot = Snapshot(inputs)
        with torch.inference_mode(False), torch.no_grad():
            value = make(*snapshot.copies)
        if inputs or entry is not None:
            cache[key] = code, snapshot, value
            return value
        return cache.setdefault(key, (code, snapshot, value))[2]  # one winner when threads race

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_cache"}


class Snapshot:
    """What tensors hold, to tell later whether others hold the same.

    On the CPU values are compared, so that no edit goes unnoticed. Elsewhere the host would have to wait for that, so
    there a tensor that nobody has written to since, by its version counter, holds what it held. An edit through
    ``.data`` is not seen.

    Args:
        tensors: The tensors, or ``None`` for one that is missing; copied.

    Attributes:
        copies: The copies.
    """

    def __init__(self, tensors: tuple[Tensor | None, ...]) -> None:
        with torch.inference_mode(False), torch.no_grad():
            self.copies = tuple(None if t is None else t.clone(memory_format=torch.contiguous_format) for t in tensors)
        self._stamps = [_stamp(tensor) for tensor in tensors]

    def holds(self, tensors: tuple[Tensor | None, ...]) -> bool:
        """Whether tensors are equal to the copies in dtype, device, shape and values."""
        return all(self._same(position, tensor) for position, tensor in enumerate(tensors))

    def is_of(self, tensors: tuple[Tensor | None, ...]) -> bool:
        """As :meth:`holds`, but a device's must be the same tensors: the host would wait for their values."""
        stamps = [_stamp(tensor) for tensor in tensors]
        return self.holds(tensors) if None in stamps else stamps == self._stamps

    def _same(self, position: int, tensor: Tensor | None) -> bool:
        copy, stamp = self.copies[position], _stamp(tensor)
        if tensor is None or copy is None:
            return tensor is copy
        if stamp is not None and stamp == self._stamps[position]:
            return True
        alike = tensor.dtype == copy.dtype and tensor.device == copy.device and tensor.shape == copy.shape
        if not (alike and torch.equal(tensor, copy)):
            return False
        self._stamps[position] = stamp
        return True


class TensorCache(Generic[T]):
    """What follows from a tensor, by identity: it dies with the tensor, and counts only while contents stay."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Tensor], Snapshot, dict[Hashable, T]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(
        self, owner: Tensor, parts: tuple[Tensor | None, ...], key: Hashable, make: Callable[[tuple[Any, ...]], T]
    ) -> T:
        """What ``make`` computes of private copies of a tensor's parts.

        Args:
            owner: The tensor.
            parts: The tensors that hold its contents, itself or those of its sparse layout, and others on which it
                depends.
            key: All else that ``make`` reads.
            make: Computes it.
        """
        entry = self._entries.get(id(owner))
        if entry is not None and entry[0]() is owner and entry[1].holds(parts):
            if key in entry[2]:
                return entry[2][key]
        else:
            entry = None
        contents = Snapshot(parts) if entry is None else entry[1]
        with torch.inference_mode(False), torch.no_grad():
            made = make(contents.copies)
        if entry is None:
            entry = self._entries[id(owner)] = weakref.ref(owner, self._forget(id(owner))), contents, {}
        return entry[2].setdefault(key, made)  # one winner when threads race

    def _forget(self, number: int) -> Callable[[weakref.ref[Tensor]], None]:
        entries = self._entries

        def forget(owner: weakref.ref[Tensor]) -> None:
            entry = entries.get(number)
            if entry is not None and entry[0] is owner:  # the id may belong to another tensor by now
                del entries[number]

        return forget


def of_tensor(tensor: Tensor, key: str, make: Callable[[], T]) -> T:
    """What follows from a tensor, e.g. whether ids are in range: on the CPU computed anew, elsewhere once per content.

    Args:
        tensor: The tensor.
        key: The name of what is computed.
        make: Computes it; the host waits for the device.
    """
    stamp = _stamp(tensor)
    if stamp is None:
        return make()
    known = _known.setdefault(_owner(tensor), {})
    place = key, *stamp[2:]  # views share their owner's counter
    if known.get(place, (None,))[0] != stamp:
        known[place] = stamp, make()
    return known[place][1]


_known: Any = WeakTensorKeyDictionary()


def _owner(tensor: Tensor) -> Tensor:
    """The tensor that a view is of, else the tensor itself."""
    return tensor if tensor._base is None else tensor._base


def _stamp(tensor: Tensor | None) -> tuple[Any, ...] | None:
    """Equal as long as a tensor is the same and has not been written to; ``None`` where this is not to be relied on."""
    if tensor is None or tensor.device.type == "cpu" or tensor.is_inference() or tensor.layout != torch.strided:
        return None
    return WeakIdRef(_owner(tensor)), tensor._version, tensor.data_ptr(), tensor.shape, tensor.stride()
