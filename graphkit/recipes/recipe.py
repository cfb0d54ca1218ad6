"""Recipe files: strict reading, and running over seeds and splits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.core.resources import shipped
from graphkit.core.validate import unknown_name
from graphkit.datasets import card
from graphkit.datasets.splits import choose
from graphkit.metrics import is_percent
from graphkit.recipes.experiment import KEYS, Experiment
from graphkit.recipes.reproduction import Reproduction
from graphkit.recipes.running import Execution, reproduce

if TYPE_CHECKING:
    from graphkit.recipes.comparison import Comparison
    from graphkit.recipes.sweep import Sweep

RECIPE_KEYS = ("seeds", "splits", "also_test", "unit", "published", "tolerance", "note", "variants")
PERCENT_TOLERANCE = 0.5


@dataclass(frozen=True)
class Published:
    """A number from a paper's table.

    Attributes:
        value: The mean, in ``unit``.
        paper: Authors, venue and year.
        table: Where it stands in the paper.
        split: The paper's split, in words.
        std: The standard deviation, if the table gives it.
        n: The number of runs behind the mean, if the paper says so.
        unit: ``"%"`` for shares, empty for errors, ``"log10"`` for their decimal logarithms.
        url: The paper's address.
        verified: Whether somebody compared the number with the paper.
        note: What a reader of the comparison should know.
    """

    value: float
    paper: str
    table: str
    split: str
    std: float | None = None
    n: int | None = None
    unit: str = "%"
    url: str = ""
    verified: bool = False
    note: str = ""

    @classmethod
    def from_config(cls, config: Any) -> Published:
        """Check the keys and types of the ``published`` part of a recipe.

        Raises:
            ValueError: Naming the key.
        """
        known = {field.name: field for field in fields(cls)}
        if not isinstance(config, Mapping):
            raise ValueError(f"published: expected the keys {', '.join(known)}, got {config!r}")
        for key, value in config.items():
            if key not in known:
                raise ValueError(f"published: {unknown_name(key, known, 'key')}")
            wanted = str(known[key].type)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = {
                "float": number,
                "float | None": value is None or number,
                "int | None": value is None or (number and value == int(value)),
                "bool": isinstance(value, bool),
                "str": isinstance(value, str),
            }
            if not fits[wanted]:
                raise ValueError(f"published.{key}: expected {wanted}, got {value!r}")
        for key, field in known.items():
            if field.default is MISSING and key not in config:
                raise ValueError(f"published: the key {key!r} is missing")
        return cls(**config)


class Recipe:
    r"""How one number of a paper is measured: an experiment, its seeds and splits, and the published value.

    Args:
        name: ``method/dataset``.
        config: The file's content: the keys of :class:`Experiment`, and ``seeds`` (a number or a list; default: 1),
            ``splits`` (a list; default: the task's split), ``also_test`` (a list of further splits on whose test parts
            the trained models are scored), ``unit`` (``"log10"`` for logarithms of errors), ``published`` (see
            :class:`Published`), ``tolerance`` (in the table's unit; default: 0.5 for percentages, else 0) and ``note``.
        path: The file it was read from, if any (default: ``None``).

    Raises:
        ValueError: If a key, class, argument, dataset or split does not exist or a value has the wrong type.

    Example:
        >>> recipe = load("gcn/cora")
        >>> recipe.published.value, len(recipe.seeds)
        (81.5, 20)
    """

    def __init__(self, name: str, config: Mapping[str, Any], path: Path | None = None) -> None:
        if config.get("variants"):
            raise ValueError("variants: only a whole comparison has them")
        for key in config:
            if key not in (*KEYS, *RECIPE_KEYS):
                raise ValueError(unknown_name(key, (*KEYS, *RECIPE_KEYS), "key"))
        self.name = name
        self.path = path
        self.experiment = Experiment.from_config({key: config[key] for key in config if key in KEYS})
        task = self.experiment.config["task"]
        found = card(task["name"])
        self.seeds = _seeds(config.get("seeds", 1))
        self.splits: list[int | str] = config.get("splits") or [task["split"]]
        self.also_test: list[int | str] = config.get("also_test") or []
        families = [choose(found, split)[0] for split in [*self.splits, *self.also_test]]
        self.metric, *others = dict.fromkeys(family.metric or found.metric for family in families)
        if others:
            raise ValueError(f"splits: they are judged by different metrics, {self.metric} and {others[0]}")
        self.published = Published.from_config(config["published"]) if config.get("published") else None
        percent = is_percent(self.metric)
        self.unit = unit = config.get("unit") or ("%" if percent else "")
        if unit not in (("%",) if percent else ("", "log10")):
            raise ValueError(
                f"unit: {unit!r} does not fit {self.metric}, which is given in {'%' if percent else 'log10'}"
            )
        if self.published is not None and self.published.unit != unit:
            raise ValueError(f"published.unit is {self.published.unit!r}, but {self.metric} is given in {unit!r}")
        self.tolerance = config.get("tolerance", PERCENT_TOLERANCE if percent else 0.0)
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float) or self.tolerance < 0:
            raise ValueError(f"tolerance: expected a number of at least 0, got {self.tolerance!r}")
        self.note = " ".join(str(config.get("note") or "").split())

    @property
    def is_shipped(self) -> bool:
        """Whether it is one of graphkit's own."""
        return self.path is not None and self.path.resolve().is_relative_to(shipped("recipes").resolve())

    @property
    def parts(self) -> list[Recipe]:
        """The recipes in it: itself."""
        return [self]

    def run(
        self, seeds: int | Sequence[int] | None = None, splits: Sequence[int | str] | None = None, **execution: Any
    ) -> Reproduction:
        """Train with every seed on every split and compare with the published value.

        A finished run is kept and not repeated, unless the recipe or the version of graphkit or torch has changed. If
        the dataset is not at hand, the result says so and holds no numbers.

        Args:
            seeds: A number (0, 1, ...) or a list (default: the recipe's).
            splits: Splits (default: the recipe's). Others are measured, but not compared with the published value.
            execution: Arguments of :class:`Execution`, such as ``jobs=2``.

        Raises:
            KeyboardInterrupt: After Ctrl-C; says how many runs are kept.
            OutOfTime: If ``deadline`` came before the last run was started; says the same.
        """
        chosen = self.seeds if seeds is None else _seeds(seeds)
        return reproduce(self, chosen, list(splits or self.splits), Execution(**execution))

    def __repr__(self) -> str:
        return f"Recipe({self.name}: {self.experiment}, {len(self.seeds)} seeds, {len(self.splits)} splits)"


def load(name: str | os.PathLike[str]) -> Recipe | Comparison | Sweep:
    """Read a recipe, a comparison (a recipe with ``variants``) or a sweep (a comparison with ``points``).

    Args:
        name: ``method/dataset``, e.g. ``"gcn/cora"``, or the path of a YAML file.

    Raises:
        ValueError: If there is no such recipe or its content is wrong; the message names the file and the key.
    """
    from graphkit.recipes.comparison import Comparison
    from graphkit.recipes.sweep import Sweep

    path = find(name)
    content = read(path)
    try:
        kind = Sweep if content.get("points") else Comparison if content.get("variants") else Recipe
        recipe = kind(path.stem, content, path)
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from error
    if recipe.is_shipped:
        recipe.name = f"{path.resolve().parent.name}/{path.stem}"
    return recipe


def available() -> dict[str, str]:
    """All recipes that come with graphkit, with the value that each is compared with.

    Example:
        >>> available()["gcn/cora"]
        '81.5 %, Kipf and Welling (ICLR 2017), Table 2'
    """
    root = shipped("recipes")
    found = {}
    for path in sorted(root.glob("*/*.yaml")):
        known = read(path).get("published") or {}
        parts = [f"{known['value']} {known.get('unit', '%')}".strip()] if "value" in known else ["no published value"]
        parts += [known[key] for key in ("paper", "table") if known.get(key)]
        variants = read(path).get("variants")
        compared = f"compares {', '.join(variants)}" if variants else ", ".join(parts)
        found[f"{path.parent.name}/{path.stem}"] = compared
    return found


def find(name: str | os.PathLike[str]) -> Path:
    """The file of a recipe, by its name or path."""
    text = os.fspath(name)
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path
    root = shipped("recipes")
    names = [f"{path.parent.name}/{path.stem}" for path in sorted(root.glob("*/*.yaml"))]
    if text.lower() not in names:
        raise ValueError(unknown_name(text, names, "recipe"))
    return root / f"{text.lower()}.yaml"


def read(path: Path) -> dict[str, Any]:
    """The content of a YAML file.

    Raises:
        ValueError: If it is not YAML, or not a mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected keys such as model, task and trainer, got {type(content).__name__}")
    return content


def _seeds(value: Any) -> list[int]:
    seeds = list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
    valid = isinstance(seeds, Sequence) and not isinstance(seeds, str) and len(seeds) > 0
    if not valid or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in seeds):
        raise ValueError(f"seeds: expected a number of at least 1, or a list of seeds, got {value!r}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds: {value!r} repeats a seed, which would count one run twice")
    return list(seeds)
