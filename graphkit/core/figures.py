"""Pictures in files."""

from __future__ import annotations

import os
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.core.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
