"""Golden files: reading them, finding their adapters, comparing with them.

An adapter is a module ``tests/golden/adapters/<folder>.py`` (dashes become underscores) with a function
``check(arrays: GoldenFile) -> None`` that builds what the file describes, runs it and compares. It may use what the
file says about itself, never the file's name.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

# Keys with these beginnings say something that an adapter has to look at.
_MEANINGFUL = ("cfg", "param", "grad", "out", "preact")


def golden_root() -> Path:
    """``$GRAPHKIT_GOLDEN``, else the data that lies here."""
    chosen = os.environ.get("GRAPHKIT_GOLDEN")
    return Path(chosen) if chosen else Path(__file__).parent / "data"


def find_adapter(folder: str) -> ModuleType | None:
    """The adapter of a folder, or ``None`` if there is none."""
    name = folder.replace("-", "_")
    exists = (Path(__file__).parent / "adapters" / f"{name}.py").is_file()
    return importlib.import_module(f"tests.golden.adapters.{name}") if exists else None


def translated(name: str, patterns: Iterable[tuple[str, str]]) -> str:
    """Our name of a weight: each pattern, where it is found in theirs, becomes what stands for it."""
    for theirs, ours in patterns:
        name = re.sub(theirs, ours, name)
    return name


class GoldenFile:
    """The arrays of one ``.npz`` file; every failure names the file and the key."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._read: set[str] = set()
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                self._arrays = {key: archive[key] for key in archive.files}
        except Exception as error:
            raise AssertionError(f"golden file {self.path} cannot be read: {error}") from error

    def __contains__(self, key: str) -> bool:
        return key in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._arrays))

    def keys(self) -> list[str]:
        return list(self)

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self._arrays:
            raise AssertionError(f"golden file {self.path} has no key {key!r}; it has {', '.join(self)}")
        self._read.add(key)
        return self._arrays[key]

    def tensor(self, key: str) -> Tensor:
        return torch.from_numpy(np.array(self[key]))

    def scalar(self, key: str) -> bool | int | float | str:
        value = self[key]
        if value.shape != ():
            raise AssertionError(f"golden file {self.path}: key {key!r} has shape {value.shape}, expected a scalar")
        return value.item()

    def assert_close(self, key: str, actual: Tensor | np.ndarray | None, tolerance: float) -> None:
        """Compare with the array ``key``, allowing ``tolerance`` times its largest value (at least 1)."""
        expected = self[key]
        if actual is None:
            raise AssertionError(f"golden file {self.path}: nothing was computed for {key!r}")
        array = actual.detach().numpy() if isinstance(actual, Tensor) else np.asarray(actual)
        if array.shape != expected.shape:
            raise AssertionError(f"golden file {self.path}: {key!r} has shape {expected.shape}, ours {array.shape}")
        error = np.abs(array - expected)
        allowed = tolerance * max(1.0, float(np.abs(expected).max(initial=0.0)))
        if not (error <= allowed).all():  # written so that NaN fails
            worst = np.unravel_index(np.nan_to_num(error, nan=np.inf).argmax(), error.shape)
            raise AssertionError(
                f"golden file {self.path}: {key!r} differs by {error[worst]:.3g} (allowed {allowed:.3g}) at "
                f"{tuple(map(int, worst))}: expected {expected[worst]}, ours {array[worst]}"
            )

    def assert_all_read(self) -> None:
        """Fail if a configuration, weight or result was never looked at."""
        unread = [key for key in self if key.startswith(_MEANINGFUL) and key not in self._read]
        if unread:
            raise AssertionError(f"golden file {self.path}: the adapter ignores {', '.join(unread)}")


def check_file(path: str | os.PathLike[str], check: Callable[[GoldenFile], None]) -> None:
    """Run an adapter's ``check`` on one file."""
    file = GoldenFile(path)
    check(file)
    file.assert_all_read()
