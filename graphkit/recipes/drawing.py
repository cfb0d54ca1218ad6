"""Pictures of scores: curves, and rows of values and differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphkit.core.figures import new_figure, nth_colour, nth_marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Interval = tuple[float, float]
SECONDS = "seconds of a run"

# Marker and colour by word: apart from each other without colour, and for the colour-blind (Okabe and Ito's colours).
STYLES = {
    "equivalent": ("o", "#009E73"),
    "consistent": ("s", "#0072B2"),
    "higher": ("^", "#56B4E9"),
    "lower": ("v", "#D55E00"),
    "too few runs": ("X", "#777777"),
    "not comparable": ("d", "#777777"),
    "better": ("^", "#009E73"),
    "worse": ("v", "#D55E00"),
    "undecided": ("o", "#666666"),
    "published": ("D", "black"),
}


@dataclass(frozen=True)
class Bar:
    """A number with its interval.

    Attributes:
        mean: The number.
        interval: Its interval, if there is one.
    """

    mean: float
    interval: Interval | None = None

    @classmethod
    def around(cls, mean: float, half_width: float) -> Bar:
        """A symmetric interval; none if the half-width is NaN."""
        return cls(mean, None if math.isnan(half_width) else (mean - half_width, mean + half_width))


@dataclass(frozen=True)
class Row:
    """One line of a picture.

    Attributes:
        label: What stands on the left.
        values: The numbers by what they are called in the legend.
        difference: A difference of two of them.
        word: What is said of the difference: a key of :data:`STYLES`.
        margin: The half-width of the shaded band of differences that mean nothing.
        hollow: Draw what is published hollow, and the label grey.
    """

    label: str
    values: Mapping[str, Bar]
    difference: Bar | None = None
    word: str = ""
    margin: float = 0.0
    hollow: bool = False


@dataclass(frozen=True)
class Spot:
    """A score and what it cost.

    Attributes:
        label: What is written beside it.
        cost: The cost.
        score: The score.
        best: Whether nothing is as good for as little.
    """

    label: str
    cost: float
    score: float
    best: bool = False


def pareto(scores: Sequence[float], costs: Sequence[float], higher_is_better: bool = True) -> list[bool]:
    """Which of several are on the Pareto front: no other one has at least their score for at most their cost.

    Of equal ones all are.

    Example:
        >>> pareto([80.0, 81.0, 79.0], [1.0, 3.0, 2.0])
        [True, True, False]
    """
    sign = 1 if higher_is_better else -1
    points = [(sign * score, -cost) for score, cost in zip(scores, costs, strict=True)]
    return [not any(a >= c and b >= d and (a, b) != (c, d) for a, b in points) for c, d in points]


def spots(
    labels: Sequence[str], scores: Sequence[float], costs: Sequence[float], higher_is_better: bool = True
) -> list[Spot]:
    """The points of a picture of costs."""
    best = pareto(scores, costs, higher_is_better)
    return [Spot(*each) for each in zip(labels, costs, scores, best, strict=True)]


def draw_costs(spots: Sequence[Spot], score: str, cost: str) -> Figure:
    """Scores by cost, on a logarithmic axis, with a line through those that nothing beats in both.

    Args:
        spots: The points.
        score: What scores are.
        cost: What costs are.
    """
    figure = new_figure(7.0, 4.5)
    axes = figure.add_subplot()
    front = sorted((spot for spot in spots if spot.best), key=lambda spot: spot.cost)
    axes.plot(
        [spot.cost for spot in front],
        [spot.score for spot in front],
        drawstyle="steps-post",
        color="#009E73",
        linewidth=1.2,
        label="Pareto front",
    )
    for spot in spots:
        marker, colour = ("o", "#009E73") if spot.best else ("s", "#777777")
        axes.plot(spot.cost, spot.score, marker, color=colour, markersize=5)
        axes.annotate(
            spot.label, (spot.cost, spot.score), (4, 3), textcoords="offset points", fontsize="xx-small", color=colour
        )
    axes.set(xscale="log", xlabel=cost, ylabel=score)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize="small", frameon=False)
    return figure


@dataclass(frozen=True)
class Curves:
    """A panel with a curve per variant.

    Attributes:
        title: Its title.
        label: What scores are.
        places: Where there are scores.
        cells: By variant, mean and standard deviation at each place.
    """

    title: str
    label: str
    places: Sequence[str]
    cells: Mapping[str, Sequence[tuple[float, float | None]]]


def draw_curves(panels: Sequence[Curves]) -> Figure:
    """Panels side by side, of the same variants."""
    figure = new_figure(max(7.0, 4.0 * len(panels)), 4.0)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for number, (variant, scores) in enumerate(panel.cells.items()):
            means, stds = zip(*scores)
            style = {"marker": nth_marker(number), "color": nth_colour(number), "capsize": 2}
            axes.errorbar(range(len(means)), means, [std or 0.0 for std in stds], label=variant, **style)
        axes.set_xticks(range(len(panel.places)), panel.places, rotation=45)
        axes.set(title=panel.title, ylabel=panel.label)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw_agreement(rows: Sequence[Row], unit: str) -> Figure:
    """Measured values over published ones: on the diagonal they are the same. Unconfirmed ones are hollow.

    Args:
        rows: Lines with values called ``measured`` and ``published``.
        unit: The unit of all values.
    """
    figure = new_figure(7.0, 3.8)
    axes = figure.add_subplot()
    for word, (marker, colour) in STYLES.items():
        for hollow in (False, True):
            points = [row.values for row in rows if (row.word, row.hollow) == (word, hollow)]
            if points:
                axes.plot(
                    [values["published"].mean for values in points],
                    [values["measured"].mean for values in points],
                    marker,
                    color=colour,
                    markerfacecolor="white" if hollow else colour,
                    markersize=5,
                    label=f"{word}{', unconfirmed' if hollow else ''} ({len(points)})",
                )
    axes.axline((50, 50), slope=1, color="0.7", linewidth=0.8, zorder=0)
    axes.set(xlabel=f"published, {unit}", ylabel=f"measured, {unit}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    return figure


def draw_intervals(rows: Sequence[Row], values: str, differences: str = "difference", title: str = "") -> Figure:
    """Values with their intervals on the left; on the right, where there are any, differences around 0 with theirs.

    Args:
        rows: The lines from top to bottom, hollow ones last.
        values: What the values are.
        differences: What the differences are (default: ``"difference"``).
        title: The picture's title (default: none).
    """
    figure = new_figure(7.5, 1.3 + 0.24 * len(rows))
    both = any(row.difference for row in rows)
    panels = figure.subplots(1, 1 + both, sharey=True, squeeze=False)[0]
    figure.suptitle(title, fontsize="medium")
    _draw_values(panels[0], rows)
    panels[0].set_xlabel(values)
    panels[0].set_yticks(range(len(rows)), [row.label for row in rows], fontsize="small")
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    for label, row in zip(panels[0].get_yticklabels(), rows):
        label.set(color="0.4" if row.hollow else "black", style="italic" if row.hollow else "normal")
    if both:
        _draw_differences(panels[1], rows)
        panels[1].set_xlabel(differences)
    confirmed = sum(not row.hollow for row in rows)
    for axes in panels:
        if 0 < confirmed < len(rows):
            axes.axhline(confirmed - 0.5, color="0.4", linewidth=0.8, linestyle=":")
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, text in zip(*axes.get_legend_handles_labels()):
            handles.setdefault(text, handle)  # of filled and hollow ones the filled
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return figure


def _draw_values(axes: Axes, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    draw = _drawer(axes)
    for i, row in enumerate(rows):
        for place, name in enumerate(names):
            if name in row.values:
                marker, colour = STYLES.get(name, ("osD^"[place % 4], nth_colour(place)))
                label = f"{name}, unconfirmed" if row.hollow and name == "published" else name
                shift = 0.3 * (place - (len(names) - 1) / 2) / max(1, len(names) - 1)
                draw(row.values[name], i + shift, marker, colour, label, row.hollow and name == "published")


def _draw_differences(axes: Axes, rows: Sequence[Row]) -> None:
    draw = _drawer(axes)
    axes.axvline(0.0, color="black", linewidth=0.8)
    for i, row in enumerate(rows):
        if row.margin and row.difference:
            axes.barh(i, 2 * row.margin, 0.8, -row.margin, color="0.9", label="margin of equivalence")
        if row.difference:
            draw(row.difference, i, *STYLES.get(row.word, (".", "#666666")), row.word, row.hollow)


def _drawer(axes: Axes) -> Callable[..., None]:
    def draw(bar: Bar, place: float, marker: str, colour: str, label: str, hollow: bool = False) -> None:
        if bar.interval is not None:
            axes.plot(bar.interval, [place, place], color=colour, linewidth=1.2)
        face = "white" if hollow else colour
        axes.plot(bar.mean, place, marker, color=colour, markerfacecolor=face, markersize=5, label=label)

    return draw
