"""Dataset cards: what a dataset is, where its raw files come from and how it is split, one TOML file each."""

from __future__ import annotations

import re
import tomllib
import warnings
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from graphkit.core.constraints import checked
from graphkit.core.hashing import hash_config
from graphkit.core.resources import shipped
from graphkit.core.validate import unknown_name

KINDS = ("node", "graph", "link", "event", "ranking", "list")


@dataclass(frozen=True)
class RawFile:
    """One raw file.

    Attributes:
        path: Where it lies below a mirror and below ``raw/`` of the data root.
        sha256: The digest of its content; empty if nobody could compute it yet.
        bytes: Its length; 0 if unknown.
        urls: Where it can be downloaded, tried in order. ``archive.zip#member`` names a file inside a zip archive.
    """

    path: str
    sha256: str = ""
    bytes: int = 0
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitFamily:
    """A family of splits, e.g. the ten of Geom-GCN.

    Attributes:
        name: The name used in ``gk.load(..., split="name/index")``.
        reader: The function in ``graphkit.datasets.splits`` that makes one of them.
        protocol: How the splits were drawn, in words.
        count: The number of splits; 0 means that the index is a seed and may be any number.
        sizes: The numbers of train, validation and test ids, once for all splits or once per split.
        fractions: For drawn splits, the shares of train, validation and test.
        per_class: For drawn splits, the numbers of training and validation ids per class.
        fixed_negatives: For drawn links, whether negatives for training are fixed with the split rather than drawn
            anew in every epoch.
        val_messages: For drawn links, whether those for validation carry messages at the test.
        metric: The score that papers report on these splits (default: the card's).
        allow_missing_classes: Whether some published split trains without some class.
        options: For streams of events, the options by which the task of these splits differs, unless others are given.
        files: Raw files needed for these splits only.
    """

    name: str
    reader: str
    protocol: str
    count: int = 0
    sizes: tuple[Any, ...] = ()
    fractions: tuple[float, ...] = ()
    per_class: tuple[int, ...] = ()
    fixed_negatives: bool = False
    val_messages: bool = True
    metric: str = ""
    allow_missing_classes: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    files: tuple[RawFile, ...] = ()

    def expected_sizes(self, index: int) -> tuple[int, ...]:
        """The sizes that split ``index`` must have; empty if the card does not say."""
        if not self.sizes or isinstance(self.sizes[0], int):
            return self.sizes
        return tuple(self.sizes[index])


@dataclass(frozen=True)
class Card:
    """The description of one dataset.

    Attributes:
        name: The name for ``gk.load``.
        title: The dataset's full name.
        description: What the graphs, features and labels are, and what a reader of results should know.
        kind: ``"node"``, ``"graph"``, ``"link"``, ``"event"`` (links in time), ``"ranking"`` (items for users),
            or ``"list"`` (graphs to compare, without a train/test split).
        source: The web page of the original.
        licence: The licence of the data as far as known.
        citation: The paper.
        loader: The parser in ``graphkit.datasets.loaders``; or
        generator: the generator in ``graphkit.datasets.generators``.
        target: The kind of label; see :class:`graphkit.tasks.Task`.
        metric: The score that papers report.
        of: The card that says what this one does not: source, files and parser of the same graph for another task.
        mirrors: Web pages of other copies.
        extra: The optional dependency that building needs, e.g. ``"ogb"``.
        arguments: Fixed arguments of the loader or generator.
        expect: What the loaded data must count: ``graphs``, ``nodes``, ``edges``, ``features``, ``outputs``.
        splits: The families of splits, default first.
        files: The raw files.
    """

    name: str
    title: str
    description: str
    kind: str
    source: str
    licence: str
    citation: str
    loader: str = ""
    generator: str = ""
    target: str = ""
    metric: str = ""
    of: str = ""
    mirrors: tuple[str, ...] = ()
    extra: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    expect: dict[str, int] = field(default_factory=dict)
    splits: tuple[SplitFamily, ...] = ()
    files: tuple[RawFile, ...] = ()

    @property
    def all_files(self) -> tuple[RawFile, ...]:
        """The raw files of the data and of every split family."""
        return self.files + tuple(file for family in self.splits for file in family.files)

    @property
    def data_hash(self) -> str:
        """Changes when the parsed data may change: loader, arguments, expected counts or raw files."""
        raw = [[file.path, file.sha256] for file in self.files]
        return hash_config([self.loader, self.arguments, self.expect, raw])

    def __repr__(self) -> str:
        families = ", ".join(f"{family.name} ({family.count or 'any seed'})" for family in self.splits)
        size = ", ".join(f"{count} {what}" for what, count in self.expect.items())
        return f"Card({self.name}: {self.title}; {size}; splits: {families or 'none'})"


_OF_THE_TASK = ("splits", "target", "metric", "kind")  # never those of another card
_EXPECT = ("graphs", "nodes", "edges", "features", "outputs")


