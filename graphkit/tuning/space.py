"""The space of a search: which settings of an experiment may take which values."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphkit.core.validate import unknown_name
from graphkit.recipes import Experiment
from graphkit.recipes.config import PARTS
from graphkit.recipes.experiment import NOT_HASHED

if TYPE_CHECKING:
    from optuna import Trial

PLACES = (*PARTS, "trainer")
RANGES = ("uniform", "log")
Value = Any


class SearchSpace:
    """Which settings of an experiment may take which values.

    A setting is called as its flag: ``model.hidden_channels``, ``trainer.lr``; ``model.act.0`` is the first part of a
    list or mapping; ``rewiring`` is a class as a whole, with or without ``init_args``. It takes values from a list
    (``null`` is no class), from a range in equal (``uniform``) or in logarithmic measure (``log``)::

        model.hidden_channels: {log: [16, 256]}
        model.dropout: {uniform: [0, 0.8], step: 0.1}
        trainer.weight_decay: [0, 5.e-4]
        rewiring: [null, FoSR]

    Ends belong to a range. It has whole numbers where the setting is one. Arguments of a class that the space chooses
    must be known by all its choices.

    Args:
        values: The values by setting.
        experiment: The experiment whose settings they replace.

    Raises:
        ValueError: If a setting does not exist or cannot be searched, a value is refused by the class whose argument it
            is, or a range is none.

    Example:
        >>> experiment = Experiment.from_config({"model": "GCN", "task": "karate"})
        >>> space = SearchSpace({"trainer.lr": {"log": [0.001, 1]}, "model.act": ["relu", "elu"]}, experiment)
        >>> space
        SearchSpace(trainer.lr: log from 0.001 to 1.0; model.act: relu, elu)
        >>> space.experiment({"trainer.lr": 0.5, "model.act": "elu"}).config["trainer"]["lr"]
        0.5
    """

    def __init__(self, values: Mapping[str, Any], experiment: Experiment) -> None:
        self.base = experiment
        if not isinstance(values, Mapping) or not values:
            raise ValueError(f"space: expected settings, and for each its values, got {values!r}")
        values = {str(key): value for key, value in values.items()}
        given = {key: _values(key, value) for key, value in values.items()}
        for key in given:
            _check_key(key)
        self.settings = list(given)
        # by setting: its values by what Optuna calls them, or the arguments of Optuna's suggest_int or suggest_float
        self.choices = {key: {_label(x): self._whole(key, x) for x in given[key]} for key in given if "." not in key}
        self.ranges: dict[str, dict[str, Any]] = {}
        for key, parsed in self._parsed({key: given[key] for key in given if "." in key}).items():
            if isinstance(values[key], Mapping):
                self.ranges[key] = _range(key, values[key], parsed)
            else:
                self.choices[key] = {_label(value): value for value in parsed}
        for key, choices in self.choices.items():
            if len(choices) < len(given[key]):
                raise ValueError(f"space: {key}={given[key]!r} has a value twice")

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """What a trial of Optuna tries, by setting; classes and lists are texts."""
        for key in self.settings:
            if key in self.choices:
                trial.suggest_categorical(key, list(self.choices[key]))
                continue
            ends = self.ranges[key]
            suggest: Any = trial.suggest_int if isinstance(ends["low"], int) else trial.suggest_float
            suggest(key, **ends)
        return trial.params

    def experiment(self, params: Mapping[str, Value]) -> Experiment:
        """The experiment with what a trial tries."""
        config = copy.deepcopy(self.base.config)
        for key in sorted(params, key=lambda key: "." in key):  # classes come before their arguments
            value = self.choices[key][params[key]] if key in self.choices else params[key]
            _put(config, key, copy.deepcopy(value))
        return Experiment(config)

    def config(self) -> dict[str, Any]:
        """The space as plain values."""
        return {key: list(self.choices[key]) if key in self.choices else self.ranges[key] for key in self.settings}

    def _whole(self, part: str, value: Value) -> Value:
        """A class with all its arguments; those of the recipe's class stay if it is the same."""
        chosen: Any = {"class_path": value} if isinstance(value, str) else value
        before = self.base.config[part] or {}
        if _is_class(chosen) and str(before.get("class_path")).lower() == chosen["class_path"].lower():
            chosen = {**chosen, "init_args": before["init_args"] | (chosen.get("init_args") or {})}
        return _completed(self.base.config | {part: chosen})[part]

    def _parsed(self, given: Mapping[str, list[Value]]) -> dict[str, list[Value]]:
        """The values of arguments as their classes read them; each is tried, with each choice of classes."""
        parsed = {key: list(values) for key, values in given.items()}
        for classes in itertools.product(*self.choices.values()) if given else ():
            chosen = self.experiment(dict(zip(self.choices, classes))).config
            for turn in range(max(map(len, given.values()))):
                config = copy.deepcopy(chosen)
                for key, values in given.items():
                    _put(config, key, values[turn % len(values)])
                config = _completed(config)
                for key, values in given.items():
                    parsed[key][turn % len(values)] = _get(config, key)
        return parsed

    def __repr__(self) -> str:
        return f"SearchSpace({'; '.join(f'{key}: {_shown(value)}' for key, value in self.config().items())})"


