"""One training run as plain values: names and arguments in, objects out."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn
from torch_geometric.transforms import BaseTransform

from graphkit.core.hashing import hash_config
from graphkit.core.validate import unknown_name
from graphkit.datasets import Card, card, load
from graphkit.datasets.generators import GENERATORS
from graphkit.datasets.loaders import LOADERS
from graphkit.datasets.splits import choose
from graphkit.models import LayeredModel, PyGModel
from graphkit.models import registry as models
from graphkit.samplers import Sampler
from graphkit.samplers import registry as samplers
from graphkit.tasks import Task
from graphkit.training import Result, Trainer
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
KEYS = ("task", "transforms", *PARTS, "trainer")
SIZES = ("in_channels", "out_channels")  # filled from the task
PYG_DEFAULTS = {"hidden_channels": 64, "num_layers": 2}  # PyG's models have none
NOT_HASHED = {"seed", "run_dir", "progress", "loggers", "checkpoint_seconds"}  # they do not change what is measured


class Experiment:
    r"""A model, a task, transforms, a strategy and a trainer, as plain values with every argument spelled out.

    Made by :meth:`from_config` from what a YAML file or a command line says. Transforms are applied in the order
    ``transforms``, ``features``, ``rewiring``: features describe the graph as it came. A ``sampler`` draws from what
    they made.

    Attributes:
        config: The complete configuration as plain values; ``from_config(config)`` gives an equal experiment.

    Example:
        >>> experiment = Experiment.from_config({"model": "gcn", "task": "karate", "trainer": {"max_epochs": 3}})
        >>> experiment.config["model"]["class_path"], experiment.config["trainer"]["lr"]
        ('GCN', 0.01)
        >>> len(experiment.run(progress=False).history)
        3
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], flags: Sequence[str] = ()) -> Experiment:
        """Check a configuration and fill in all defaults.

        Args:
            config: ``task`` (a name, or ``name``, ``split`` and the dataset's options), ``model``, ``features``,
                ``rewiring``, ``sampler`` and ``strategy`` (each a name, or ``class_path`` and ``init_args``),
                ``transforms`` (a list of those) and ``trainer`` (its arguments). A class is named as in
                ``graphkit list``, or by the import path of any PyG or own class.
            flags: Arguments in the form of a command line, e.g. ``["--model.dropout", "0.5"]``; they win
                (default: none).

        Raises:
            ValueError: If a key, class, argument, dataset or split does not exist, or a value has the wrong type; the
                message names it and suggests a close name.
        """
        for key in config:
            if key not in KEYS:
                raise ValueError(unknown_name(key, KEYS, "key"))
        for key in ("task", "model"):
            if not config.get(key):
                raise ValueError(f"the key {key!r} is missing")
        chosen = _Chosen(config)
        parsed = chosen.parse(flags)
        found = card(chosen.task)
        task = {"name": found.name, "split": parsed["task"].pop("split")}
        if found.kind == "list":
            raise ValueError(f"dataset {found.name!r} is a list of graphs to tell apart; there is nothing to train on")
        choose(found, task["split"])
        defaults = _option_defaults(found)
        task |= {key: value for key, value in parsed["task"].items() if value != defaults[key]}
        complete = {"task": task, "transforms": chosen.transforms, **chosen.parts(parsed), "trainer": parsed["trainer"]}
        experiment = cls(_plain(complete))
        experiment.build_trainer()  # refuses values that no type can: lr=-1
        return experiment

    @property
    def hash(self) -> str:
        """A digest of everything that changes what is measured; the seed and the places of files do not.

        Arguments at their defaults are left out, so that a new option does not change the digests of old experiments.
        """
        trainer = _not_default(Trainer, self.config["trainer"])
        digested = self.config | {"trainer": {key: trainer[key] for key in trainer if key not in NOT_HASHED}}
        for part in PARTS:
            if found := self.config[part]:
                arguments = _not_default(find_class(part, found["class_path"]), found["init_args"])
                digested[part] = {"class_path": found["class_path"], "init_args": arguments}
        if not digested["sampler"]:
            del digested["sampler"]
        return hash_config(digested)

    def load_task(self, split: int | str | None = None) -> Task:
        """The task with all transforms applied.

        Args:
            split: A split (default: the configuration's).
        """
        options = dict(self.config["task"])
        name, own = options.pop("name"), options.pop("split")
        task = load(name, own if split is None else split, **options)
        parts = [("transforms", part) for part in self.config["transforms"]]
        parts += [(key, self.config[key]) for key in ("features", "rewiring") if self.config[key]]
        for key, part in parts:
            task = task.transform(find_class(key, part["class_path"])(**part["init_args"]))
        part = self.config["sampler"]
        return task.sampled(find_class("sampler", part["class_path"])(**part["init_args"])) if part else task

    def build_model(self, task: Task) -> nn.Module:
        """The model, with ``in_channels``, ``out_channels`` and a graph task's readout taken from the task."""
        part = self.config["model"]
        cls = find_class("model", part["class_path"])
        known = inspect.signature(cls).parameters
        given = _not_default(cls, part["init_args"])  # a default leaves the choice to the task (readout)
        if issubclass(cls, LayeredModel):
            return cls.from_task(task, **given)
        sizes = dict(zip(SIZES, (task.num_features, task.num_outputs), strict=True))
        module = cls(**{key: size for key, size in sizes.items() if key in known} | given)
        node_level = cls.__module__.startswith("torch_geometric.")
        return PyGModel(module, readout="mean") if task.kind == "graph" and node_level else module

    def build_trainer(self, **changes: Any) -> Trainer:
        """The trainer; ``changes`` replace its arguments."""
        part = self.config["strategy"]
        strategy = part and find_class("strategy", part["class_path"])(**part["init_args"])
        return Trainer(**self.config["trainer"] | {"strategy": strategy} | changes)

    def run(self, resume: bool = False, split: int | str | None = None, **changes: Any) -> Result:
        """Load, build and train.

        Args:
            resume: Continue from the checkpoint in the trainer's ``run_dir`` (default: ``False``).
            split: A split (default: the configuration's).
            **changes: Replace arguments of the trainer.
        """
        task = self.load_task(split)
        return self.build_trainer(**changes).fit(self.build_model(task), task, resume=resume)

    def __repr__(self) -> str:
        task = self.config["task"]
        return f"Experiment({self.config['model']['class_path']} on {task['name']}, split {task['split']})"