def read_card(path: Path) -> Card:
    """Read and check one TOML file.

    Raises:
        ValueError: If the file is not TOML, or a key is missing, unknown or of the wrong type; the message names both.
    """
    content = _toml(path)
    where = f"dataset card {path}"
    if "of" in content:
        base = path.parent / f"{content['of']}.toml"
        if base.parent != path.parent or not base.is_file():
            raise ValueError(f"{where}: of = {content['of']!r}, but there is no card {base}")
        content = {key: value for key, value in _toml(base).items() if key not in _OF_THE_TASK} | content
    content["files"] = _table(content.get("files", []), RawFile, f"{where}, files")
    families = []
    for position, family in enumerate(_rows(content.get("splits", []), f"{where}, splits")):
        place = f"{where}, splits[{position}]"
        family["files"] = _table(family.get("files", []), RawFile, f"{place}.files")
        families.append(_build(SplitFamily, family, place))
    content["splits"] = families
    card = _build(Card, content, where)
    _check(card, path, where)
    return card


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"dataset card {path}: not valid TOML: {error}") from None


def _table(rows: Any, cls: type, where: str) -> list[Any]:
    return [_build(cls, row, f"{where}[{position}]") for position, row in enumerate(_rows(rows, where))]


def _rows(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError(f"{where}: expected a list of tables, got {value!r}")
    return value


_TYPES = {"str": str, "int": int, "bool": bool}


def _build(cls: type, content: dict[str, Any], where: str) -> Any:
    known = {f.name: f for f in fields(cls)}
    for key, value in content.items():
        if key not in known:
            raise ValueError(f"{where}: {unknown_name(key, known, 'key')}")
        expected = str(known[key].type)
        kind = _TYPES.get(expected, dict if expected.startswith("dict") else list)
        if type(value) is not kind:
            raise ValueError(f"{where}: {key!r} must be a {kind.__name__}, got {value!r}")
    for key, f in known.items():
        if key not in content and f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(f"{where}: the key {key!r} is missing")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()})


def _check(card: Card, path: Path, where: str) -> None:
    if card.name != path.stem:
        raise ValueError(f"{where}: name is {card.name!r}, but the file is called {path.name}; they must agree")
    if card.kind not in KINDS:
        raise ValueError(f"{where}: {unknown_name(card.kind, KINDS, 'kind')}")
    if (card.kind in ("link", "event")) != (card.target == "link"):
        raise ValueError(f"{where}: target is {card.target!r}, but kind is {card.kind!r}; 'link' needs both")
    if bool(card.loader) == bool(card.generator):
        raise ValueError(f"{where}: give either 'loader' or 'generator'")
    if card.loader and not card.files:
        raise ValueError(f"{where}: a loader needs 'files'")
    needs = ("target", "metric", "splits") if card.kind != "list" else ()
    for key in needs:
        if not getattr(card, key):
            raise ValueError(f"{where}: the key {key!r} is missing (kind {card.kind!r} needs it)")
    for key, value in card.expect.items():
        if key not in _EXPECT or type(value) is not int:
            raise ValueError(f"{where}: expect.{key} = {value!r}; allowed are whole numbers for {', '.join(_EXPECT)}")
    for file in card.all_files:
        if leaves_its_folder(file.path):
            raise ValueError(f"{where}: file path {file.path!r} must be relative and without '..'")
        if file.sha256 and not re.fullmatch("[0-9a-f]{64}", file.sha256):
            raise ValueError(f"{where}: sha256 of {file.path} is {file.sha256!r}, expected 64 hexadecimal digits")
        if bool(file.sha256) != bool(file.bytes):
            raise ValueError(f"{where}: {file.path} needs both sha256 and bytes, or neither if they are unknown")


def leaves_its_folder(name: str) -> bool:
    """Whether a path that should lie in a folder leads out of it, on any system."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name


@lru_cache(maxsize=8)
def _read_all(folder: Path) -> dict[str, Card | ValueError]:
    """The cards, and in place of broken ones what is wrong with them."""
    found: dict[str, Card | ValueError] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            found[path.stem] = read_card(path)
        except (ValueError, OSError) as error:
            found[path.stem] = ValueError(str(error))
    return found


def cards() -> dict[str, Card]:
    """All dataset cards by name, without broken ones, which a warning names.

    Example:
        >>> cards()["karate"].kind
        'node'
    """
    for error in broken():
        warnings.warn(f"{error}; this dataset cannot be loaded", stacklevel=2)
    return {name: card for name, card in _read_all(shipped("datasets")).items() if isinstance(card, Card)}


def broken() -> list[str]:
    """What is wrong with the cards that cannot be read."""
    return [str(error) for error in _read_all(shipped("datasets")).values() if isinstance(error, ValueError)]


@checked
def card(name: str) -> Card:
    """The card of one dataset; case does not matter, and ``_`` is as good as ``-``.

    Args:
        name: The dataset's name.

    Raises:
        ValueError: If there is no such dataset, with a suggestion of a close name, or its card is broken.

    Example:
        >>> card("KARATE").title
        "Zachary's karate club"
    """
    known = _read_all(shipped("datasets"))
    key = str(name).lower().replace("_", "-").replace(" ", "-")
    if key not in known:
        if Path(name).suffix or Path(name).exists():
            raise ValueError(
                f"{str(name)!r} is no name of a dataset; files of your own are read by from_csv of a task, such as "
                f"gk.NodeTask.from_csv, and in a shell by --data {name}"
            )
        raise ValueError(unknown_name(name, known, "dataset"))
    found = known[key]
    if isinstance(found, ValueError):
        raise ValueError(str(found))
    return found
