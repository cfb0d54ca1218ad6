"""What the benchmarks' runner says of its rows."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.speed import common
from benchmarks.speed.__main__ import registered


def test_every_committed_ratio_has_its_benchmark() -> None:
    names = {path.stem for path in common.RESULTS.glob("*.json")}
    assert names <= registered().keys()


def test_a_library_is_timed_beside_plain_code() -> None:
    before = torch.get_num_threads()
    try:
        for against, library in (("plain code", ("scipy.f", lambda: None)), ("scipy.f", None), ("plain code", None)):

            def make(against: str = against, library: Any = library) -> common.Benchmark:
                """A row."""
                return common.Benchmark(lambda: None, lambda: None, against, rounds=2, beside=library)

            row = common.measure(common.Entry("name", None, None, make))
            assert row.get("library") == ("scipy.f" if against == "scipy.f" or library else None)
            assert ("library_ratio" in row) == ("library" in row)
    finally:
        torch.set_num_threads(before)


def test_means_are_geometric_and_by_family() -> None:
    registered()
    rows = [{"name": "spmm", "ratio": 2.0}, {"name": "sddmm", "ratio": 8.0, "library_ratio": 3.0}]
    rows += [{"name": "ncn", "ratio": 1.0}]
    ops, ncn, total = (line.split() for line in common.family_means(rows))
    assert ops == ["ops", "4.0x", "(2)", "3.0x", "(1)"]
    assert ncn == ["ncn", "1.0x", "(1)", "-"]
    assert math.isclose(float(total[1][:-1]), 16 ** (1 / 3), abs_tol=0.05)


@pytest.mark.parametrize(
    ("processor", "ratio", "said"),
    [("this", 9.0, None), ("this", 8.0, "SLOWER, 8.00x instead of 10.00x"), ("that", 1.0, "not comparable")],
)
def test_what_got_slower_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: str, ratio: float, said: str | None
) -> None:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "_processor", lambda: "this")
    (tmp_path / "row.json").write_text(json.dumps({"processor": processor, "ratio": 10.0}))
    found = common.slower_than_committed({"name": "row", "ratio": ratio})
    assert found is None if said is None else found is not None and said in found
    assert common.slower_than_committed({"name": "other", "ratio": 1.0}) == "other: nothing is committed"
