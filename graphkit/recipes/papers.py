"""Papers as data, the bibliography, and the values published in them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from graphkit.core.constraints import Count, Finite, NonNegative, OneOf, checked, enforce_config
from graphkit.core.deprecation import RenamedAttribute, warn_renamed
from graphkit.core.resources import shipped
from graphkit.core.validate import unknown_name
from graphkit.recipes.files import read

# By kind of spread, the unbiased standard deviation of one of n runs as a multiple of what is printed.
SPREADS = {
    "std": lambda n: 1.0,
    "population std": lambda n: math.sqrt(n / (n - 1)),
    "standard error": lambda n: math.sqrt(n),
    "two standard errors": lambda n: math.sqrt(n) / 2,
    "unknown": lambda n: 1.0,
}
OLD_KEYS = {"std": "spread", "verified": "confirmed"}


@checked
@dataclass(frozen=True)
class Paper:
    """A reference to a paper; what nobody has looked up is empty.

    Attributes:
        authors: Last names; ``"others"`` at the end stands for the rest, as in BibTeX.
        year: The year of publication.
        venue: Conference or journal.
        title: The title. A paper that is only named in words has them here.
        arxiv: Its number on arXiv.
        url: Its address, if it is not on arXiv.
        key: Its name in the bibliography.

    Example:
        >>> paper = bibliography()["kipf2017"]
        >>> print(paper, paper.link)
        Kipf and Welling (ICLR 2017) https://arxiv.org/abs/1609.02907
    """

    authors: tuple[str, ...] = ()
    year: Count | None = None
    venue: str = ""
    title: str = ""
    arxiv: str = ""
    url: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "authors", tuple(self.authors))

    @classmethod
    @checked
    def from_config(cls, config: str | Mapping[str, Any]) -> Paper:
        """The paper that a recipe names: its fields, a key of the bibliography such as ``kipf2017``, or words.

        Raises:
            TypeError: If it is neither a mapping nor a string.
            ValueError: If a key or a field does not exist, or a field has a wrong type or value.
        """
        if isinstance(config, Mapping):
            names = [field.name for field in fields(cls) if field.name != "key"]
            for name in config:
                if name not in names:
                    raise ValueError(f"paper: {unknown_name(name, names, 'field')}")
            enforce_config(cls, config, "paper")
            return cls(**config)
        if " " in config or not config[-4:].isdigit():
            return cls(title=config)
        papers = bibliography()
        if config not in papers:
            raise ValueError(f"{unknown_name(config, papers, 'paper')}; else cite it in words or give its fields")
        return papers[config]

    def config(self) -> str | dict[str, Any]:
        """What :meth:`from_config` reads: the key, the words, or the fields that are known."""
        known = {name: list(value) if name == "authors" else value for name, value in asdict(self).items() if value}
        return self.key or (self.title if set(known) == {"title"} else known)

    @property
    def link(self) -> str:
        """The paper's address; empty if nobody has looked it up."""
        return self.url or (f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else "")

    @property
    def bibtex(self) -> str:
        """A BibTeX entry of what is known.

        Example:
            >>> print(Paper(("Zhao", "others"), 2024, "NeurIPS", key="zhao2024").bibtex)
            @inproceedings{zhao2024,
              author = {Zhao and others},
              year = {2024},
              booktitle = {NeurIPS},
            }
        """
        known = {"title": self.title, "author": " and ".join(self.authors), "year": self.year, "booktitle": self.venue}
        known |= {"eprint": self.arxiv, "url": self.url}
        lines = [f"  {name} = {{{value}}}," for name, value in known.items() if value]
        return "\n".join([f"@{'inproceedings' if self.venue else 'misc'}{{{self.key},", *lines, "}"])

    def __str__(self) -> str:
        if not self.authors:
            return self.title
        *first, last = self.authors
        names = f"{', '.join(first)} et al." if last == "others" else ", ".join(self.authors)
        if len(self.authors) == 2 and last != "others":
            names = " and ".join(self.authors)
        return f"{names} ({' '.join(filter(None, [self.venue, str(self.year or '')]))})"


