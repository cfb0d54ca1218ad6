"""The classes that a configuration names, and the arguments that they take."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch_geometric
from torch import nn
from torch_geometric.transforms import BaseTransform

from graphkit.core.building import import_class
from graphkit.core.current_folder import search_last
from graphkit.core.validate import suggestion, unknown_name
from graphkit.datasets import Card, card
from graphkit.datasets.loading import options_from
from graphkit.models import LayeredModel
from graphkit.models import registry as models
from graphkit.recipes.own_tables import task_of_tables
from graphkit.samplers import Sampler
from graphkit.samplers import registry as samplers
from graphkit.training import Trainer
from graphkit.training.strategies import Strategy
from graphkit.training.strategies import registry as strategies
from graphkit.transforms.features import registry as features
from graphkit.transforms.rewiring import registry as rewirings

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

# part of a config -> what it may be called, and what it must derive from
PARTS: dict[str, tuple[Any, type]] = {
    "model": (models, nn.Module),
    "features": (features, BaseTransform),
    "rewiring": (rewirings, BaseTransform),
    "sampler": (samplers, Sampler),
    "strategy": (strategies, Strategy),
}
SIZES = ("in_channels", "out_channels")  # filled from the task
PYG_DEFAULTS = {"hidden_channels": 64, "num_layers": 2}  # PyG's models have none


def parse_parts(config: Mapping[str, Any], flags: Sequence[str] = ()) -> dict[str, Any]:
    """Model, features and rewiring with all arguments, for what needs neither a task nor a trainer.

    Args:
        config: ``model``, ``features`` and ``rewiring``, as for :meth:`Experiment.from_config`.
        flags: Arguments in the form of a command line; they win (default: none).

    Raises:
        ValueError: As :meth:`Experiment.from_config`.

    Example:
        >>> parse_parts({"model": "gin"}, ["--model.num_layers", "3"])["model"]["init_args"]["num_layers"]
        3
    """
    parser = ConfigParser(config, trained=False)
    return plain(parser.parts(parser.parse(flags)))


def flags_help(config: Mapping[str, Any], trained: bool = True) -> str:
    """The help text of all flags that a configuration's classes offer, with those of the trainer if it is trained."""
    return ConfigParser(config, trained).parser.format_help()


def flags_of(config: Mapping[str, Any], trained: bool = True) -> list[str]:
    """The names of all arguments that a configuration's classes offer, such as ``trainer.lr``."""
    return ConfigParser(config, trained).flags


