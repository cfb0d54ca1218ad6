"""Which method for a task: measures of its graphs beside those of datasets on which methods were measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from graphkit.core.constraints import Count, checked
from graphkit.core.resources import shipped
from graphkit.diagnostics import adjusted_homophily, label_informativeness
from graphkit.tasks import NodeTask, Task

EVIDENCE = "evidence.json"  # beside the recipes; `python -m benchmarks.evidence` writes it
STEPS = {"adjusted homophily": 0.25, "label informativeness": 0.25}  # as much apart as ten times the size


@checked
def profile(task: Task) -> dict[str, float]:
    """Measures of a task that decide which method suits it.

    Sizes are logarithms to base 10, means over the graphs. Homophily and label informativeness are those of classes of
    nodes, among training and validation nodes alone; what they cannot tell is left out.

    Args:
        task: The task.
    """
    nodes = fmean(graph.num_nodes or 1 for graph in task.graphs)
    found = {
        "nodes": math.log10(nodes),
        "edges per node": math.log10(max(0.1, fmean(graph.num_edges for graph in task.graphs) / nodes)),
        "features": math.log10(1 + task.num_features),
        "graphs": math.log10(len(task.graphs)),
    }
    if isinstance(task, NodeTask) and task.target.name in ("multiclass", "binary"):
        known = torch.cat([task.split.train, task.split.val])
        y = torch.full((task.graphs[0].num_nodes,), -1)
        y[known] = task.labels.view(-1)[known].long().cpu()
        edge_index = task.graphs[0].edge_index.cpu()
        with suppress(ValueError):  # undefined where no edge joins labelled nodes, or all are of one class
            found["adjusted homophily"] = adjusted_homophily(edge_index, y)
            found["label informativeness"] = label_informativeness(edge_index, y)
    return found


@dataclass(frozen=True)
class Dataset:
    """A dataset on which several methods were measured, as far as it resembles a task.

    Attributes:
        title: Its title and the kind of its splits.
        distance: The mean difference of the measures that both have; 0 is the same, 1 ten times the size or a quarter
            of homophily.
        methods: What was measured, the best first: model, variant, recipe, mean, half-width of its 95 % interval, n.
        unit: The unit of the scores.
    """

    title: str
    distance: float
    methods: Sequence[Mapping[str, Any]]
    unit: str

    def share(self, method: str) -> float | None:
        """The share of the other methods that a method is as good as; ``None`` where it was not measured."""
        names = [_name(row) for row in self.methods]
        return None if method not in names else 1 - names.index(method) / max(1, len(names) - 1)

    def tell(self, method: str) -> str:
        """Its score in words."""
        names = [_name(row) for row in self.methods]
        place, row, best = names.index(method), self.methods[names.index(method)], self.methods[0]
        spread = "" if row["half_width"] is None else f" ± {row['half_width']:.2f} (95 %)"
        unsure = sum(one["half_width"] or 0.0 for one in (row, best))
        apart = place == 0 or abs(best["mean"] - row["mean"]) > unsure
        tied = "" if apart else ", not apart from the first"
        score = f"{row['mean']:.2f}{spread} {self.unit}".strip()
        return f"{self.title}: {place + 1} of {len(names)} ({score}, n {row['n']}{tied})"


@dataclass(frozen=True, repr=False)
class Advice:
    """What :func:`advise` returns; printed, it gives its reasons and says how sure it is.

    Attributes:
        task: The task, in a line.
        measures: Its :func:`profile`.
        datasets: The most similar datasets that methods were measured on.
        shortlist: Methods, what speaks for each first, with the recipe to start from.
    """

    task: str
    measures: Mapping[str, float]
    datasets: Sequence[Dataset]
    shortlist: Sequence[tuple[str, str]]

    def __repr__(self) -> str:
        measures = ", ".join(f"{name} {_readable(name, value)}" for name, value in self.measures.items())
        lines = [self.task, f"  measures  {measures}"]
        lines += [f"  similar   {one.title}, distance {one.distance:.2f}" for one in self.datasets]
        ranks = [f"  {i}. {method}\n{self.reasons(method)}" for i, (method, _) in enumerate(self.shortlist, 1)]
        recipes = ", ".join(dict.fromkeys(recipe for _, recipe in self.shortlist[:3]))
        return "\n".join([*lines, "", *ranks, "", f"Recipes to start from: {recipes}", self.doubt()])

    def reasons(self, method: str) -> str:
        """How a method did on the datasets.

        Args:
            method: One of the shortlist.
        """
        return "\n".join(f"     {one.tell(method)}" for one in self.datasets if one.share(method) is not None)

    def doubt(self) -> str:
        """How sure it is."""
        nearest = min(one.distance for one in self.datasets)
        far = "far from all that was measured" if nearest > 1 else f"{nearest:.2f} from the nearest of them"
        return (
            f"How sure: this is what held on {len(self.datasets)} other datasets; yours is {far}. Methods not measured "
            "on them are not in the list, and settings were those of their papers. Compare the first few on your own "
            "validation part (graphkit.compare) before you believe it."
        )


@checked
def advise(task: Task, num_datasets: Count = 3) -> Advice:
    """A ranked and reasoned shortlist of methods for a task, from this library's own results.

    Datasets of the same kind of task are sorted by how far their :func:`profile` is from the task's. On the nearest
    ones each method gets the share of the others that it is as good as, and methods are sorted by the mean of these
    shares, weighted by :math:`1 / (0.1 + d)` with :math:`d` the distance. Nothing is trained.

    Args:
        task: The task.
        num_datasets: How many datasets count (default: 3).

    Raises:
        ValueError: If methods were compared on no dataset of this kind.

    Example:
        >>> import graphkit as gk
        >>> print(gk.recipes.advise(gk.load("karate")).shortlist[0][0] != "")
        True
    """
    evidence = json.loads((shipped("recipes") / EVIDENCE).read_text(encoding="utf-8"))
    return _advice(task, evidence["datasets"], num_datasets)


def _advice(task: Task, evidence: Iterable[Mapping[str, Any]], num_datasets: int) -> Advice:
    measures = profile(task)
    kind = type(task).__name__
    datasets = sorted(
        (
            Dataset(row["title"], _distance(measures, row["profile"]), row["methods"], row["unit"])
            for row in evidence
            if row["kind"] == kind
        ),
        key=lambda dataset: dataset.distance,
    )[:num_datasets]
    if not datasets:
        raise ValueError(f"advise: no methods were compared on any {kind}; see `graphkit list models`")
    recipes: dict[str, str] = {}  # those of the nearest dataset first
    for row in (row for dataset in datasets for row in dataset.methods):
        recipes.setdefault(_name(row), row["recipe"])

    def merit(method: str) -> float:
        votes = [(dataset.share(method), 1 / (0.1 + dataset.distance)) for dataset in datasets]
        counted = [(share, weight) for share, weight in votes if share is not None]
        return sum(share * weight for share, weight in counted) / sum(weight for _, weight in counted)

    ranked = sorted(recipes, key=lambda method: -merit(method))
    return Advice(str(task), measures, datasets, [(method, recipes[method]) for method in ranked])


def _distance(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    return fmean(abs(ours[name] - theirs[name]) / STEPS.get(name, 1.0) for name in ours.keys() & theirs.keys())


def _name(row: Mapping[str, Any]) -> str:
    return row["model"] + (f" ({row['variant']})" if row["variant"] else "")


def _readable(name: str, value: float) -> str:
    return f"{value:.2f}" if name in STEPS else f"{10**value - (name == 'features'):,.3g}"
