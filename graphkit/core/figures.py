"""What all pictures have in common: their names, colours, figures and files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.core.deprecation import warn_renamed
from graphkit.core.files import atomic_write
from graphkit.core.validate import unknown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, apart from each other for the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")

OF_RUNS = {  # by their names, and what they show
    "curves": "losses and validation scores by epoch; of several seeds with a band",
    "confusion": "how often each class was taken for each other one",
    "calibration": "how often predictions are right against how sure they are",
    "embeddings": "the last states of nodes, by their two principal components",
    "umap": "the same by UMAP, where umap-learn is installed",
    "edges": "on a small graph, what the probability of one prediction owes to each edge",
}
OF_RESULTS = {
    "scores": "test scores with intervals, and differences with theirs",
    "costs": "scores by seconds, with the Pareto front",
}
OF_SEARCHES = {
    "trials": "validation scores of a search, one trial after the other",
    "costs": OF_RESULTS["costs"],
}


def nth_colour(number: int) -> str:
    """The colour of the line, bar or class of a number."""
    return COLOURS[number % len(COLOURS)]


def nth_marker(number: int) -> str:
    """The marker that tells numbers of the same colour apart."""
    return "os^vDP*X"[number // len(COLOURS) % 8]


def chosen_kind(
    place: str, kind: str | os.PathLike[str], path: str | os.PathLike[str] | None, offered: Iterable[str]
) -> tuple[str, str | os.PathLike[str] | None]:
    """The kind of picture and its file, as a method ``plot`` was given them; a file came first until 0.1.

    Args:
        place: The class that has the method.
        kind: Its first argument.
        path: The file.
        offered: The kinds that it has.

    Raises:
        ValueError: If there is no such kind.
    """
    if path is None and Path(kind).suffix:
        warn_renamed(f"{place}.plot(path)", f"{place}.plot(path=path)", stacklevel=4)
        return next(iter(offered)), kind
    if str(kind) not in offered:
        raise ValueError(f"{place}.plot: {unknown_name(kind, offered, 'kind of picture')}")
    return str(kind), path


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, with space for what stands beside its axes; notebooks show it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure._repr_png_ = partial(png, figure)  # type: ignore[attr-defined]  # also where nobody has imported pyplot
    return figure


def png(figure: Figure) -> bytes:
    """A figure as the content of a PNG file."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str] | None) -> None:
    """Write a figure, whole or not at all; the ending of the path names the format (default: nowhere; PNG)."""
    if path is None:
        return
    path = Path(path)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=120)
