"""One training run as plain values: names and arguments in, objects out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from graphkit.core.building import build_noted
from graphkit.core.constraints import Checked, enforce_config
from graphkit.core.hashing import hash_config
from graphkit.core.object_hash import hash_object
from graphkit.core.validate import unknown_name
from graphkit.datasets import card, load
from graphkit.datasets.splits import choose
from graphkit.models import LayeredModel, PyGModel
from graphkit.recipes.config import PARTS, SIZES, ConfigParser, defaults_of, find_class, option_defaults, plain
from graphkit.recipes.own_tables import tables_task, task_of_tables
from graphkit.recipes.scenario import check_scenario, in_scenario
from graphkit.tasks import Task
from graphkit.training import Result, Trainer

KEYS = ("task", "scenario", "transforms", *PARTS, "trainer")
NOT_HASHED = {
    "seed",
    "run_dir",
    "progress",
    "loggers",
    "callbacks",
    "checkpoint_seconds",
}  # they do not change what is measured


class Experiment:
    r"""A model, a task, transforms, a strategy and a trainer, as plain values with every argument spelled out.

    Made by :meth:`from_config` from what a YAML file or a command line says. A ``scenario`` disturbs or thins
    out the task. Transforms are applied to the result in the order ``transforms``, ``features``, ``rewiring``: features
    describe the graph as it came. A ``sampler`` draws from what they made.

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
            config: ``task`` (a name, or ``name``, ``split`` and the dataset's options; or ``folder``, that of own
                tables, ``kind``, which is ``node``, ``edge`` or ``link``, and the arguments of ``NodeTask.from_csv``;
                or as ``folder`` a CSV file of interactions, and those of ``RankingTask.from_csv``, or of events, by
                ``kind: event``, and those of ``EventTask.from_csv``), ``scenario`` (the
                arguments of ``noisy``, ``imbalanced`` or ``few_shot``, as in ``{noisy: {edges: 0.2}}``), ``model``,
                ``features``, ``rewiring``, ``sampler`` and ``strategy`` (each a name, or ``class_path`` and
                ``init_args``), ``transforms`` (a list of those) and ``trainer`` (its arguments). A class is named as in
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
        parser = ConfigParser(config)
        parsed = parser.parse(flags)
        task = _of_tables(parser.folder, parsed) if parser.folder is not None else _of_dataset(parser.task, parsed)
        complete = {
            "task": task,
            "scenario": check_scenario(config.get("scenario") or {}),
            "transforms": parser.transforms,
            **parser.parts(parsed),
            "trainer": parsed["trainer"],
        }
        for part, chosen in parser.classes.items():
            if issubclass(chosen, Checked):
                enforce_config(chosen, parsed.get(part, {}))
        experiment = cls(plain(complete))
        folder = experiment.config["trainer"]["run_dir"] or "."  # which may be chosen later
        experiment.build_trainer(run_dir=folder)  # refuses values that no type can: lr=-1
        return experiment

    @property
    def hash(self) -> str:
        """A digest of everything that changes what is measured; the seed and the places of files do not.

        Arguments at their defaults are left out, so that a new option does not change the digests of old experiments.
        """
        trainer = _not_default(Trainer, self.config["trainer"])
        digested = self.config | {"trainer": {key: trainer[key] for key in trainer if key not in NOT_HASHED}}
        for part in PARTS:
            if chosen := self.config[part]:
                arguments = _not_default(find_class(part, chosen["class_path"]), chosen["init_args"])
                digested[part] = {"class_path": chosen["class_path"], "init_args": arguments}
        for later in ("scenario", "sampler"):  # which older experiments do not have
            if not digested[later]:
                del digested[later]
        return hash_config(digested)

    @property
    def own_code(self) -> str:
        """A digest of the code of classes that are the user's own, which may be edited; empty if there are none."""
        chosen = [(key, self.config[key]) for key in PARTS if self.config[key]]
        chosen += [("transforms", part) for part in self.config["transforms"]]
        classes = [find_class(key, part["class_path"]) for key, part in chosen]
        own = [cls for cls in classes if not cls.__module__.startswith(("graphkit.", "torch_geometric."))]
        return hash_object(own) if own else ""

    def load_task(self, split: int | str | None = None) -> Task:
        """The task with all transforms applied.

        Args:
            split: A split (default: the configuration's).
        """
        options = dict(self.config["task"])
        if "folder" in options:
            del options["name"]
            make: Any = task_of_tables(options["folder"], options.get("kind"))
            if split is not None:
                options |= {"split": str(split)} if make is tables_task else {"seed": int(split)}
            return self._transformed(make(**options))
        name, own = options.pop("name"), options.pop("split")
        return self._transformed(load(name, own if split is None else split, **options))

    def _transformed(self, task: Task) -> Task:
        task = in_scenario(task, self.config["scenario"])
        parts = [("transforms", part) for part in self.config["transforms"]]
        parts += [(key, self.config[key]) for key in ("features", "rewiring") if self.config[key]]
        for key, part in parts:
            task = task.transform(build_noted(find_class(key, part["class_path"]), part["init_args"]))
        part = self.config["sampler"]
        return task.sampled(find_class("sampler", part["class_path"])(**part["init_args"])) if part else task

    def build_model(self, task: Task) -> nn.Module:
        """The model, with ``in_channels``, ``out_channels`` and a graph task's readout taken from the task."""
        part = self.config["model"]
        cls = find_class("model", part["class_path"])
        return model_for(task, cls, _not_default(cls, part["init_args"]))  # a default leaves the choice to the task

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
        split = f", split {task['split']}" if "split" in task else ""  # files of interactions and events have none
        return f"Experiment({self.config['model']['class_path']} on {task['name']}{split})"


def model_for(task: Task, cls: type[nn.Module], arguments: Mapping[str, Any]) -> nn.Module:
    """A model of a class for a task, which tells ``in_channels``, ``out_channels`` and a graph task's readout."""
    if issubclass(cls, LayeredModel):
        return cls.from_task(task, **arguments)
    known = inspect.signature(cls).parameters
    sizes = dict(zip(SIZES, (task.num_features, task.num_outputs), strict=True))
    module = build_noted(cls, {key: size for key, size in sizes.items() if key in known} | dict(arguments))
    node_level = cls.__module__.startswith("torch_geometric.")
    return PyGModel(module, task.readout) if task.readout and node_level else module


def _of_dataset(name: str, parsed: dict[str, Any]) -> dict[str, Any]:
    """What tells the task of a dataset; options at their defaults are left out."""
    dataset = card(name)
    if dataset.kind == "list":
        raise ValueError(f"dataset {dataset.name!r} is a list of graphs to tell apart; there is nothing to train on")
    task = {"name": dataset.name, "split": parsed["task"].pop("split")}
    choose(dataset, task["split"])
    defaults = {"metric": None, **option_defaults(dataset)}
    return task | {key: value for key, value in parsed["task"].items() if value != defaults[key]}


def _of_tables(folder: str, parsed: dict[str, Any]) -> dict[str, Any]:
    """What tells the task of a folder of tables."""
    if not Path(folder).expanduser().exists():
        raise ValueError(
            f"task: {folder} is no folder; give one with nodes.csv and edges.csv, or a CSV file of interactions or "
            "events"
        )
    return {"name": Path(folder).expanduser().resolve().name, "folder": str(folder), **parsed["task"]}


def _not_default(cls: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    defaults = defaults_of(cls)
    return {key: value for key, value in arguments.items() if key not in defaults or defaults[key] != value}


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
