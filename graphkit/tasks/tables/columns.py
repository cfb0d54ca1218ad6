"""Columns of a table as numbers: what is learned from one table, and done alike to the next."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch_geometric.data import Data

from graphkit.tasks.tables.sources import check_columns

Impute = Literal["mean", "median", "most_frequent"]
_FEW = 10  # so many different numbers as texts are codes of categories, such as ratings
_TEXTS = 100  # so many different values and more, in most rows, are no categories
_REMEDY = "fill them, or let them be filled: impute='mean'"
_ROUNDING = 1e-12  # differences of this relative size are rounding errors


@dataclass(frozen=True)
class Column:
    """One column: a number per row, or one column of 0 and 1 per category.

    Attributes:
        name: The column's name in the table.
        categories: What may stand there; ``None`` for numbers.
        fill: What stands in place of a missing value; ``None`` refuses those.
        mean: What is taken off each number.
        scale: What each number is divided by then.
        truth: Whether the numbers are truth values.
    """

    name: str
    categories: Sequence[Any] | None = None
    fill: Any = None
    mean: float = 0.0
    scale: float = 1.0
    truth: bool = False

    @property
    def width(self) -> int:
        """How many columns of numbers it makes."""
        return 1 if self.categories is None else len(self.categories)

    @classmethod
    def learned(
        cls, table: Any, name: str, categorical: bool, impute: Impute | None, where: str, standardize: bool = False
    ) -> Column:
        """What a column of a table holds.

        Raises:
            TypeError: If it holds neither numbers nor categories.
            ValueError: If all of it is missing, or texts are rather names than categories.
        """
        import pandas as pd

        known = numbers_from_decimals(table[name].dropna()).infer_objects()
        place = f"{where}: column {name!r}"
        if known.empty:
            raise ValueError(f"{place} has no value at all; leave it out")
        if not categorical and not is_text(known):
            kinds = pd.api.types
            if not kinds.is_numeric_dtype(known.dtype) or kinds.is_complex_dtype(
                known.dtype
            ):  # truth values are numbers
                raise TypeError(
                    f"{place} is of {known.dtype}, which is neither numbers nor categories; make numbers of it, leave "
                    "it out, or name it in categorical=[...]"
                )
            fill = None if impute is None else float(_usual(known, impute))
            values = known.to_numpy(dtype=float)
            if pd.api.types.is_bool_dtype(known.dtype):
                return cls(name, None, fill, truth=True)
            if not standardize:
                warn_if_coarse(values, place, "standardize=True")
                return cls(name, None, fill)
            mean, deviation = float(values.mean()), float(values.std())
            return cls(name, None, fill, mean, deviation if deviation > _ROUNDING * abs(mean) else 1.0)
        categories = classes_of(known)
        if not categorical and len(categories) > _FEW and all(map(_is_number, categories)):
            raise ValueError(
                f"{place} holds numbers as texts, e.g. {categories[0]!r}; make numbers of them (pandas.to_numeric, "
                "pandas.read_csv(decimal=',')), or name it in categorical=[...]"
            )
        if not categorical and len(categories) > max(_TEXTS, known.size // 2):
            others = "name it as id=, in texts for gk.features.TextEmbedding, "
            kept = others if where == "nodes" else ""
            raise ValueError(
                f"{place} has {len(categories)} different texts in {known.size} rows; {kept}leave it out by "
                "features=[...], or name it in categorical=[...] to have a column for each"
            )
        return cls(name, categories, None if impute is None else plain(_usual(known, "most_frequent")))

    def numbers(self, table: Any, ids: Any, where: str, remedy: str = _REMEDY) -> np.ndarray:
        """The column of a table as ``[rows, width]``.

        Args:
            table: The table.
            ids: What its rows are called.
            where: What the table is called.
            remedy: What helps where values are missing (default: ``"fill them, or let them be filled:
                impute='mean'"``).

        Raises:
            ValueError: If a value is missing and there is nothing to put in its place, is not finite, or unknown.
        """
        check_columns(table, [self.name], where)
        series, place = table[self.name], f"{where}: column {self.name!r}"
        missing = series.isna().to_numpy()
        if missing.any() and self.fill is None:
            raise ValueError(
                f"{place} has {missing.sum()} missing values, e.g. of {ids[int(missing.argmax())]!r}; {remedy}"
            )
        odd = ~(missing | series.isin([0, 1]).to_numpy())
        if self.truth and odd.any():
            row = int(odd.argmax())
            raise ValueError(
                f"{place} of {ids[row]!r} is {plain(series.iloc[row])!r}, but was true or false in training"
            )
        series = series.astype(object).where(~missing, self.fill)
        if self.categories is None:
            return self._as_numbers(series, ids, place)
        code_of = {category: code for code, category in enumerate(self.categories)}
        codes = np.array([code_of.get(plain(value), -1) for value in series], dtype=np.int64)
        if (codes < 0).any():
            row = int((codes < 0).argmax())
            raise ValueError(
                f"{place} of {ids[row]!r} is {series.iloc[row]!r}, which training has not seen; put a known category "
                f"in its place ({_some(self.categories)})"
            )
        return np.eye(len(self.categories), dtype=np.float32)[codes]

    def _as_numbers(self, series: Any, ids: Any, place: str) -> np.ndarray:
        try:
            values = series.to_numpy().astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{place} holds no numbers, unlike the table that was trained on ({error})") from None
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values)).argmax())
            raise ValueError(f"{place} of {ids[row]!r} is {values[row]}, must be finite")
        return ((values - self.mean) / self.scale).astype(np.float32)[:, None]

    def config(self) -> dict[str, Any]:
        """The column as plain values."""
        return asdict(self) | {"categories": None if self.categories is None else list(self.categories)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Column:
        """The column that :meth:`config` describes."""
        categories = config["categories"]
        return cls(**{**config, "categories": None if categories is None else tuple(categories)})


def numbers_of(columns: Sequence[Column], table: Any, ids: Any, where: str) -> np.ndarray | None:
    """All columns side by side ``[rows, width]``; ``None`` without columns."""
    parts = [column.numbers(table, ids, where) for column in columns]
    return np.concatenate(parts, axis=1) if parts else None


def texts_of(table: Any, name: str, ids: Any) -> list[str]:
    """The texts in a column of the table of nodes, empty where they are missing.

    Raises:
        TypeError: If one is no text.
        ValueError: If there is no such column, or its name means something else in a graph.
    """
    check_columns(table, [name], "nodes")
    if not isinstance(name, str) or not name.isidentifier() or hasattr(Data(), name):
        raise ValueError(f"nodes: column {name!r} cannot be an attribute of a graph; rename it")
    missing = table[name].isna()
    odd = ~(missing | table[name].map(lambda cell: isinstance(cell, str)))
    if odd.any():
        row = int(odd.to_numpy().argmax())
        raise TypeError(f"nodes: column {name!r} of {ids[row]!r} is {table[name].iloc[row]!r}, must be a text")
    return table[name].astype(object).where(~missing, "").tolist()


def numbers_from_decimals(series: Any) -> Any:
    """The column, of exact decimal numbers as floats."""
    import pandas as pd

    return series.astype(float) if pd.api.types.infer_dtype(series, skipna=True) == "decimal" else series


def is_text(known: Any) -> bool:
    """Whether the known values of a column are texts or categories."""
    import pandas as pd

    return isinstance(known.dtype, pd.CategoricalDtype) or bool(pd.api.types.is_string_dtype(known))


def classes_of(known: Any) -> tuple[Any, ...]:
    """The different values of a column, sorted, as plain values."""
    return tuple(sorted({plain(value) for value in known.unique()}, key=lambda value: (str(type(value)), value)))


def _is_number(value: Any) -> bool:
    """Whether a text is written as a number, with a decimal point or comma."""
    try:
        float(value.replace(",", ".", 1))
    except (AttributeError, ValueError):
        return False
    return True


def _usual(known: Any, impute: Impute) -> Any:
    return known.mode().iloc[0] if impute == "most_frequent" else getattr(known.astype(float), impute)()


def warn_if_coarse(values: np.ndarray, place: str, remedy: str) -> None:
    """Warn of numbers that differ by so little of their size that single precision makes them equal.

    Args:
        values: The numbers; some may be missing.
        place: What the message begins with.
        remedy: What helps.
    """
    values = np.unique(values[np.isfinite(values)])
    if values.size < 2:
        return
    size, spread = np.abs(values).max(), values[-1] - values[0]
    is_coarse = _ROUNDING * size < spread < 1000 * np.spacing(np.float32(size))
    left = np.unique(values.astype(np.float32)).size if is_coarse else values.size
    if left < values.size:
        warnings.warn(
            f"{place} has {values.size} different numbers, of which single precision leaves {left}; {remedy}, or "
            "subtract what they have in common",
            stacklevel=6,
        )


def plain(value: Any) -> Any:
    """The value as JSON knows it."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)  # whole numbers are floats where some are missing
    return value if isinstance(value, bool | int | float | str) else str(value)


def _some(values: Sequence[Any]) -> str:
    shown = ", ".join(map(repr, values[:5]))
    return shown if len(values) <= 5 else f"{shown}, ... {len(values)} in all"
