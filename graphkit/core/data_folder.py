"""The data folder: one process at a time writes a file, and where nothing can be written nothing is kept."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from graphkit.core.files import full_disk, load_tensors, remove_temporaries, save_tensors
from graphkit.core.locks import locked
from graphkit.core.resources import data_root

T = TypeVar("T")


@contextmanager
def writing(path: Path, waiting: str) -> Iterator[bool]:
    """Lock a file or folder for the process that writes it, and remove what killed ones have left of it.

    Yields ``False`` where nothing can be written, which a warning says once.

    Args:
        path: The file or folder.
        waiting: What to log if another process is at it.

    Raises:
        OSError: If the disk is full, or the place can be no folder; the message names the remedy.
    """
    with ExitStack() as stack:
        try:
            outermost = stack.enter_context(locked(path.with_name(f".{path.name}.lock"), waiting))
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise full_disk(path) from error
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                why = f"cannot write to {path.parent} ({error.strerror})"
                raise OSError(error.errno, f"{why}; set GRAPHKIT_DATA to a folder that can be written") from error
            _say_read_only(data_root() if path.is_relative_to(data_root()) else path.parent)
            outermost, can_write = False, False
        else:
            can_write = True
        if outermost:
            remove_temporaries(path)
        yield can_write


@cache
def _say_read_only(folder: Path) -> None:
    warnings.warn(
        f"{folder} cannot be written, so nothing that is fetched or computed is kept; set GRAPHKIT_DATA to another",
        stacklevel=2,
    )


def results_folder(kind: str, dataset: str = "") -> Path:
    """The folder of the results of ``"transforms"`` or ``"samplers"``, of each dataset apart.

    Args:
        kind: What made them.
        dataset: The dataset whose graphs they were made of (default: none, a user's own graphs).
    """
    return data_root() / kind / dataset


def cached_tensors(path: str | os.PathLike[str], compute: Callable[[], Any], parse: Callable[[Any], T]) -> T:
    """What is made of a file's content, which is computed and written if there is none or it is damaged.

    Of several processes one computes it, and the others wait.

    Args:
        path: The file; its name must say all that the content depends on.
        compute: Returns the content: tensors and plain values.
        parse: Makes of the content what is returned; content of which nothing can be made is damaged.
    """
    path = Path(path)

    def read() -> list[T]:
        try:
            return [parse(load_tensors(path))]
        except Exception:  # not there, or whatever is wrong with it
            return []

    if cached := read():
        return cached[0]
    with writing(path, f"another process computes {path}; waiting for it") as can_write:
        if can_write and (cached := read()):
            return cached[0]
        content = compute()
        if can_write:
            save_tensors(path, content)
    return parse(content)
