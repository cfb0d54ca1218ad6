"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file so that readers see the old content or the new one, never a part.

    Yields a temporary path in the same folder. It replaces ``path`` when the block ends well and is removed when the
    block raises, Ctrl-C included.

    Args:
        path: The final place; missing parent folders are made.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the message names the place and the remedy.

    Example:
        >>> import tempfile; from pathlib import Path
        >>> target = Path(tempfile.mkdtemp()) / "scores.txt"
        >>> with atomic_write(target) as temporary:
        ...     _ = temporary.write_text("0.81")
        >>> target.read_text()
        '0.81'
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:  # the content must be on disk before the name points to it
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        _sync(path.parent)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise full_disk(path, temporary) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def full_disk(path: Path, written: Path | None = None) -> OSError:
    """The error of a full disk, which names the file and the space.

    Args:
        path: The file that was to be written.
        written: Where its first part lies (default: nowhere).
    """
    standing = next(folder for folder in path.absolute().parents if folder.is_dir())
    size = written.stat().st_size if written is not None and written.is_file() else 0
    free = shutil.disk_usage(standing).free + size
    return OSError(
        errno.ENOSPC,
        f"no space left on the disk while writing {path}; free some space and run it again ({free / 2**20:.1f} MiB are "
        f"free in {standing}, and it needs more)",
    )


def remove_temporaries(path: Path) -> None:
    """Remove what killed processes have left of their attempts to write this; no other process may be at it now."""
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file, a folder, or a link itself, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Let the order in which names changed survive a power failure, where the system can."""
    with suppress(OSError):  # not on Windows, nor on every network disk
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write plain values as indented UTF-8 JSON, whole or not at all; see :func:`atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_record(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write plain values as JSON with their checksum, which :func:`read_record` compares."""
    content = json.loads(json.dumps(content, default=str))
    write_json(path, content | {_CHECKSUM: _checksum(content)})


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`write_record` wrote; a file without a checksum is of an older graphkit.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is damaged or no such file.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"expected keys and values, got {type(content).__name__}")
    known = content.pop(_CHECKSUM, None)
    if known is not None and known != _checksum(content):
        raise ValueError("its checksum is wrong")
    return content


_CHECKSUM = "sha256"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def save_tensors(path: str | os.PathLike[str], content: Any) -> None:
    """Write tensors and plain values by ``torch.save``, whole or not at all; see :func:`atomic_write`."""
    with atomic_write(path) as temporary:
        write_tensors(temporary, content)


def write_tensors(path: Path, content: Any) -> None:
    """Call ``torch.save``, with the system's own error on a full disk; what was written till then stays."""
    import torch

    try:
        torch.save(content, path)
    except RuntimeError:  # torch does not say that the disk is full; further writes do, of which the first may be short
        with path.open("ab", buffering=0) as file:
            while file.write(bytes(2**20)) < 2**20:
                pass
        raise


def load_tensors(path: str | os.PathLike[str]) -> Any:
    """Read what :func:`save_tensors` wrote, without executing anything that the file might contain.

    Raises:
        FileNotFoundError: If there is no file.
        Exception: If it is damaged (every checksum is compared, which ``torch.load`` does not do) or holds more than
            tensors and plain values.
    """
    import torch

    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"checksum of {damaged} is wrong")
    return torch.load(path, map_location="cpu", weights_only=True)


def sha256(path: str | os.PathLike[str]) -> str:
    """The hexadecimal sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
