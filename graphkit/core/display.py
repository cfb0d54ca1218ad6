"""What people see of objects: progress bars and HTML, on terminals and in notebooks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def html_table(title: str, rows: Iterable[Sequence[str]], header: bool = False) -> str:
    """A table below its title.

    Args:
        title: What it shows.
        rows: The cells; the first one of each row names it.
        header: Whether the first row names columns (default: ``False``).

    Example:
        >>> html_table("GCN", [["test", "< 81.5"]])
        '<p><b>GCN</b></p><table><tr><th>test</th><td>&lt; 81.5</td></tr></table>'
    """
    lines = []
    for number, cells in enumerate(rows):
        names = len(cells) if header and number == 0 else 1
        tags = ["th" if place < names else "td" for place in range(len(cells))]
        lines.append("".join(f"<{tag}>{escape(cell)}</{tag}>" for tag, cell in zip(tags, cells)))
    return f"<p><b>{escape(title)}</b></p><table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def shows_progress(wanted: bool | None = None) -> bool:
    """Whether to show a bar.

    Args:
        wanted: What the user says (default: on a terminal and in a notebook).
    """
    return sys.stderr.isatty() or _in_notebook() if wanted is None else wanted


def progress_bar(*args: Any, show: bool | None = None, **options: Any) -> Any:
    """The bar of tqdm for this place, a widget in a notebook that has ipywidgets.

    Args:
        args: As for ``tqdm``.
        show: Whether to show it (default: as :func:`shows_progress` says).
        options: As for ``tqdm``.
    """
    from tqdm.auto import tqdm

    return tqdm(*args, disable=not shows_progress(show), **options)


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config
