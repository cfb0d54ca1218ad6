"""The table of published values: complete, with sources that say what it says, and in step with the recipes."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from functools import cache

from graphkit.core.resources import shipped
from graphkit.expressivity.published import CONFIRMED, NOT_CONFIRMED
from graphkit.recipes import load
from graphkit.recipes.files import recipe_files


@cache
def rows() -> list[dict[str, str]]:
    with (shipped("recipes") / "published.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def recipes():
    return {name: load(path) for name, path in recipe_files().items() if "published:" in path.read_text()}


def described(row):
    return " ".join(filter(None, [row["method"], row["dataset"], row["variant"], row["metric"]]))


def prints(digits, number):
    """Whether a source's words hold a number, as a share or in percent, rounded to the places that are given."""
    place = Decimal(1).scaleb(Decimal(number).as_tuple().exponent)
    seen = [Decimal(word) for word in re.findall(r"\d*\.?\d+", digits)]
    return any(abs(scale * word - Decimal(number)) <= place / 2 for word in seen for scale in (1, 100))


def test_whether_a_source_prints_a_number():
    assert prints("0.73000±0.0520 (SP, K=1)", "73.0")
    assert prints("0.73000±0.0520", "5.2")
    assert not prints("25.06±0.50", "25.07")
    assert not prints("", "1")


def test_confirmed_values_have_a_source_that_prints_them_and_others_have_none():
    for row in rows():
        told = [bool(row[key]) for key in ("source", "digits")]
        assert told == [row["confirmed"] == "true"] * 2, described(row)
        assert row["confirmed"] in ("true", "false"), described(row)
        if row["digits"] and row["dataset"] != "BREC":  # counts by category
            assert prints(row["digits"], row["value"]), described(row)
            assert not row["spread"] or prints(row["digits"], row["spread"]), described(row)


def test_recipes_and_the_table_are_in_step():
    table = {}
    for row in rows():
        place = (row["recipe"], row["recipe_point"], row["recipe_variant"])
        assert not row["recipe"] or place not in table, f"{place} has two rows"
        table[place] = row
    del table["", "", ""]
    cells = {(name, *key): cell.published for name, recipe in recipes().items() for key, cell in recipe.cells.items()}
    assert table.keys() == {place for place, published in cells.items() if published is not None}
    for place, row in table.items():
        told = {
            "value": float(row["value"]),
            "spread": float(row["spread"]) if row["spread"] else None,
            "spread_kind": row["spread_kind"] or "unknown",
            "n": int(row["n"]) if row["n"] else None,
            "confirmed": row["confirmed"] == "true",
            "source": row["source"],
            "url": row["url"],
        }
        assert {key: getattr(cells[place], key) for key in told} == told, place


def test_brec_counts_are_confirmed_as_the_table_says():
    brec = {row["variant"]: row for row in rows() if row["method"] == "expressivity"}
    assert brec.keys() == CONFIRMED.keys()
    assert not brec.keys() & NOT_CONFIRMED.keys()
    for name, counts in CONFIRMED.items():
        assert brec[name]["digits"] == "/".join(map(str, counts))
        assert brec[name]["value"] == str(sum(counts))
