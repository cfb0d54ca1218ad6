"""One measured value beside its published one, as reports tell it: in words, in numbers and as a line of a picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphkit.core.text import number
from graphkit.metrics import find as find_metric
from graphkit.recipes.comparison import PairedDifference
from graphkit.recipes.drawing import Bar, Row
from graphkit.recipes.papers import Published
from graphkit.recipes.result import RecipeResult, split_title
from graphkit.recipes.statistics import mean_interval
from graphkit.recipes.tables import Linked
from graphkit.recipes.verdict import WORDS, CellResult, Verdict

HEADER = ("recipe", "published", "test ± 95 %", "n", "verdict", "cost")
DETAILS = (
    "recipe",
    "score",
    "difference ± 95 %",
    "margin",
    "why",
    "baseline",
    "source",
    "their split",
    "our split",
    "date",
)
AGREES = ("equivalent", "consistent")


@dataclass(frozen=True)
class Entry:
    """A cell of a result.

    Attributes:
        recipe: The name of its recipe.
        point: The cell's point.
        variant: The cell's variant.
        cell: The cell.
        result: The whole result.
        url: Where the recipe's file is; empty if nowhere.
    """

    recipe: str
    point: str
    variant: str
    cell: CellResult
    result: RecipeResult
    url: str = ""

    @property
    def method(self) -> str:
        """The folder of the recipe."""
        return self.recipe.rpartition("/")[0] or self.recipe

    @property
    def name(self) -> str:
        """The name of the recipe within its folder, with variant and point."""
        cell = " at ".join(filter(None, [self.variant, self.point]))
        return ": ".join(filter(None, [self.recipe.rpartition("/")[2], cell]))

    @property
    def seconds(self) -> float:
        """How long a run took."""
        return self.cell.seconds / max(self.cell.n, 1)

    @property
    def confirmed(self) -> bool:
        """Whether somebody has found the published value in its source."""
        return self.cell.published is not None and self.cell.published.confirmed

    @cached_property
    def verdict(self) -> Verdict:
        """The cell's verdict, which its runs are judged for once."""
        return self.cell.verdict

    @property
    def order(self) -> tuple[bool, bool, float]:
        """Confirmed values first, those without a published one last; among each, by standardised difference."""
        verdict = self.verdict
        if verdict.difference is None or not verdict.half_width:
            return not self.cell.published, not self.confirmed, math.inf
        gain = verdict.difference if find_metric(self.cell.metric).higher_is_better else -verdict.difference
        return not self.cell.published, not self.confirmed, -gain / verdict.half_width

    def row(self) -> list[str]:
        """The cells below :data:`HEADER`."""
        cell, known = self.cell, self.cell.published
        published: str = "—"
        if known is not None:
            spread = "" if known.spread is None else f" ± {known.spread:g}"
            doubt = "" if known.confirmed else " (unconfirmed)"
            published = Linked(f"{known.value:g}{spread}{doubt}", known.url or known.paper.link)
        mean, half_width = self._measured
        interval = "" if math.isnan(half_width) else f" ± {number(half_width, cell.unit)}"
        measured = f"{number(mean, cell.unit)}{interval} {cell.unit}".strip()
        verdict = "—" if known is None else self.verdict.word
        return [Linked(self.name, self.url), published, measured, str(cell.n), verdict, duration(cell.seconds)]

    def details(self) -> list[str]:
        """The cells below :data:`DETAILS`."""
        cell, known, verdict = self.cell, self.cell.published, self.verdict
        difference = "" if verdict.difference is None else number(verdict.difference, cell.unit, "+")
        spread = "" if verdict.half_width is None else f" ± {number(verdict.half_width, cell.unit)}"
        unit = f" {verdict.unit}" if difference else ""
        baseline = "" if cell.baseline is None else f"{number(cell.baseline, cell.unit)} {cell.unit}".rstrip()
        split = f"{split_title(cell.split)} [{cell.split_hash}]"
        texts = [
            cell.metric,
            difference + spread + unit,
            verdict.margin_in_words,
            verdict.reason,
            baseline,
            source(known),
        ]
        cells = [*texts, "" if known is None else known.split, split, self.result.date]
        return [self.name, *(text or "—" for text in cells)]

    def record(self, gain: PairedDifference | None) -> dict[str, Any]:
        """All numbers by name.

        Args:
            gain: The difference to another variant, if there is one.
        """
        cell, known, verdict = self.cell, self.cell.published, self.verdict
        low, high = verdict.interval or (None, None)
        record: dict[str, Any] = {"recipe": self.recipe, "variant": self.variant, "point": self.point}
        record |= {"metric": cell.metric, "unit": cell.unit, "mean": cell.mean, "std": cell.std, "n": cell.n}
        record |= {"interval half-width": self._measured[1], "baseline": cell.baseline}
        names = ("value", "spread", "spread_kind", "n", "confirmed")
        record |= {f"published {name}": None if known is None else getattr(known, name) for name in names}
        record |= {"source": source(known), "verdict": verdict.word, "difference": verdict.difference}
        record |= {"difference low": low, "difference high": high, "margin": verdict.margin, "reason": verdict.reason}
        record |= {
            "against": self.cell.against,
            "gain": gain and gain.mean,
            "gain corrected p": gain and gain.p_corrected,
        }
        low, high = (None, None) if gain is None else gain.interval
        record |= {"gain low": low, "gain high": high}
        return record | {"seconds": cell.seconds, "date": self.result.date, "command": self.result.command}

    def line(self) -> Row:
        """The line of a picture."""
        known, verdict = self.cell.published, self.verdict
        values = {"measured": Bar.around(*self._measured)}
        difference = None
        if known is not None:
            values["published"] = Bar.around(known.value, known.half_width(0.95) or math.nan)
        if verdict.difference is not None:
            difference = Bar(verdict.difference, verdict.interval)
        return Row(self.name, values, difference, verdict.word, verdict.margin or 0.0, hollow=not self.confirmed)

    @cached_property
    def _measured(self) -> tuple[float, float]:
        return mean_interval(self.cell.samples[0], self.cell.overlap)


