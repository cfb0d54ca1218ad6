"""Counts of pairs told apart: as a table, a file and a picture."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphkit.core.display import html_table
from graphkit.core.figures import new_figure, nth_colour, save_figure
from graphkit.core.files import write_json
from graphkit.core.text import aligned
from graphkit.expressivity.protocols import Verdict
from graphkit.expressivity.published import BREC, COLUMNS, SOURCE
from graphkit.expressivity.suites import BOUNDS, Suite

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LISTED_PAIRS = 1000  # a file lists which pairs were told apart in suites of up to this size


@dataclass(frozen=True)
class SuiteResult:
    """What a model tells apart in one suite.

    Attributes:
        suite: The suite.
        verdict: Which pairs are told apart.
    """

    suite: Suite
    verdict: Verdict

    @property
    def num_separated(self) -> int:
        """How many pairs are told apart."""
        return int(self.verdict.separated.sum())

    def beyond(self, bound: str) -> int:
        """How many pairs are told apart that a Weisfeiler-Leman algorithm does not.

        Args:
            bound: One of :data:`~graphkit.expressivity.BOUNDS`.
        """
        return int((self.verdict.separated & (self.suite.exact[bound] == 0)).sum()) if self.suite.exact else 0

    def categories(self) -> dict[str, dict[str, Any]]:
        """By category: the numbers of pairs, of those told apart, unreliable and refused, and the exact counts.

        ``exact`` holds how many each algorithm tells apart, ``not computed`` for how many its verdict is unknown.
        """
        masks = {name: self.suite.category == number for number, name in enumerate(self.suite.categories)}
        return {name: self._count(mask) for name, mask in masks.items()}

    def total(self) -> dict[str, Any]:
        """The same for all pairs."""
        return self._count(torch.ones(len(self.suite), dtype=torch.bool))

    def _count(self, mask: Tensor) -> dict[str, Any]:
        verdicts = {bound: verdict[mask] for bound, verdict in self.suite.exact.items()}
        return {
            "pairs": int(mask.sum()),
            "separated": int(self.verdict.separated[mask].sum()),
            "unreliable": int(self.verdict.unreliable[mask].sum()),
            "refused": int(self.verdict.refused[mask].sum()),
            "exact": {bound: int((verdict == 1).sum()) for bound, verdict in verdicts.items()},
            "not computed": {bound: int((verdict == -1).sum()) for bound, verdict in verdicts.items()},
        }


@dataclass(frozen=True, repr=False)
class Expressivity:
    """What a model tells apart.

    Attributes:
        name: What the model is called.
        model: The model in words.
        transform: The transform in words; ``None`` without one.
        protocol: The protocol's name and settings.
        suites: The result of each suite, by name.
        seconds: How long it took, earlier sessions included.
        hardware: Where it ran.
        versions: Versions of graphkit and what it computes with.
    """

    name: str
    model: str
    transform: str | None
    protocol: dict[str, Any]
    suites: dict[str, SuiteResult]
    seconds: float
    hardware: str
    versions: dict[str, str]

    @property
    def slug(self) -> str:
        """The name as files are called."""
        return slug(self.name)

    def rows(self) -> list[list[str]]:
        """The table: a row per category of each suite, with the exact counts."""
        counts = ["pairs", "separated"]
        counts += [key for key in ("unreliable", "refused") if any(r.total()[key] for r in self.suites.values())]
        rows = [["suite", "category", *counts, *BOUNDS]]
        for name, result in self.suites.items():
            parts = result.categories()
            parts = parts | {"total": result.total()} if len(parts) > 1 else {"": result.total()}
            for category, part in parts.items():
                exact = [
                    share(part["exact"][bound], part["pairs"] - part["not computed"][bound], part["pairs"])
                    if bound in part["exact"]
                    else "—"
                    for bound in BOUNDS
                ]
                rows.append([name, category, *(str(part[key]) for key in counts), *exact])
        return rows

    def published_rows(self) -> list[list[str]]:
        """BREC in the paper's grouping: this model, then the published counts; empty without the suite."""
        if "brec" not in self.suites:
            return []
        parts = self.suites["brec"].categories()
        ours = [sum(parts[name]["separated"] for name in names) for names in COLUMNS.values()]
        rows = [["BREC", *COLUMNS, "total"]]
        for name, counts in ((self.name, ours), *BREC.items()):
            rows.append([name, *map(str, counts), str(sum(counts))])
        return rows

    @property
    def _title(self) -> str:
        settings = ", ".join(f"{key} {value}" for key, value in self.protocol.items() if key != "name")
        return f"{self.name}: pairs told apart by {self.protocol['name']} ({settings})"

    def _repr_html_(self) -> str:
        return html_table(self._title, self.rows(), header=True)

    def __str__(self) -> str:
        lines = [self._title]
        lines += [f"  {line}" for line in aligned(self.rows(), words=2)]
        for name, result in self.suites.items():
            beyond = [f"{count} beyond {bound}" for bound in BOUNDS if (count := result.beyond(bound))]
            note = f"; {', '.join(beyond)}" if beyond else ""
            lines.append(f"  {name}: relative noise of relabelled copies {result.verdict.noise:.1e}{note}")
        if any(result.verdict.noise > 1e-6 for result in self.suites.values()):
            lines.append("  outputs depend on the numbering of nodes: differences below that noise do not count")
        if published := self.published_rows():
            lines += [f"  published: {SOURCE}", *(f"  {line}" for line in aligned(published, words=1))]
        lines.append(f"  {self.seconds:.1f} s on {self.hardware}")
        return "\n".join(lines)

    __repr__ = __str__

    def content(self, command: str = "") -> dict[str, Any]:
        """What :meth:`to_json` writes, as plain values."""
        suites = {}
        for name, result in self.suites.items():
            part = result.total() | {
                "beyond": {bound: result.beyond(bound) for bound in result.suite.exact},
                "noise": float(f"{result.verdict.noise:.3g}"),
                "categories": result.categories(),
            }
            if len(result.suite) <= _LISTED_PAIRS:
                part["separated pairs"] = _ranges(result.verdict.separated.nonzero().view(-1).tolist())
            suites[name] = part
        return {
            "expressivity": self.name,
            "model": self.model,
            "transform": self.transform,
            "protocol": self.protocol,
            "suites": suites,
            "command": command,
            "seconds": round(self.seconds, 2),
            "hardware": self.hardware,
            "versions": self.versions,
            "date": datetime.now(UTC).date().isoformat(),
        }

    def to_json(self, path: str | os.PathLike[str], command: str = "") -> None:
        """Write all counts, and which pairs of suites of up to 1000 pairs were told apart.

        Args:
            path: The file.
            command: The command that repeats this (default: none).
        """
        write_json(path, self.content(command))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the share told apart in every category as bars, with the exact shares as marks.

        Args:
            path: The picture's file (default: none).
        """
        parts = {
            f"{name}: {category}" if len(result.suite.categories) > 1 else name: part
            for name, result in self.suites.items()
            for category, part in result.categories().items()
        }
        figure = new_figure(max(6.0, 0.45 * len(parts) + 2), 4.5)
        axes = figure.add_subplot()
        shares = [100 * part["separated"] / part["pairs"] for part in parts.values()]
        axes.bar(range(len(parts)), shares, 0.8, color="0.8", label=self.name)
        for number, bound in enumerate(BOUNDS):
            known = {  # marks of one category stand side by side
                place - 0.3 + 0.2 * number: 100 * part["exact"][bound] / part["pairs"]
                for place, part in enumerate(parts.values())
                if part["not computed"].get(bound) == 0
            }
            axes.plot(
                list(known), list(known.values()), "_", color=nth_colour(number), markersize=9, mew=2.5, label=bound
            )
        axes.set_xticks(range(len(parts)), list(parts), rotation=60, ha="right", fontsize=8)
        axes.set(ylabel="pairs told apart (%)", ylim=(-3, 103))
        axes.set_title(f"{self.name}, {self.protocol['name']}; marks: exact, where computed for all pairs", fontsize=9)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
        save_figure(figure, path)
        return figure


def slug(name: str) -> str:
    """A name as files are called."""
    return re.sub(r"[^a-z0-9+.-]+", "-", name.lower().replace(" + ", "+")).strip("-")


def share(count: int, known: int, pairs: int) -> str:
    """A count as tables print it: with the number of pairs for which it is known, where these are not all."""
    if known == 0:
        return "—"
    return str(count) if known == pairs else f"{count} of {known}"


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short: ``0-59,61``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
