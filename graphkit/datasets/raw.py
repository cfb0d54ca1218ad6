"""Raw files: from the data root, else a local mirror, else downloaded; verified, and laid out for their parser."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Iterable
from functools import cache
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.core.data_folder import writing
from graphkit.core.display import progress_bar
from graphkit.core.files import atomic_write, full_disk, remove_temporaries, sha256
from graphkit.core.resources import data_root
from graphkit.datasets.at_hand import mirror_root, raw_path
from graphkit.datasets.catalog import RawFile, leaves_its_folder
from graphkit.datasets.pickles import check_pickle

_CHUNK = 1 << 20
_REPAIR = "repair the mirror: copy the original file there"
_SPARE = 64 << 20  # bytes that a download of unknown length leaves on the disk
_FURTHER = 16 << 20  # bytes of an archive that no card names


class MissingFilesError(FileNotFoundError):
    """Raw files are neither at hand nor obtainable."""


class DamagedFileError(ValueError):
    """A raw file does not have the content that its card describes."""


def fetch(files: Iterable[RawFile], owner: str) -> dict[str, Path]:
    """Bring raw files into the data root; where it cannot be written, use those of the mirror, or a temporary folder.

    Args:
        files: The files.
        owner: The dataset named in messages.

    Returns:
        The local path of every file, by the path in its card.

    Raises:
        MissingFilesError: If files can neither be found nor downloaded; the message says how to place them by hand.
        DamagedFileError: If a file's content is not the expected one, or its place leads out of the data root.
        OSError: If the disk is full.
    """
    files = list(files)
    if any(not raw_path(file).is_file() for file in files):
        raw = data_root() / "raw"
        with writing(raw, f"another process fetches raw files into {raw}; waiting for it") as can_write:
            return _at_hand(files, owner, raw if can_write else None)
    return _at_hand(files, owner, None)


def _at_hand(files: list[RawFile], owner: str, folder: Path | None) -> dict[str, Path]:
    """The paths of verified files; those that are missing are brought into the folder, if there is one."""
    paths: dict[str, Path] = {}
    to_download: list[RawFile] = []
    mirror = mirror_root()
    for file in files:
        in_mirror = None if mirror is None else mirror / file.path
        if raw_path(file).is_file():
            paths[file.path] = raw_path(file)
            _verify(raw_path(file), file, owner, "delete it and load again, a fresh copy will be fetched")
        elif in_mirror is None or not in_mirror.is_file():
            to_download.append(file)
        elif folder is None:
            paths[file.path] = in_mirror
            _verify(in_mirror, file, owner, _REPAIR)
        else:
            with in_mirror.open("rb") as source:
                paths[file.path] = _save(source, folder, file, owner, str(in_mirror), _REPAIR)
    if to_download:
        paths |= _download(to_download, files, owner, folder or _temporary_folder())
    for file in files:
        if not file.sha256:
            warnings.warn(
                f"dataset {owner!r}: no sha256 is known for {file.path}; its content was not verified", stacklevel=4
            )
    return {file.path: paths[file.path] for file in files}


@cache
def _temporary_folder() -> Path:
    """A folder that lives as long as the process."""
    folder = tempfile.mkdtemp(prefix="graphkit-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _verify(path: Path, file: RawFile, owner: str, remedy: str) -> None:
    if file.sha256:
        _compare(path.stat().st_size, sha256(path), file, owner, str(path), remedy)


def _compare(size: int, digest: str, file: RawFile, owner: str, place: str, remedy: str) -> None:
    if file.sha256 and digest != file.sha256:
        raise DamagedFileError(
            f"dataset {owner!r}: {place} is damaged or another version: found {size} bytes with sha256 {digest}, "
            f"expected {file.bytes} bytes with sha256 {file.sha256}; {remedy}"
        )


def _save(source: Any, folder: Path, file: RawFile, owner: str, place: str, remedy: str, announced: int = 0) -> Path:
    """Copy a stream to its place in a folder; the name appears only when the content is complete and right."""
    target = folder / file.path
    if not within(target, folder):
        raise DamagedFileError(
            f"dataset {owner!r}: {target} leads out of {folder} by a symbolic link; replace the link by a folder"
        )
    remove_temporaries(target)
    with atomic_write(target) as temporary:
        bounded = _Bounded(source, place, target, file.bytes, announced)
        size, digest = _stream(bounded, temporary, announced, place)
        _compare(size, digest, file, owner, place, remedy)
    return target


def within(path: Path, folder: Path) -> bool:
    """Whether what is written to a path, through whatever links, comes to lie in the folder."""
    return path.parent.resolve().is_relative_to(folder.resolve())


class _Bounded:
    """A stream that stops at a length, or, if that is unknown, before the disk is full.

    Args:
        source: The stream.
        place: Where it comes from.
        target: The file that is made of it.
        limit: The length; 0 if it is unknown.
        announced: The length that the sender announced, or 0.
    """

    def __init__(self, source: Any, place: str, target: Path, limit: int, announced: int) -> None:
        self.source, self.place, self.target, self.limit = source, place, target, limit
        self.size = 0
        self._check_space(max(limit, announced))

    def read(self, length: int) -> bytes:
        chunk = self.source.read(length)
        self.size += len(chunk)
        if not self.limit:
            self._check_space(_SPARE)
        elif self.size > self.limit:
            raise DamagedFileError(f"{self.place} is longer than the {self.limit} bytes that its card allows")
        return chunk

    def _check_space(self, needed: int) -> None:
        if shutil.disk_usage(self.target.parent).free < needed:
            raise full_disk(self.target)


def _stream(source: Any, target: Path, length: int, place: str) -> tuple[int, str]:
    """Write a stream to a file and return its length and sha256; ``length`` is what the sender announced, or 0."""
    digest = hashlib.sha256()
    size = 0
    label = PurePosixPath(place).name
    with (
        target.open("wb") as out,
        progress_bar(total=length or None, unit="B", unit_scale=True, desc=label) as bar,
    ):
        while chunk := source.read(_CHUNK):
            out.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            bar.update(len(chunk))
    if length and size != length:
        raise DamagedFileError(f"{place} broke off after {size} of {length} bytes")
    return size, digest.hexdigest()


def _download(missing: list[RawFile], files: list[RawFile], owner: str, folder: Path) -> dict[str, Path]:
    """Download what is missing; ``files`` are all files of the card, some of which may share an archive."""
    paths: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent) as archives:
        for position, file in enumerate(missing):
            failures = []
            for url in file.urls:
                try:
                    paths[file.path] = _download_one(file, url, files, owner, folder, Path(archives))
                    break
                except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
                    failures.append(f"{url} ({getattr(error, 'reason', error)})")
                except DamagedFileError as error:
                    failures.append(str(error))
            else:
                raise MissingFilesError(_missing_message(missing[position:], owner, failures))
    return paths


def _download_one(file: RawFile, url: str, files: list[RawFile], owner: str, folder: Path, archives: Path) -> Path:
    remedy = "the original has changed; compare with the card before you use it"
    address, _, member = url.partition("#")
    if not member:
        with urllib.request.urlopen(address, timeout=30) as response:
            return _save(response, folder, file, owner, url, remedy, _announced(response))
    archive = archives / hashlib.sha256(address.encode()).hexdigest()
    if not archive.exists():  # several files come out of one archive: download it once
        with urllib.request.urlopen(address, timeout=30) as response, atomic_write(archive) as temporary:
            announced = _announced(response)
            bounded = _Bounded(response, address, archive, _archive_limit(address, files), announced)
            _stream(bounded, temporary, announced, address)
    with open_archive(archive, address) as opened:
        try:
            source = opened.open(member)
        except KeyError:
            raise DamagedFileError(f"dataset {owner!r}: {address} holds no file {member}; {remedy}") from None
        with source:
            return _save(source, folder, file, owner, url, remedy)


def _announced(response: Any) -> int:
    return int(response.headers.get("Content-Length") or 0)


def _archive_limit(address: str, files: list[RawFile]) -> int:
    """How long an archive may be: twice what the card wants of it, and what else it may hold; 0 if that is unknown."""
    wanted = [file.bytes for file in files if any(url.startswith(f"{address}#") for url in file.urls)]
    return 2 * sum(wanted) + _FURTHER if all(wanted) else 0


def open_archive(path: Path, place: str | None = None) -> zipfile.ZipFile:
    """Open a zip archive for reading single members by name.

    Raises:
        DamagedFileError: If it is no zip archive, or one of its names points outside the target folder.
    """
    place = place or str(path)
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DamagedFileError(f"{place} is not a readable zip archive ({error}); fetch it again") from None
    for name in archive.namelist():
        if leaves_its_folder(name):
            archive.close()
            raise DamagedFileError(f"{place} holds the unsafe file name {name!r}; do not use this archive")
    return archive


def unpack(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    """Write a member of an archive to a file.

    Raises:
        OSError: If the disk has no room for it.
    """
    place, size = f"{archive.filename}#{member}", archive.getinfo(member).file_size
    with archive.open(member) as source:
        _stream(_Bounded(source, place, target, 0, size), target, size, place)


def _missing_message(missing: list[RawFile], owner: str, failures: list[str]) -> str:
    mirror = mirror_root()
    looked = f"the mirror {mirror} has no copy" if mirror else "no mirror is set (GRAPHKIT_MIRROR)"
    if mirror and not mirror.is_dir():
        looked = f"the mirror {mirror} does not exist"
    tried = f"download failed: {'; '.join(failures)}" if failures else "its card names no download"
    lines = [f"  {raw_path(file)}" + (f"  (sha256 {file.sha256})" if file.sha256 else "") for file in missing[:12]]
    if len(missing) > 12:
        lines.append(f"  ... and {len(missing) - 12} more; graphkit.datasets.check({owner!r}) lists them all")
    origins = list(dict.fromkeys(url for file in missing for url in file.urls))
    return (
        f"dataset {owner!r}: {len(missing)} raw file(s) are missing, beginning with {missing[0].path}; "
        f"{looked}; {tried}.\n"
        + (f"They come from {', '.join(origins[:3])}{' ...' if len(origins) > 3 else ''}\n" if origins else "")
        + "Set GRAPHKIT_MIRROR to a folder that holds them, or place them by hand:\n"
        + "\n".join(lines)
    )


# For parsers ----------------------------------------------------------------------------------------------------------


class RawFiles:
    """The verified raw files of one dataset and a scratch folder to work in.

    Args:
        files: Local paths by the paths in the card.
        scratch: A folder that is removed after parsing.
        trusted: The card paths whose sha256 is known; pickles among the others are scanned first.
    """

    def __init__(self, files: dict[str, Path], scratch: Path, trusted: set[str]) -> None:
        self.files = files
        self.scratch = scratch
        self._trusted = trusted

    def __getitem__(self, name: str) -> Path:
        """The file whose card path ends in ``name``."""
        return next(path for key, path in self.files.items() if f"/{key}".endswith(f"/{name}"))

    @property
    def only(self) -> Path:
        """The file of a dataset that has one."""
        (path,) = self.files.values()
        return path

    def arrays(self) -> dict[str, Tensor]:
        """The arrays of the only file, which is an npz file."""
        with np.load(self.only) as content:
            return {key: torch.from_numpy(content[key]) for key in content}

    def place(self, folder: str, strip: str | None = None) -> None:
        """Lay the files out as a dataset class wants them: under ``folder``, by name or by path after ``strip``."""
        for key, path in self.files.items():
            name = path.name if strip is None else key.partition(f"{strip}/")[2]
            target = self.scratch / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(path.resolve(), target)

    def parse(self, cls: str, *args: Any, **kwargs: Any) -> Any:
        """PyG's dataset of this class, made of files that are in place; it may not download anything itself."""
        from torch_geometric import datasets

        def refuse(dataset: Any) -> None:
            raise RuntimeError(f"{cls} does not find its raw files in {dataset.raw_dir}: {dataset.raw_file_names}")

        offline = type(cls, (getattr(datasets, cls),), {"download": refuse})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old pickles name modules that scipy and numpy have renamed
            return offline(str(self.scratch), *args, **kwargs)

    def scan_pickles(self) -> None:
        """Scan every file of unknown content before a class unpickles it."""
        for key, path in self.files.items():
            if key not in self._trusted and not key.endswith((".index", ".txt", ".csv.gz", ".npz", ".json")):
                check_pickle(path)