@dataclass(frozen=True)
class Count:
    """How many published values got which verdict; confirmed and unconfirmed values are never counted together.

    Attributes:
        confirmed: How often each word was said of confirmed values.
        unconfirmed: The same of the others.
    """

    confirmed: Counter[str]
    unconfirmed: Counter[str]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Count:
        """Count those that have a published value and runs."""
        words = [(e.confirmed, e.verdict.word) for e in entries if e.cell.published is not None and e.cell.n]
        return cls(*(Counter(word for side, word in words if side is wanted) for wanted in (True, False)))

    def __str__(self) -> str:  # two sentences at most
        sides = [("confirmed", self.confirmed), ("unconfirmed", self.unconfirmed)]
        sentences = [_sentence(side, words) for side, words in sides if words]
        return " ".join(sentences) or "Nothing published to compare with."

    def short(self) -> str:
        """The agreeing ones of each kind in few words; empty if there are none to count."""
        sides = [("confirmed", self.confirmed), ("unconfirmed", self.unconfirmed)]
        return "; ".join(f"{_agreeing(words)} of {words.total()} {side}" for side, words in sides if words)


def _agreeing(words: Counter[str]) -> int:
    return sum(words[word] for word in AGREES)


def _sentence(side: str, words: Counter[str]) -> str:
    others = [f"{words[word]} {word}" for word in WORDS if words[word] and word not in AGREES]
    rest = f" ({', '.join(others)})" if others else ""
    return f"{_agreeing(words)} of {words.total()} {side} values are equivalent or consistent{rest}."


def duration(seconds: float) -> str:
    """A time in the unit that fits it.

    Example:
        >>> [duration(seconds) for seconds in (3.2, 90, 4000, 40000)]
        ['3 s', '90 s', '67 min', '11 h']
    """
    unit, name = (1, "s") if seconds < 100 else (60, "min") if seconds < 6000 else (3600, "h")
    return f"{seconds / unit:.0f} {name}"


def source(known: Published | None) -> str:
    """Where a published value stands, in words."""
    if known is None:
        return ""
    spread = "" if known.spread is None else f"± is {known.spread_kind}" if known.spread_kind != "unknown" else ""
    runs = f"n = {known.n}" if known.n else ""
    doubt = "" if known.confirmed else "not confirmed"
    return "; ".join(filter(None, [str(known.paper), known.table, known.source, spread, runs, doubt, known.note]))