class ConfigParser:
    """The classes that a configuration names, and the parser for their arguments."""

    def __init__(self, config: Mapping[str, Any], trained: bool = True) -> None:
        self.trained = trained
        self.values: dict[str, Any] = {}
        task = config.get("task") or {}
        task = dict(task) if isinstance(task, Mapping) else {"name": task}
        self.folder = task.pop("folder", None)  # of the user's own tables
        self.task = str(task.pop("name", "") or "")
        self._collect("task", task)
        self.classes: dict[str, type] = {}
        self.names: dict[str, str] = {}
        for part in PARTS:
            if config.get(part):
                path, arguments = _split_part(config[part], part)
                self.classes[part] = find_class(part, path)
                self.names[part] = path if "." in path else self.classes[part].__name__
                self._collect(part, arguments)
        self._collect("trainer", config.get("trainer") or {})
        self.parser = self._parser()
        self.transforms = [_transform(value, position) for position, value in enumerate(config.get("transforms") or [])]

    @property
    def flags(self) -> list[str]:
        """The names of all arguments, such as ``trainer.lr``."""
        return [action.dest for action in self.parser._actions if not action.dest.endswith(".help")]

    def parse(self, flags: Sequence[str]) -> dict[str, Any]:
        """The values of all arguments, those of the file first, then the flags'."""
        given = [flag[2:].partition("=")[0] for flag in flags if flag.startswith("--")]
        for key in [*self.values, *given]:
            if f"--{key}" not in self.parser._option_string_actions:
                if key in {f"model.{size}" for size in (*SIZES, "num_nodes")}:
                    raise ValueError(f"{key} is filled from the task; leave it out")
                part = key.partition(".")[0]
                near = [name for name in self.flags if name.startswith(f"{part}.")]
                raise ValueError(unknown_name(key, near or self.flags, "argument"))
        tokens = [f"--{key}={_text(value)}" for key, value in self.values.items() if key not in given]
        with _readable_errors():
            parsed = self.parser.parse_args([*tokens, *flags]).as_dict()
        for part, cls in self.classes.items():  # what has no type is not missed by the parser
            needed = parsed.get(part, {}).keys() - defaults_of(cls).keys()
            for name in filter(needed.__contains__, inspect.signature(cls).parameters):
                if parsed[part][name] is None and f"{part}.{name}" not in {*self.values, *given}:
                    raise ValueError(f"the following arguments are required: {part}.{name}")
        return parsed

    def parts(self, parsed: Mapping[str, Any]) -> dict[str, Any]:
        """Each part's class and arguments; ``None`` for one that is not there."""
        return {
            part: {"class_path": self.names[part], "init_args": parsed.get(part, {})} if part in self.classes else None
            for part in PARTS
        }

    def _collect(self, part: str, arguments: Any) -> None:
        if not isinstance(arguments, Mapping):
            raise ValueError(f"{part}: expected arguments by name, got {arguments!r}")
        self.values.update({f"{part}.{key}": value for key, value in arguments.items()})

    def _parser(self) -> ArgumentParser:
        from jsonargparse import SUPPRESS, ArgumentParser

        parser = ArgumentParser(exit_on_error=False, add_help=False, usage=SUPPRESS)
        if self.folder is not None:
            group = parser.add_argument_group(f"task: tables in {self.folder}")
            made = task_of_tables(self.folder, self.values.get("task.kind"))
            group.add_function_arguments(made, "task", as_group=False, skip={"folder"}, fail_untyped=False)
        elif self.task:
            dataset = card(self.task)
            group = parser.add_argument_group(f"task: {dataset.title}")
            group.add_argument("--task.split", type=int | str, default=0, help="an index, 'family' or 'family/index'")
            group.add_argument(
                "--task.metric", type=str | None, default=None, help="the score (default: the dataset's)"
            )
            function = options_from(dataset)
            positional: set[str | int] = {
                p.name for p in inspect.signature(function).parameters.values() if p.kind != p.KEYWORD_ONLY
            }
            group.add_function_arguments(function, "task", as_group=False, skip=positional, fail_untyped=False)
            parser.set_defaults({f"task.{key}": value for key, value in option_defaults(dataset).items()})
        for part, cls in self.classes.items():
            skipped = _of_the_task(cls) if part == "model" else set()
            _add_class(parser, cls, part, skipped)
        if self.trained:
            _add_class(parser, Trainer, "trainer", {"strategy", "callbacks"})
        return parser


