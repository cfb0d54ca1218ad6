"""Pictures of scores: groups of bars, curves, and differences from published values."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.core.figures import new_figure, save_figure
from graphkit.recipes.cell_result import CellResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_curves(path: Path, title: str, label: str, places: Sequence[str], cells: Mapping[str, Any]) -> None:
    """A curve per variant: its scores, with standard deviations, at each place."""
    figure, axes = _figure(7.0, 4.0, title)
    for variant, scores in cells.items():
        means, stds = zip(*scores)
        axes.errorbar(places, means, [std or 0.0 for std in stds], label=variant, marker="o", capsize=2)
    axes.tick_params(axis="x", rotation=45)
    axes.set_ylabel(label)
    _save(figure, path, legend=True)


def draw_bars(path: Path, title: str, label: str, splits: Sequence[str], cells: Mapping[str, CellResult]) -> None:
    """A group of bars per variant, one for each split, with the published values."""
    figure, axes = _figure(7.0, 1.2 + 0.12 * (len(splits) + 2) * len(cells), title)
    width = 0.8 / len(splits)
    for i, split in enumerate(splits):
        means, stds = zip(*(cell.scores[i] for cell in cells.values()))
        places = [place + i * width for place in range(len(cells))]
        axes.barh(places, means, width, xerr=[std or 0.0 for std in stds], label=split, capsize=2, color=f"C{i}")
    papers = [(cell.published.value, i) for i, cell in enumerate(cells.values()) if cell.published]
    if papers:
        axes.plot(*zip(*papers), "kD", markersize=5, label="published")
    axes.set_yticks([i + width * (len(splits) - 1) / 2 for i in range(len(cells))], list(cells))
    axes.invert_yaxis()
    axes.set_xlabel(label)
    _save(figure, path, legend=len(axes.get_legend_handles_labels()[0]) > 1)


def draw_differences(cells: Mapping[str, CellResult]) -> bytes:
    """A PNG of measured minus published shares, with the standard deviation over our runs."""
    figure, axes = _figure(8.0, 1.0 + 0.22 * len(cells))
    axes.barh(
        list(cells),
        [cell.difference or 0.0 for cell in cells.values()],
        xerr=[cell.std or 0.0 for cell in cells.values()],
        color=["tab:green" if cell.verdict.good else "tab:red" for cell in cells.values()],
        error_kw={"elinewidth": 0.7},
    )
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlabel("measured - published, percentage points (green: equivalent, consistent or higher)")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _figure(width: float, height: float, title: str = "") -> tuple[Figure, Axes]:
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    if title:
        axes.set_title(title)
    return figure, axes


def _save(figure: Figure, path: Path, legend: bool) -> None:
    if legend:
        figure.legend(loc="outside lower center", ncols=4)
    save_figure(figure, path)
