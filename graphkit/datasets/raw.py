"""Raw files: from the data root, else a local mirror, else downloaded; verified, and laid out for their parser."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tempfile
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from graphkit.core.files import atomic_write, sha256
from graphkit.core.resources import data_root
from graphkit.datasets.catalog import RawFile

_CHUNK = 1 << 20


class MissingFilesError(FileNotFoundError):
    """Raw files are neither at hand nor obtainable."""


class DamagedFileError(ValueError):
    """A raw file does not have the content that its card describes."""


def raw_path(file: RawFile) -> Path:
    """Where a raw file lies in the data root."""
    return data_root() / "raw" / file.path


def mirror_root() -> Path | None:
    """The read-only folder named by ``$GRAPHKIT_MIRROR``, if set."""
    chosen = os.environ.get("GRAPHKIT_MIRROR")
    return Path(chosen).expanduser() if chosen else None


def state(file: RawFile) -> str:
    """Where a file is at hand: ``"local"``, ``"mirror"``, ``"damaged"`` (wrong length) or ``"missing"``."""
    mirror = mirror_root()
    for place, path in (("local", raw_path(file)), ("mirror", mirror / file.path if mirror else None)):
        if path is not None and path.is_file():
            return place if file.bytes in (0, path.stat().st_size) else "damaged"
    return "missing"


def fetch(files: Iterable[RawFile], owner: str) -> dict[str, Path]:
    """Bring raw files into the data root.

    Args:
        files: The files.
        owner: The dataset named in messages.

    Returns:
        The local path of every file, by the path in its card.

    Raises:
        MissingFilesError: If files can neither be found nor downloaded; the message says how to place them by hand.
        DamagedFileError: If a file's content is not the expected one.
        OSError: If the disk is full.
    """
    files = list(files)
    paths: dict[str, Path] = {}
    to_download: list[RawFile] = []
    mirror = mirror_root()
    for file in files:
        target = raw_path(file)
        if target.is_file():
            if file.sha256:
                remedy = "delete it and load again, a fresh copy will be fetched"
                _compare(target.stat().st_size, sha256(target), file, owner, str(target), remedy)
        elif mirror is not None and (mirror / file.path).is_file():
            with (mirror / file.path).open("rb") as source:
                _save(source, file, owner, str(mirror / file.path), "repair the mirror: copy the original file there")
        else:
            to_download.append(file)
            continue
        paths[file.path] = target
    if to_download:
        _download(to_download, owner)
        paths.update({file.path: raw_path(file) for file in to_download})
    for file in files:
        if not file.sha256:
            warnings.warn(
                f"dataset {owner!r}: no sha256 is known for {file.path}; its content was not verified", stacklevel=2
            )
    return paths


def _compare(size: int, digest: str, file: RawFile, owner: str, place: str, remedy: str) -> None:
    if file.sha256 and digest != file.sha256:
        raise DamagedFileError(
            f"dataset {owner!r}: {place} is damaged or another version: found {size} bytes with sha256 {digest}, "
            f"expected {file.bytes} bytes with sha256 {file.sha256}; {remedy}"
        )


def _save(source: BinaryIO, file: RawFile, owner: str, place: str, remedy: str, length: int = 0) -> None:
    """Copy a stream to the file's local place; the name appears only when the content is complete and right."""
    with atomic_write(raw_path(file)) as temporary:
        size, digest = _stream(source, temporary, length, place)
        _compare(size, digest, file, owner, place, remedy)


def _stream(source: BinaryIO, target: Path, length: int, place: str) -> tuple[int, str]:
    """Write a stream to a file and return its length and sha256; ``length`` is what the sender announced, or 0."""
    from tqdm import tqdm

    digest = hashlib.sha256()
    size = 0
    label = PurePosixPath(place).name
    with (
        target.open("wb") as out,
        tqdm(total=length or None, unit="B", unit_scale=True, desc=label, disable=None) as bar,
    ):
        while chunk := source.read(_CHUNK):
            out.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            bar.update(len(chunk))
    if length and size != length:
        raise DamagedFileError(f"{place} broke off after {size} of {length} bytes")
    return size, digest.hexdigest()


