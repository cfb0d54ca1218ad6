"""Tables of words and numbers: one content, written as plain text, Markdown, HTML and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.core.text import aligned
from graphkit.tasks.tables import pandas_needed

if TYPE_CHECKING:
    from jinja2 import Environment
    from pandas import DataFrame


class Linked(str):
    """A cell that leads somewhere; where links have no place it is its text.

    Attributes:
        url: The address; an empty one is no link.
    """

    url: str

    def __new__(cls, text: str, url: str) -> Linked:
        """A text with an address."""
        cell = super().__new__(cls, text)
        cell.url = url
        return cell


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes:
        title: What it shows.
        header: The columns' titles.
        rows: The cells, some of them :class:`Linked`.
        notes: What stands below it.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Aligned columns."""
        return "\n".join([*aligned([self.header, *self.rows]), *self.notes])

    def markdown(self) -> str:
        """A table of GitHub's Markdown."""
        rows = [[_markdown(cell) for cell in row] for row in [self.header, ["---"] * len(self.header), *self.rows]]
        return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), *(f"\n{note}" for note in self.notes)])

    def html(self) -> str:
        """A ``<table>`` within a box that scrolls if it must."""
        return macro("table", self)

    def __str__(self) -> str:
        return f"{self.title}\n{self.text()}"

    def _repr_html_(self) -> str:
        return f"<p><b>{escape(self.title)}</b></p>{self.html()}"

    def latex(self) -> str:
        """A ``tabular`` for the package booktabs.

        Raises:
            ImportError: If pandas is not installed.
        """
        style = data_frame(self.rows, columns=self.header).style.hide(axis="index")
        style = style.format(_latex, escape="latex").format_index(_latex, escape="latex", axis=1)
        table = style.to_latex(hrules=True, column_format="l" * len(self.header))
        notes = (re.sub(r"([%&_#$])", r"\\\1", note) for note in self.notes)
        return table + "".join(f"\\par {_latex(note)}\n" for note in notes)


@cache
def templates() -> Environment:
    """The templates of pages and of the tables in them."""
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True)


def macro(name: str, *arguments: Any) -> str:
    """What a macro of ``tables.html`` makes of its arguments."""
    return str(getattr(templates().get_template("tables.html").module, name)(*arguments))


def data_frame(rows: Any, **options: Any) -> DataFrame:
    """A pandas table.

    Args:
        rows: What ``pandas.DataFrame`` takes.
        options: Its further arguments.

    Raises:
        ImportError: If pandas is not installed.
    """
    return pandas_needed("a table as CSV, LaTeX or data frame").DataFrame(rows, **options)


def _markdown(cell: str) -> str:
    text = cell.replace("|", "\\|")
    return f"[{text}]({cell.url})" if isinstance(cell, Linked) and cell.url else text


def _latex(cell: str) -> str:
    return cell.replace("±", r"$\pm$").replace("—", "---")
