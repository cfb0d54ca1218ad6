"""What `graphkit advise` goes by: ``python -m benchmarks.evidence`` writes it beside the recipes, from the results.

A dataset counts where several models were measured on the same kind of split, which shows all classes to training. Its
raw files must be at hand.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import graphkit as gk
from graphkit.core.files import write_json
from graphkit.core.resources import shipped
from graphkit.recipes import cost
from graphkit.recipes.advice import EVIDENCE, profile
from graphkit.recipes.report import Report
from graphkit.recipes.statistics import mean_interval

RESULTS = Path(__file__).with_name("results")
UNSEEN = "class_hits"  # the metric of classes that training has not seen


def dataset(group: cost.Group) -> dict[str, Any]:
    """The measures of a dataset, and what was measured on it, the best of each model and variant first."""
    first = group.entries[0]
    task = gk.load(first.result.task, split=first.cell.runs[0]["split"])
    methods: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in group.entries:
        mean, half = mean_interval(entry.cell.samples[0], entry.cell.overlap)
        row = {"model": entry.cell.model, "variant": entry.variant, "recipe": entry.result.recipe, "mean": mean}
        row |= {"half_width": None if math.isnan(half) else half, "n": entry.cell.n}
        methods.setdefault((entry.cell.model, entry.variant), row)
    found = {"title": group.title, "kind": type(task).__name__, "unit": first.cell.unit, "profile": profile(task)}
    return found | {"methods": list(methods.values())}


def main() -> None:
    groups = cost.groups(Report.of(RESULTS).entries())
    datasets = [dataset(group) for group in groups if not group.entries[0].cell.metric.startswith(UNSEEN)]
    content = {"command": "python -m benchmarks.evidence", "datasets": datasets}
    write_json(shipped("recipes") / EVIDENCE, content)
    print(f"{len(datasets)} datasets in {shipped('recipes') / EVIDENCE}")


if __name__ == "__main__":
    main()
