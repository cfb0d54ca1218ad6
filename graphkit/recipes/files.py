"""Where recipes and results lie, and the reading of YAML."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Literal

from graphkit.core.resources import checkout, shipped
from graphkit.core.validate import unknown_name


def recipe_files() -> dict[str, Path]:
    """The recipes that come with graphkit, by name."""
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(shipped("recipes").glob("*/*.yaml"))}


def suite_files() -> dict[str, Path]:
    """The suites that come with graphkit, by name."""
    return {path.stem: path for path in sorted(shipped("suites").glob("*.yaml"))}


def find(name: str | os.PathLike[str], kind: Literal["recipe", "suite"] = "recipe") -> Path:
    """The file of a recipe or suite, by its name or path."""
    text = os.fspath(name)
    if text.endswith((".yaml", ".yml")):
        path = Path(text)
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path
    files = recipe_files() if kind == "recipe" else suite_files()
    if text.lower() not in files:
        near = [name for name in files if text.lower() in name.split("/")]
        raise ValueError(unknown_name(text, near or list(files), kind))
    return files[text.lower()]


def read(path: Path) -> dict[str, Any]:
    """The content of a YAML file.

    Raises:
        ValueError: If there is no file, it is not YAML, not a mapping, or a mapping in it repeats a key.
    """
    import yaml

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader())
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected keys such as model, task and trainer, got {type(content).__name__}")
    return content


@cache
def _loader() -> Any:
    """YAML's safe loader, which does not let the last of repeated keys win."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # in C where it was built
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [(key.tag, key.value) for key, _ in node.value]
            for i, key in enumerate(keys):
                if key in keys[:i]:
                    line = node.value[i][0].start_mark.line + 1
                    raise yaml.constructor.ConstructorError(problem=f"line {line}: the key {key[1]!r} is repeated")
            return super().construct_mapping(node, deep)

    return Loader


def is_shipped(path: Path | None) -> bool:
    """Whether a recipe or suite is one of graphkit's own."""
    own = [shipped(kind).resolve() for kind in ("recipes", "suites")]
    return path is not None and any(map(path.resolve().is_relative_to, own))


def results_folder(own: bool) -> Path:
    """``benchmarks/results`` of a checkout for graphkit's own recipes, else ``results`` of the current folder."""
    root = checkout()
    return root / "benchmarks" / "results" if root is not None and own else Path("results")
