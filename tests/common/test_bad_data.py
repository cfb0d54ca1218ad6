"""Sound data with one thing damaged, through every door: refused with a clear word, or converted without loss.

Tasks are trained for an epoch, splits are made, transforms, layers and models are called. What is accepted must give
the result of the sound data that it means. Counts are printed; the limit is zero.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import networkx as nx
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

import graphkit as gk
from graphkit import testing
from graphkit.core.checks import checks_of
from graphkit.testing.bad_data import damages, module_trials, same, transform_trials
from graphkit.testing.checked_module import CheckedModule
from graphkit.testing.instances import examples
from tests import tiny
from tests.common.bad_input import verdict

# What a clear message says of an attribute, if not its name.
NAMES = {
    "x": ("feature", "x is", "x has", "x of graph", "no x", "label", "nodes"),
    "edge_index": ("edge_index", "rows for", "restriction_maps"),
    "y": ("y is", "y holds", "label"),
    "edge_weight": ("edge_weight", "edge weight"),
    "edge_label": ("label",),
}


class Counts:
    """What came of all damages of one door."""

    def __init__(self, door: str) -> None:
        self.door, self.counts, self.wrong = door, Counter(), []

    def add(self, label: str, damaged: Callable[[], Any], meant: Callable[[], Any], *names: str) -> None:
        """Call ``damaged``; what it accepts must be what ``meant`` gives."""
        results: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind, text = verdict(lambda: results.append(damaged()), *names, seconds=60)
            if kind == "accepted":
                kind, text = ("converted", "-") if same(results[0], meant()) else ("accepted", "another result")
        self.counts[kind] += 1
        if kind not in ("clear", "converted"):
            self.wrong.append(f"{kind}: {self.door}, {label} -> {text.splitlines()[0]:.200}")

    def check(self) -> None:
        print(f"{self.door}: " + ", ".join(f"{count} {kind}" for kind, count in self.counts.items()))
        assert not self.wrong, f"{len(self.wrong)} of {self.door}\n" + "\n".join(self.wrong)


def _names(key: str) -> tuple[str, ...]:
    return NAMES.get(key, (key,))


# Tasks ---------------------------------------------------------------------------------------------------------------


def _raw(kind: str) -> dict[str, Any]:
    """What a sound task is made of."""
    task = tiny.task(kind)
    graphs = [copy.copy(graph) for graph in ([task._data] if task.kind in ("link", "ranking") else task.graphs)]
    for number, graph in enumerate(graphs):
        graph.edge_weight = torch.rand(graph.num_edges, generator=torch.Generator().manual_seed(number)) + 0.5
        graph.edge_attr = torch.ones(graph.num_edges, 2)
        if task.kind == "edge":
            graph.edge_label = task.labels
    settings = {} if task.kind in ("link", "ranking") else {"target": task.target.name}
    return {"graphs": graphs, "split": task.split, "cls": type(task), "settings": settings}


def _train(raw: dict[str, Any]) -> Tensor:
    graphs = raw["graphs"] if raw["cls"] is gk.GraphTask else raw["graphs"][0]
    task = raw["cls"]("t", graphs, raw["split"], **raw["settings"])
    torch.manual_seed(0)
    model = gk.models.GCN.from_task(task, hidden_channels=4)
    result = gk.Trainer(max_epochs=1, progress=False, seed=0).fit(model, task)
    return torch.tensor([result.history[0]["train_loss"], result.history[0]["val_loss"]])


def _with_graph(raw: dict[str, Any], number: int, graph: Any) -> dict[str, Any]:
    graphs = list(raw["graphs"])
    graphs[number] = graph
    return raw | {"graphs": graphs}


def _changed(raw: dict[str, Any], number: int, key: str, value: Any) -> dict[str, Any]:
    graph = copy.copy(raw["graphs"][number])
    graph[key] = value
    return _with_graph(raw, number, graph)


KINDS = [kind for kind in tiny.TASKS if "sampled" not in kind]


def _is_other_sound_data(kind: str, key: str, damage: str) -> bool:
    """Whether the damage of one task is none of another."""
    if kind.endswith(("multilabel", "regression")) and (key, damage) == ("y", "NaN"):
        return True  # a missing label
    if kind.endswith("regression") and (key, damage) == ("y", "a column too many"):
        return True
    if kind.startswith(("graph", "link")) and (key, damage) == ("x", "a row too many"):
        return True
    codes = key == "edge_attr" and damage in ("int32", "an int16 array", "truth values")
    optional = key in ("edge_attr", "edge_weight") and damage == "missing"
    return not kind.startswith("graph") and (codes or optional or "column" in damage)


@pytest.mark.parametrize("kind", KINDS)
def test_graphs_of_tasks(kind):
    raw, counts = _raw(kind), Counts(kind)
    number = 2 if raw["cls"] is gk.GraphTask else 0
    graph = raw["graphs"][number]
    for key, value in graph.to_dict().items():
        for damage in damages(key, value):
            if not _is_other_sound_data(kind, key, damage.name):
                damaged, meant = (_changed(raw, number, key, v) for v in (damage.value, damage.meant))
                counts.add(f"{key} {damage.name}", partial(_train, damaged), partial(_train, meant), *_names(key))
    for odd in (None, {}, [graph], HeteroData(), nx.path_graph(3), torch.eye(3), "cora", Data(), sp.eye_array(3)):
        damaged = partial(_train, _with_graph(raw, number, odd))
        counts.add(f"{type(odd).__name__} as graph", damaged, partial(_train, raw), "graph", "task")
    for odd in (None, 3, "random", {}, [0], torch.ones(4), tiny.split(2000)):
        damaged = partial(_train, raw | {"split": odd})
        counts.add(f"{type(odd).__name__} as split", damaged, partial(_train, raw), "split")
    counts.check()


def _sound_parts(how: str) -> tuple[Callable[..., Any], dict[str, Tensor]]:
    if how == "links":
        given = vars(tiny.link_task().split)
        return gk.LinkSplit, {name: part for name, part in given.items() if isinstance(part, Tensor)}
    ids = {name: getattr(tiny.split(24), name) for name in gk.tasks.STAGES}
    if how == "ids":
        return gk.Split, ids
    return gk.Split.from_masks, {f"{name}_mask": torch.isin(torch.arange(24), part) for name, part in ids.items()}


@pytest.mark.parametrize("how", ["ids", "masks", "links"])
def test_splits(how):
    (make, parts), counts = _sound_parts(how), Counts(f"splits by {how}")

    def split(**changes: Any) -> str:
        return make("s", **parts | changes).hash

    for name, part in parts.items():
        for damage in damages("ids", part):
            smaller = damage.name in ("a row too few", "a column too few") and how != "masks"
            if not smaller and not ("negatives" in name and damage.name == "a column too many"):
                bad, meant = (partial(split, **{name: value}) for value in (damage.value, damage.meant))
                counts.add(f"{name} {damage.name}", bad, meant, name, "repeat", "share", "different lengths")
        for entry, what in ((-1, "negative"), (2**62, "far too large")) if how == "links" else ((-1, "negative"),):
            bad = part.clone().long()
            bad.view(-1)[0] = entry
            counts.add(f"{name} {what}", partial(split, **{name: bad}), split, name)
        other = next(value for key, value in parts.items() if key != name)
        counts.add(f"{name} overlaps", partial(split, **{name: other}), lambda: None, "overlap", "share", "contain")
    counts.check()


# Transforms, layers and models ---------------------------------------------------------------------------------------


def _instances(*kinds: str) -> list[Any]:
    return [
        pytest.param(kind, make, id=f"{kind} {name}")
        for kind in kinds
        for cls in testing.discover()[kind].values()
        if cls.__module__.startswith("graphkit.") and cls is not gk.models.PyGModel  # which calls others' modules
        for name, make, _ in examples(cls, checks_of(cls))
    ]


@pytest.mark.parametrize(("kind", "make"), _instances("transform"))
def test_graphs_of_transforms(kind, make):
    transform = make()
    counts = Counts(type(transform).__name__)
    for label, bad, meant in transform_trials(make):
        counts.add(label, bad, meant, *_names(label.partition(":")[0]))
    for odd in (None, HeteroData(), nx.path_graph(3), torch.eye(3)):
        counts.add(f"{type(odd).__name__} as graph", partial(transform, odd), lambda: None, "graph")
    counts.check()


@pytest.mark.parametrize(("kind", "make"), _instances("layer", "model"))
def test_graphs_of_layers_and_models(kind, make):
    counts = Counts(type(make()).__name__)
    for label, bad, meant in module_trials(CheckedModule(make, kind)):
        counts.add(label, bad, meant, *_names(label.partition(":")[0]))
    counts.check()


def test_what_is_accepted_wrongly_is_counted():
    counts = Counts("a door")
    counts.add("kept", lambda: 1, lambda: 1)
    counts.add("changed", lambda: 1, lambda: 2)
    counts.add("unclear", lambda: 1 / 0, lambda: 2)
    with pytest.raises(AssertionError, match=r"2 of a door\n *accepted: a door, changed.*\n *unclear: a door, unclear"):
        counts.check()
