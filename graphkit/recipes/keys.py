"""The keys of a recipe beside those of its experiments: which there are, and what may stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from graphkit.core.constraints import Interval, NonNegativeInt, Positive, Seed, checked, enforce_config, not_empty
from graphkit.core.validate import unknown_name
from graphkit.recipes.experiment import KEYS
from graphkit.recipes.statistics import MAX_RUNS


def _no_repetition(values: Sequence[Any]) -> str | None:
    return None if len(set(values)) == len(values) else "must not repeat one, which would count a run twice"


Runs = Annotated[int, Interval(1, MAX_RUNS, "both")]
Split = NonNegativeInt | str
Splits = Annotated[Sequence[Split], not_empty, _no_repetition]
Seeds = Runs | Annotated[Sequence[Seed], not_empty, _no_repetition]
Changes = Mapping[Any, Mapping[str, Any]]
TABLE_KEYS = ("seeds", "splits", "also_test", "unit")  # the same in all cells


@checked
@dataclass(frozen=True)
class Protocol:
    """What a recipe says beside its experiments; :class:`Recipe` tells of each key.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is out of range.
    """

    seeds: Seeds = 1
    splits: Runs | Splits | None = None
    also_test: Sequence[Split] | None = None
    unit: Literal["%", "", "log10"] | None = None
    published: Mapping[str, Any] | None = None
    margin: Positive | None = None
    not_comparable: str = ""
    note: str | None = None
    variants: Changes | None = None
    points: Changes | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Protocol:
        """Read a recipe, all of whose keys must be known.

        Raises:
            ValueError: Naming the key.
        """
        for key in config:
            if key == "tolerance":
                raise ValueError("tolerance: fewer runs passed more easily by it; a margin may narrow the metric's own")
            if key not in (*KEYS, *RECIPE_KEYS):
                raise ValueError(unknown_name(key, (*KEYS, *RECIPE_KEYS), "key"))
        given = {key: config[key] for key in RECIPE_KEYS if key in config}
        enforce_config(cls, given, "Recipe")
        return cls(**given)


RECIPE_KEYS = tuple(field.name for field in fields(Protocol))


def seeds_of(seeds: Seeds) -> list[int]:
    """The seeds that a number of them, or a list, stands for."""
    return [int(seed) for seed in (seeds if isinstance(seeds, Sequence) else range(seeds))]  # numpy's, too
