"""Locks between processes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_logger = logging.getLogger("graphkit")


@contextmanager
def locked(path: str | os.PathLike[str], waiting: str) -> Iterator[None]:
    """Let one process or thread after the other do something.

    Args:
        path: The lock's file, which is there as long as somebody needs it; its folder is made.
        waiting: What to log, as a warning, if another one holds the lock.

    Raises:
        OSError: If the file cannot be made.

    Example:
        >>> import tempfile
        >>> with locked(f"{tempfile.mkdtemp()}/numbers.lock", "another process writes the numbers; waiting for it"):
        ...     print("alone")
        alone
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _logger.warning("%s", waiting)
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # before the release: who waits for it sees that it has gone, and makes a new one
        lock.release()
