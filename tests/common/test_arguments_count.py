"""Every argument of every strategy changes the run, or the run refuses it by name: nothing is ignored silently.

Strategies and their arguments are found by discovery. Each argument gets another value, beside the defaults and beside
each other argument's values, on a task of nodes, of graphs and of links.
"""

from __future__ import annotations

import inspect
import itertools
import re
import warnings
from typing import Any

import pytest

import graphkit as gk
from graphkit.models import GCN, Mowst
from tests import tiny

STRATEGIES = {n: c for n, c in gk.strategies.registry.classes().items() if c.__module__.startswith("graphkit.")}
TASKS = {kind: tiny.task(kind) for kind in ("node multiclass", "graph multiclass", "link")}
OTHER_KINDS = {
    "num_negatives": [1],
    "counted_steps": [[1, 2]],
    "local_layers": [2],
    "local_epochs": [1],
    "mlp_epochs": [1],
    "pretrain": ["weak", "strong", "both"],
    "rounds": [1],
}  # where the default is none, or twice as much does no more


BOUNDS = {"test_steps": "counted_steps"}  # which only bounds the other, once that is given


def values(cls: type, parameter: inspect.Parameter) -> list[Any]:
    """Other values of an argument, by its default."""
    default = parameter.default
    if parameter.name in OTHER_KINDS:
        return OTHER_KINDS[parameter.name]
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        with pytest.raises((TypeError, ValueError)) as refused:
            cls(**{parameter.name: "nonsense"})
        choices = re.split(r"choose from|must be", str(refused.value))[-1]
        return [word for word in re.findall(r"\w+", choices) if word not in (default, "or", "one", "of")]
    return [2 * default]


def variants(cls: type) -> list[tuple[dict[str, Any], str, Any]]:
    """Arguments, one of them by name, and another value of it."""
    others = [(p.name, value) for p in inspect.signature(cls).parameters.values() for value in values(cls, p)]
    alone: list[tuple[dict[str, Any], str, Any]] = [({}, *change) for change in others]
    return alone + [
        ({name: value}, *change)
        for (name, value), change in itertools.product(others, others)
        if name not in (change[0], BOUNDS.get(change[0]))
    ]


def run(cls: type, kind: str, arguments: dict[str, Any]) -> Any:
    """What the run amounts to, or the error or the warnings by which it names what has no effect."""
    task = TASKS[kind]
    try:
        trainer = gk.Trainer(max_epochs=2, lr=0.05, strategy=cls(**arguments), progress=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gcn = {"hidden_channels": 4, "num_layers": 2, "readout": "mean" if task.joins_graphs else "nodes"}
            strong = {"class_path": "GCN", "init_args": gcn}
            takes_turns = cls is gk.strategies.ExpertTurns
            model = Mowst.from_task(task, strong=strong) if takes_turns else GCN.from_task(task, **gcn)
            result = trainer.fit(model, task)
    except (TypeError, ValueError) as error:
        return error
    return [{k: v for k, v in row.items() if k != "lr"} for row in result.history], trainer.predict(task)[0].tolist()


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_argument_counts_or_is_refused(name, kind):
    cls, runs = STRATEGIES[name], {}

    def outcome(arguments):
        key = repr(sorted(arguments.items()))
        if key not in runs:
            runs[key] = run(cls, kind, arguments)
        return runs[key]

    for arguments, option, value in variants(cls):
        before, after = outcome(arguments), outcome(arguments | {option: value})
        if isinstance(before, Exception):
            continue
        if isinstance(after, Exception):
            assert name in str(after), after
        else:
            assert before != after, f"{name}({arguments}): {option}={value!r} is ignored on a {kind} task"