def _shown(value: list[Any] | dict[str, Any]) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    step = f" by {value['step']}" if "step" in value else ""
    return f"{'log' if value['log'] else 'uniform'} from {value['low']} to {value['high']}{step}"


def _check_key(key: str) -> None:
    part, _, argument = key.partition(".")
    if part not in PLACES or key == "trainer":
        known = [*PARTS, *(f"{place}.ARGUMENT" for place in PLACES)]
        raise ValueError(f"space: {unknown_name(key, known, 'setting')}")
    if part == "trainer" and argument in NOT_HASHED:
        raise ValueError(f"space: {key} does not change what is learned, so there is nothing to search")


def _values(key: str, value: Any) -> list[Value]:
    """The choices, or the ends of a range."""
    if isinstance(value, Mapping):
        kind, ends = next(iter(value.items()), ("", []))
        if kind not in RANGES or not set(value) <= {kind, "step"} or not _is_list(ends) or len(ends) != 2:
            raise ValueError(
                f"space: {key}={dict(value)!r}, must be {{log: [low, high]}}, {{uniform: [low, high]}}, perhaps with "
                "step, or a list of values"
            )
        return list(ends)
    if not _is_list(value) or not value:
        raise ValueError(f"space: {key}={value!r}, must be a list of values, or a range such as {{log: [1, 100]}}")
    return list(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _range(key: str, given: Mapping[str, Any], ends: list[Value]) -> dict[str, Any]:
    low, high = ends
    log, step = "log" in given, given.get("step")
    shown = f"space: {key}={dict(given)!r}"
    if not all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in ends):
        raise ValueError(f"{shown}, is no range of numbers; use a list of values")
    if not low < high or (log and low <= 0):
        raise ValueError(f"{shown}, must begin {'above 0 and ' if log else ''}below its end")
    if step is not None and (log or not isinstance(step, int | float) or not 0 < step <= high - low):
        raise ValueError(f"{shown}, step must be a number within a uniform range; with log there is none")
    if step is not None and isinstance(low, int) and not isinstance(step, int):
        raise ValueError(f"{shown}, step must be a whole number, as {key} is one")
    return {"low": low, "high": high, "log": log} | ({} if step is None else {"step": step})


def _label(value: Value) -> Any:
    """A value as Optuna can store it: plain ones as they are, classes and lists as texts."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if not _is_class(value):
        return json.dumps(value)
    arguments = ", ".join(f"{name}={argument!r}" for name, argument in (value.get("init_args") or {}).items())
    return f"{value['class_path']}({arguments})" if arguments else value["class_path"]


def _is_class(value: Any) -> bool:
    return isinstance(value, Mapping) and "class_path" in value


def _completed(config: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return Experiment.from_config(config).config
    except ValueError as error:
        raise ValueError(f"space: {error}") from None


# Places in a complete configuration ---------------------------------------------------------------------------------


def _container(config: dict[str, Any], key: str) -> tuple[Any, Any]:
    """What holds a setting, and under which name or number."""
    part, *path = key.split(".")
    inside = config["trainer"] if part == "trainer" else (config[part] or {}).get("init_args")
    if inside is None:
        raise ValueError(
            f"space: {key}: there is no {part}, so it has no arguments; name a class in the recipe or the space"
        )
    for depth, name in enumerate(path[:-1], 1):
        inside = inside.get(name) if isinstance(inside, Mapping) else inside[_position(inside, name, key)]
        if not isinstance(inside, dict | list):
            place = ".".join([part, *path[:depth]])
            raise ValueError(
                f"space: {key}: {place} is {inside!r} in the recipe, must be a list or mapping to have parts"
            )
    return inside, _position(inside, path[-1], key) if isinstance(inside, list) else path[-1]


def _position(values: list[Any], text: str, key: str) -> int:
    if not text.isdecimal() or int(text) >= len(values):
        raise ValueError(f"space: {key}: {text!r} must be a position in {values!r}, counted from 0")
    return int(text)


def _put(config: dict[str, Any], key: str, value: Value) -> None:
    inside, name = _container(config, key) if "." in key else (config, key)
    inside[name] = value


def _get(config: dict[str, Any], key: str) -> Value:
    inside, name = _container(config, key)
    return inside[name]
