"""Locks between processes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

_logger = logging.getLogger("graphkit")


def try_lock(path: Path) -> BaseFileLock | None:
    """The lock of a file, which is made with its folder; ``None`` while anybody holds it, this thread included.

    Raises:
        OSError: If the file cannot be made.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except (Timeout, RuntimeError):  # RuntimeError: the thread would wait for itself
        return None
    return lock


@contextmanager
def locked(path: str | os.PathLike[str], waiting: str) -> Iterator[bool]:
    """Let one process or thread after the other do something.

    Yields ``False`` in what the holder itself does within.

    Args:
        path: The lock's file, which is there as long as somebody needs it; its folder is made.
        waiting: What to log, as a warning, if another one holds the lock.

    Raises:
        OSError: If the file cannot be made.

    Example:
        >>> import tempfile
        >>> with locked(f"{tempfile.mkdtemp()}/n.lock", "another process writes the numbers; waiting for it") as alone:
        ...     print(alone)
        True
    """
    from filelock import FileLock

    path = Path(path)
    lock: BaseFileLock | None = try_lock(path)
    if lock is None:
        _logger.warning("%s", waiting)
        lock = FileLock(path)
        try:
            lock.acquire()
        except RuntimeError:  # it would wait for itself
            yield False
            return
    try:
        yield True
    finally:
        with suppress(OSError):
            path.unlink()  # before the release: who waits for it sees that it has gone, and makes a new one
        lock.release()
