"""Papers as data: the bibliography that published values refer to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from graphkit.core.constraints import Count, checked, enforce_config
from graphkit.core.resources import shipped
from graphkit.core.validate import unknown_name
from graphkit.recipes.files import read


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