def _of_the_task(cls: type) -> set[str]:
    """The arguments of a model that its task tells."""
    needed = [p.name for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
    return (set(SIZES) & set(inspect.signature(cls).parameters)) | ({"num_nodes"} & set(needed))


def _add_class(parser: ArgumentParser, cls: type, key: str, skip: set[str]) -> None:
    group = parser.add_argument_group(f"{key}: {cls.__name__}" if key != "trainer" else key)
    group.add_class_arguments(cls, key, as_group=False, skip=skip, fail_untyped=False)
    if key == "model":
        known = inspect.signature(cls).parameters
        missing = [name for name, parameter in known.items() if parameter.default is inspect.Parameter.empty]
        usual = defaults_of(cls.from_task) if issubclass(cls, LayeredModel) else PYG_DEFAULTS
        parser.set_defaults({f"model.{name}": usual[name] for name in missing if name in usual})


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a function or class that have defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def option_defaults(dataset: Card) -> dict[str, Any]:
    """The options of a dataset, with the card's own values for them."""
    parameters = inspect.signature(options_from(dataset)).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    return defaults | {key: value for key, value in dataset.arguments.items() if key in defaults}


def _transform(value: Any, position: int) -> dict[str, Any]:
    """One entry of ``transforms``, checked and with all arguments."""
    from jsonargparse import ArgumentParser

    key = f"transforms[{position}]"
    path, arguments = _split_part(value, key)
    cls = find_class("transforms", path)
    parser = ArgumentParser(exit_on_error=False, add_help=False)
    added = parser.add_class_arguments(cls, as_group=False, fail_untyped=False)
    for name in arguments:
        if name not in added:
            raise ValueError(f"{key}: {unknown_name(name, added, f'argument of {path}')}")
    with _readable_errors(key):
        return {"class_path": path, "init_args": parser.parse_object(dict(arguments)).as_dict()}


def _split_part(value: Any, key: str) -> tuple[str, Mapping[str, Any]]:
    """The class name and the arguments in one of the two ways to write a part."""
    if isinstance(value, str):
        return value, {}
    if not isinstance(value, Mapping) or not isinstance(value.get("class_path"), str):
        raise ValueError(f"{key}: expected a class name, or class_path and init_args, got {value!r}")
    for name in value:
        if name not in ("class_path", "init_args"):
            raise ValueError(f"{key}: {unknown_name(name, ('class_path', 'init_args'), 'key')}")
    return value["class_path"], value.get("init_args") or {}


def find_class(part: str, path: str) -> Any:
    """The class of one part, by its registered name or by an import path.

    Raises:
        ValueError: If there is none, or it is not of the part's kind.
    """
    registry, base = PARTS.get(part, (None, BaseTransform))
    if "." not in path:
        if registry is None:
            raise ValueError(f"{part}: {path!r} must be an import path, e.g. torch_geometric.transforms.{path}")
        try:
            return registry.get(path)
        except ValueError as error:
            pyg = torch_geometric.nn if part == "model" else torch_geometric.transforms
            theirs = getattr(pyg, path, None)
            if isinstance(theirs, type) and issubclass(theirs, base):
                raise ValueError(f"unknown {registry.kind} {path!r}; PyG's is called {pyg.__name__}.{path}") from error
            raise
    search_last()
    return import_class(path, base, part)


def _text(value: Any) -> str:
    """The value as it would stand on a command line."""
    if isinstance(value, float) and math.isinf(value):
        return ".inf" if value > 0 else "-.inf"  # YAML's spelling, which is what flags are read as, is not JSON's
    if isinstance(value, str):
        return value
    return json.dumps(value, default=lambda part: part.item() if isinstance(part, np.generic) else list(part))


def plain(value: Any) -> Any:
    """The value as YAML and JSON know it."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


@contextmanager
def _readable_errors(prefix: str = "") -> Iterator[None]:
    """Turn jsonargparse's reports of many lines into one."""
    from argparse import ArgumentError

    try:
        yield
    except ArgumentError as error:
        text = str(error)
        key = re.search(r'Parser key "([^"]+)"', text)
        value = re.search(r"(?:Got|Given) value: (.*)", text)
        options = re.search(r"typing\.Literal\[(.*?)\]", text)
        types = list(dict.fromkeys(re.findall(r"Expected an? <class '([\w.]+)'>", text)))
        if key and value and options:
            text = f"{key[1]}={value[1]!r}, {suggestion(value[1], options[1].replace(chr(39), '').split(', '))}"
        elif key and value and types:
            wanted = " or ".join(types).replace("NoneType", "null")
            wanted = wanted.replace("collections.abc.Sequence", f"a list such as '[{value[1]}]'")
            text = f"{key[1]}: expected {wanted}, got {value[1]!r}"
        text = " ".join(text.split())
        raise ValueError(f"{prefix}: {text}" if prefix else text) from None