def _download(files: list[RawFile], owner: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for position, file in enumerate(files):
            failures = []
            for url in file.urls:
                try:
                    _download_one(file, url, owner, Path(folder))
                    break
                except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
                    failures.append(f"{url} ({getattr(error, 'reason', error)})")
                except DamagedFileError as error:
                    failures.append(str(error))
            else:
                raise MissingFilesError(_missing_message(files[position:], owner, failures))


def _download_one(file: RawFile, url: str, owner: str, folder: Path) -> None:
    remedy = "the original has changed; compare with the card before you use it"
    address, _, member = url.partition("#")
    if not member:
        with urllib.request.urlopen(address, timeout=30) as response:
            _save(response, file, owner, url, remedy, int(response.headers.get("Content-Length") or 0))
        return
    archive = folder / hashlib.sha256(address.encode()).hexdigest()
    if not archive.exists():  # several files come out of one archive: download it once
        with urllib.request.urlopen(address, timeout=30) as response, atomic_write(archive) as temporary:
            _stream(response, temporary, int(response.headers.get("Content-Length") or 0), address)
    with open_archive(archive, address) as opened:
        try:
            source = opened.open(member)
        except KeyError:
            raise DamagedFileError(f"dataset {owner!r}: {address} holds no file {member}; {remedy}") from None
        with source:
            _save(source, file, owner, url, remedy)  # type: ignore[arg-type]


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
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if name.startswith(("/", "\\")) or ".." in parts or (parts and ":" in parts[0]):
            archive.close()
            raise DamagedFileError(f"{place} holds the unsafe file name {name!r}; do not use this archive")
    return archive


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


_ALLOWED = {
    "builtins": {"list", "dict", "set", "tuple", "int", "float", "complex", "slice", "range", "object"},
    "collections": {"defaultdict", "OrderedDict"},
    "_codecs": {"encode"},
    "copyreg": {"_reconstructor"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "scipy.sparse": {"csr_matrix", "coo_matrix", "csc_matrix"},
    "scipy.sparse.csr": {"csr_matrix"},
    "scipy.sparse.csc": {"csc_matrix"},
    "scipy.sparse.coo": {"coo_matrix"},
    "scipy.sparse._csr": {"csr_matrix"},
    "scipy.sparse._csc": {"csc_matrix"},
    "scipy.sparse._coo": {"coo_matrix"},
    "torch._utils": {"_rebuild_tensor_v2", "_rebuild_tensor"},
    "torch": {"FloatStorage", "DoubleStorage", "LongStorage", "IntStorage", "ByteStorage", "BoolStorage", "Size"},
}
# Python 2 names that pickle itself maps: __builtin__, copy_reg.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class _Scanner(pickle.Unpickler):
    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        module = _RENAMED.get(module, module)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _load_storage
        if name not in _ALLOWED.get(module, ()):
            raise ValueError(
                f"{self._path} is a pickle that asks for {module}.{name}, which data have no need of; "
                "it was not loaded: do not trust this file"
            )
        return super().find_class(module, name)


def _load_storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


def _check_torch_file(path: Path) -> None:
    try:
        torch.load(path, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} asks for more than tensors and plain containers ({error}); it was not loaded: do not trust it"
        ) from None


def check_pickle(path: Path) -> None:
    """Make sure that a pickle or a ``torch.save`` file rebuilds nothing but plain containers, arrays and tensors.

    Args:
        path: The pickle.

    Raises:
        ValueError: If it asks for anything else, or is no pickle; nothing outside the allow-list is ever called.
    """
    if zipfile.is_zipfile(path):
        _check_torch_file(path)
        return
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old pickles name modules that numpy and scipy have renamed
        try:
            _Scanner(file, path).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError) as error:
            raise ValueError(f"{path} is not a readable pickle ({error}); fetch it again") from None
