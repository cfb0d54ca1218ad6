"""Scores beside what they cost: all models that were measured on the same parts of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from graphkit.datasets import card
from graphkit.metrics import find as find_metric
from graphkit.recipes.drawing import Spot, pareto, spots
from graphkit.recipes.entries import Entry, duration
from graphkit.recipes.tables import Linked

HEADER = ("model", "recipe", "test ± 95 %", "n", "per run", "parameters", "front")


@dataclass(frozen=True)
class Group:
    """Models that were measured on the same kind of split of a dataset, the best first.

    Attributes:
        title: The dataset's title and the kind of split.
        entries: The measured cells.
    """

    title: str
    entries: Sequence[Entry]

    @cached_property
    def front(self) -> list[Entry]:
        """Those that no other one beats, with a score as good in as little time."""
        best = pareto(self._scores, self._seconds, self._higher_is_better)
        return [entry for entry, chosen in zip(self.entries, best) if chosen]

    @property
    def _scores(self) -> list[float]:
        return [entry.cell.mean for entry in self.entries]

    @property
    def _seconds(self) -> list[float]:
        return [entry.seconds for entry in self.entries]

    @property
    def _higher_is_better(self) -> bool:
        return find_metric(self.entries[0].cell.metric).higher_is_better

    def rows(self) -> list[list[str]]:
        """The cells below :data:`HEADER`."""
        return [
            [
                entry.cell.model,
                Linked(f"{entry.method}/{entry.name}", entry.url),
                entry.row()[2],
                str(entry.cell.n),
                duration(entry.seconds),
                "—" if entry.cell.num_parameters is None else f"{entry.cell.num_parameters:,}",
                "●" if entry in self.front else "",
            ]
            for entry in self.entries
        ]

    def spots(self) -> list[Spot]:
        """The points of a picture."""
        labels = [f"{e.cell.model} ({e.variant or e.method})" for e in self.entries]
        return spots(labels, self._scores, self._seconds, self._higher_is_better)


def groups(entries: Iterable[Entry]) -> list[Group]:
    """The measured cells by dataset, kind of split and metric, of those that were measured with several models."""
    found: dict[tuple[str, str, str, str], list[Entry]] = {}
    for entry in entries:
        families = {run["split"].partition("/")[0] for run in entry.cell.runs}
        if len(families) == 1 and not entry.point:
            key = (entry.result.task, families.pop(), entry.cell.metric, entry.cell.unit)
            found.setdefault(key, []).append(entry)
    return [
        Group(f"{card(task).title.replace(': ', ', ')}, {family} split", _best_first(metric, own))
        for (task, family, metric, _), own in sorted(found.items())
        if len({entry.cell.model for entry in own}) > 1
    ]


def _best_first(metric: str, entries: Iterable[Entry]) -> list[Entry]:
    sign = -1 if find_metric(metric).higher_is_better else 1
    return sorted(entries, key=lambda entry: (sign * entry.cell.mean, entry.seconds))