@functools.cache
def bibliography() -> dict[str, Paper]:
    """The papers of ``papers.yaml``, which lies beside the recipes, by key."""
    content = read(shipped("recipes") / "papers.yaml")
    return {key: replace(Paper.from_config(entry), key=key) for key, entry in content.items()}


if TYPE_CHECKING:
    AnyPaper = Paper  # what is given becomes one
else:
    AnyPaper = Paper | str | Mapping[str, Any]


@checked
@dataclass(frozen=True)
class Published:
    """A number from a paper's table.

    Attributes:
        value: The mean, in ``unit``.
        paper: The paper: a key of the bibliography, a citation in words, or a :class:`Paper`.
        table: Where it stands in the paper.
        split: The paper's split, in words.
        spread: What is printed behind ±, if something is.
        spread_kind: What that is: ``"std"`` (unbiased), ``"population std"`` (divided by n), ``"standard error"``,
            ``"two standard errors"``, or ``"unknown"``, which counts as ``"std"``.
        n: The number of runs behind the mean, if the paper says so.
        unit: ``"%"`` for shares, empty for errors, ``"log10"`` for their decimal logarithms.
        url: The address at which the number was read, if not the paper's own.
        source: Where the number was read, in words.
        confirmed: Whether somebody found the number there.
        note: What a reader of the comparison should know.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the bibliography has no such paper, or an argument has a wrong value.
    """

    value: Finite
    paper: AnyPaper
    table: str
    split: str
    spread: NonNegative | None = None
    spread_kind: Annotated[str, OneOf(SPREADS)] = "unknown"
    n: Count | None = None
    unit: Literal["%", "", "log10"] = "%"
    url: str = ""
    source: str = ""
    confirmed: bool = False
    note: str = ""

    verified = RenamedAttribute("confirmed")

    def __post_init__(self) -> None:
        if not isinstance(self.paper, Paper):
            try:
                object.__setattr__(self, "paper", Paper.from_config(self.paper))
            except ValueError as error:
                raise ValueError(f"paper: {error}") from None

    @property
    def std(self) -> float | None:
        """The unbiased standard deviation of single runs; ``None`` if it cannot be told."""
        if self.spread is None or self.n is None or self.n < 2:
            return None
        return self.spread * SPREADS[self.spread_kind](self.n)

    @property
    def standard_error(self) -> float:
        """That of the value; 0 if it cannot be told."""
        return 0.0 if self.std is None or self.n is None else self.std / math.sqrt(self.n)

    def half_width(self, confidence: float) -> float:
        """Half the width of the value's own confidence interval; 0 if it cannot be told."""
        from scipy.special import stdtrit

        if not self.standard_error or self.n is None:
            return 0.0
        return self.standard_error * float(stdtrit(self.n - 1, (1 + confidence) / 2))

    @classmethod
    def from_config(cls, config: Any) -> Published:
        """Check the keys and types of the ``published`` part of a recipe or a result.

        Raises:
            ValueError: Naming the key.
        """
        known = {field.name: field for field in fields(cls)}
        if not isinstance(config, Mapping):
            raise ValueError(f"published: expected the keys {', '.join(known)}, got {config!r}")
        for old in OLD_KEYS.keys() & config.keys():
            warn_renamed(f"published.{old}", f"published.{OLD_KEYS[old]}")
        config = with_new_keys(config)
        for key in config:
            if key not in known:
                raise ValueError(f"published: {unknown_name(key, known, 'key')}")
        enforce_config(cls, config, "published")
        for key, field_ in known.items():
            if field_.default is MISSING and key not in config:
                raise ValueError(f"published: the key {key!r} is missing")
        try:
            return cls(**config)
        except ValueError as error:
            raise ValueError(f"published.{error}") from None

    def config(self) -> dict[str, Any]:
        """What :meth:`from_config` reads."""
        return asdict(self) | {"paper": self.paper.config()}


def with_new_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a published value as they are called today."""
    return {OLD_KEYS.get(key, key): value for key, value in config.items()}
