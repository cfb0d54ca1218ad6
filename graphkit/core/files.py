"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


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
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError(
                errno.ENOSPC, f"no space left on the disk while writing {path}; free some space and run it again"
            ) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write plain values as indented UTF-8 JSON, whole or not at all; see :func:`atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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
    except RuntimeError:  # torch does not say that the disk is full; a further write does
        with path.open("ab", buffering=0) as file:
            file.write(bytes(2**20))
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


def cached_tensors(path: str | os.PathLike[str], compute: Callable[[], Any], parse: Callable[[Any], T]) -> T:
    """What is made of a file's content, which is computed and written if there is none or it is damaged.

    Args:
        path: The file; its name must say all that the content depends on.
        compute: Returns the content: tensors and plain values.
        parse: Makes of the content what is returned; content of which nothing can be made is damaged.
    """
    path = Path(path)
    try:
        return parse(load_tensors(path))
    except FileNotFoundError:
        pass
    except Exception:  # whatever is wrong with the file
        path.unlink(missing_ok=True)
    content = compute()
    save_tensors(path, content)
    return parse(content)


def sha256(path: str | os.PathLike[str]) -> str:
    """The hexadecimal sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