def _not_default(cls: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(cls).parameters
    return {key: value for key, value in arguments.items() if key not in known or known[key].default != value}


def with_choices(
    config: Mapping[str, Any], *, task: str | None = None, split: str | None = None, **names: str | None
) -> dict[str, Any]:
    """A configuration with other classes, task or split; arguments that were given for another class are dropped.

    Args:
        config: The configuration.
        task: The name of a dataset (default: the configuration's).
        split: A split (default: the configuration's, or the dataset's first).
        **names: Class names of ``model``, ``features``, ``rewiring``, ``sampler`` and ``strategy``; ``None`` keeps what
            there is.
    """
    chosen = dict(config)
    for part, name in names.items():
        known = chosen.get(part)
        path = known.get("class_path") if isinstance(known, Mapping) else known
        if name is not None and name.lower() != str(path).lower():
            chosen[part] = name
    if task is not None or split is not None:
        known = chosen.get("task") or {}
        known = dict(known) if isinstance(known, Mapping) else {"name": known}
        if task is not None and task.lower() != str(known.get("name")).lower():
            known = {"name": task}
        chosen["task"] = known | ({} if split is None else {"split": split})
    return chosen


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
    chosen = _Chosen(config, trained=False)
    return _plain(chosen.parts(chosen.parse(flags)))


def flags_help(config: Mapping[str, Any], trained: bool = True) -> str:
    """The help text of all flags that a configuration's classes offer, with those of the trainer if it is trained."""
    return _Chosen(config, trained).parser.format_help()


class _Chosen:
    """The classes that a configuration names, and the parser for their arguments."""

    def __init__(self, config: Mapping[str, Any], trained: bool = True) -> None:
        self.trained = trained
        self.values: dict[str, Any] = {}
        task = config.get("task") or {}
        task = dict(task) if isinstance(task, Mapping) else {"name": task}
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

    def parse(self, flags: Sequence[str]) -> dict[str, Any]:
        """The values of all arguments, those of the file first, then the flags'."""
        known = [option[2:] for option in self.parser._option_string_actions if option.startswith("--")]
        given = [flag[2:].partition("=")[0] for flag in flags if flag.startswith("--")]
        for key in [*self.values, *given]:
            if key not in known:
                if key in {f"model.{size}" for size in SIZES}:
                    raise ValueError(f"{key} is filled from the task; leave it out")
                part = key.partition(".")[0]
                near = [name for name in known if name.startswith(f"{part}.")]
                raise ValueError(unknown_name(key, near or known, "argument"))
        tokens = [f"--{key}={_text(value)}" for key, value in self.values.items() if key not in given]
        with _readable_errors():
            return self.parser.parse_args([*tokens, *flags]).as_dict()

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
        if self.task:
            found = card(self.task)
            group = parser.add_argument_group(f"task: {found.title}")
            group.add_argument("--task.split", type=int | str, default=0, help="an index, 'family' or 'family/index'")
            function = _loader(found)
            positional: set[str | int] = {
                p.name for p in inspect.signature(function).parameters.values() if p.kind != p.KEYWORD_ONLY
            }
            group.add_function_arguments(function, "task", as_group=False, skip=positional, fail_untyped=False)
            parser.set_defaults({f"task.{key}": value for key, value in _option_defaults(found).items()})
        for part, cls in self.classes.items():
            skipped = set(SIZES) & set(inspect.signature(cls).parameters) if part == "model" else set()
            _add_class(parser, cls, part, skipped)
        if self.trained:
            _add_class(parser, Trainer, "trainer", {"strategy"})
        return parser


def _add_class(parser: ArgumentParser, cls: type, key: str, skip: set[str]) -> None:
    group = parser.add_argument_group(f"{key}: {cls.__name__}" if key != "trainer" else key)
    group.add_class_arguments(cls, key, as_group=False, skip=skip, fail_untyped=False)
    if key == "model":
        known = inspect.signature(cls).parameters
        missing = [name for name, parameter in known.items() if parameter.default is inspect.Parameter.empty]
        usual = _from_task_defaults(cls) if issubclass(cls, LayeredModel) else PYG_DEFAULTS
        parser.set_defaults({f"model.{name}": usual[name] for name in missing if name in usual})


def _from_task_defaults(cls: type[LayeredModel]) -> dict[str, Any]:
    parameters = inspect.signature(cls.from_task).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _loader(found: Card) -> Callable[..., Any]:
    return GENERATORS[found.generator] if found.generator else LOADERS[found.loader]


def _option_defaults(found: Card) -> dict[str, Any]:
    parameters = inspect.signature(_loader(found)).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    return defaults | {key: value for key, value in found.arguments.items() if key in defaults}


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
        return registry.get(path)
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"{part} {path!r}: cannot import {module_name} ({error})") from None
    cls = getattr(module, name, None)
    if cls is None:
        choices = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
        raise ValueError(unknown_name(name, sorted(choices), f"class of {module_name}"))
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ValueError(f"{part} {path!r} is not a subclass of {base.__module__}.{base.__qualname__}")
    return cls


def _text(value: Any) -> str:
    """The value as it would stand on a command line."""
    if isinstance(value, float) and math.isinf(value):
        return ".inf" if value > 0 else "-.inf"  # YAML's spelling, which is what flags are read as, is not JSON's
    return value if isinstance(value, str) else json.dumps(value, default=list)


def _plain(value: Any) -> Any:
    """The value as YAML and JSON know it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
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
        types = list(dict.fromkeys(re.findall(r"Expected an? <class '([\w.]+)'>", text)))
        if key and value and types:
            wanted = " or ".join(types).replace("NoneType", "null")
            text = f"{key[1]}: expected {wanted}, got {value[1]!r}"
        text = " ".join(text.split())
        raise ValueError(f"{prefix}: {text}" if prefix else text) from None
