"""What a configuration says of noise, classes of unlike size and few examples."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphkit.core.constraints import enforce_config
from graphkit.core.validate import unknown_name
from graphkit.tasks import Task
from graphkit.tasks.scenarios import Scenarios

SCENARIOS = ("noisy", "imbalanced", "few_shot")

Scenario = dict[str, dict[str, Any]]  # arguments by method, in the order of calls


def check_scenario(said: Any) -> Scenario:
    """The methods of a task and their arguments, checked without a task.

    Raises:
        ValueError: If a method or argument is unknown or missing, or a value is wrong.
    """
    if not isinstance(said, Mapping):
        raise ValueError(f"scenario: expected arguments by name of {', '.join(SCENARIOS)}, got {said!r}")
    for method, arguments in said.items():
        if method not in SCENARIOS:
            raise ValueError(f"scenario: {unknown_name(str(method), SCENARIOS, 'method')}")
        if not isinstance(arguments, Mapping):
            raise ValueError(f"scenario: {method}: expected arguments by name, got {arguments!r}")
        function = getattr(Scenarios, method)
        _, *parameters = inspect.signature(function).parameters.values()
        known = [parameter.name for parameter in parameters]
        for name in arguments:
            if name not in known:
                raise ValueError(f"scenario: {unknown_name(str(name), known, f'argument of {method}')}")
        for parameter in parameters:
            if parameter.default is parameter.empty and parameter.name not in arguments:
                raise ValueError(f"scenario: {method} needs {parameter.name}")
        enforce_config(function, arguments, f"scenario: {method}")
    return {str(method): dict(arguments) for method, arguments in said.items()}


def in_scenario(task: Task, scenario: Scenario) -> Task:
    """The task with noise, or fewer examples to train on; its split keeps its name, by which the dataset knows it.

    Raises:
        ValueError: If the task has no such scenario.
    """
    changed = task
    for method, arguments in scenario.items():
        if not isinstance(changed, Scenarios):
            kind = type(task).__name__
            raise ValueError(f"scenario: {method} is for graphs and nodes, but {task.name!r} is a {kind}")
        changed = getattr(changed, method)(**arguments)
    return changed.with_split(replace(changed.split, name=task.split.name)) if scenario else task
