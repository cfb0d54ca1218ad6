"""Recipes that compare variants, or sweep over points: what changes, what is trained once, how it is kept."""

from __future__ import annotations

import json
import re
import statistics

import pytest
import yaml

import graphkit as gk
from graphkit.cli import main
from graphkit.recipes import Experiment, Recipe
from tests.recipes.small import POINTS, SETS, VARIANTS, cells, changed, comparison

pytestmark = pytest.mark.usefixtures("own_folder")


def test_variants_change_what_they_name_and_nothing_else():
    compared = Recipe("mine", comparison())
    narrow, wide = compared.variants.values()
    assert narrow.experiment.config["model"]["init_args"]["hidden_channels"] == 2
    assert wide.experiment.config["model"]["init_args"]["hidden_channels"] == 16
    assert narrow.experiment.config["model"]["init_args"]["readout"] == "max"
    assert narrow.experiment.config["trainer"] == wide.experiment.config["trainer"]
    assert (narrow.published, wide.published.value) == (None, 50.0)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (["sum"], "Recipe: variants=['sum'], must be a mapping or None"),
        ({"a": {"modell": "GCN"}}, "variants.a: unknown key 'modell'; did you mean 'model'?"),
        ({"a": {"model": {"init_args": {"readot": "sum"}}}}, "variants.a: unknown argument 'model.readot'"),
        ({"a": {"seeds": 3}}, "variants.a: 'seeds' is shared by all variants"),
        ({"a": {}, "b": {"against": "c"}}, "variants.b: against: 'c' is no other variant"),
    ],
)
def test_a_wrong_variant_is_named(variants, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(comparison(variants=variants)))
    with pytest.raises(ValueError, match=re.escape(message)):
        gk.recipes.load(path)


def test_a_comparison_is_trained_once_scored_twice_and_kept(tmp_path, capsys, trainings):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(comparison()))
    assert main(["reproduce", "mine.yaml", "--output", "out.json"]) == 0
    assert trainings == [0, 1, 0, 1]
    printed = capsys.readouterr().out
    header, narrow, wide = printed.splitlines()[1:4]
    assert re.split("  +", header.strip()) == [
        "variant",
        "in-distribution ± std",
        "extrapolation ± std",
        "n",
        "published",
        "verdict",
    ]
    assert narrow.split()[0] == "narrow"
    assert "  50  " in wide
    assert (tmp_path / "out.png").stat().st_size > 1000
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["command"] == "graphkit reproduce mine.yaml --seeds 2"
    assert list(cells(tmp_path / "out.json")) == [("", "narrow"), ("", "wide")]
    for part in cells(tmp_path / "out.json").values():
        assert part["n"] == 2
        scores = [run["also_test"]["extrapolation"] for run in part["runs"]]
        assert part["also_test"]["extrapolation"]["mean"] == pytest.approx(statistics.fmean(scores), abs=1e-4)
    assert main(["reproduce", "mine.yaml", "--seeds", "3"]) == 0
    assert trainings[4:] == [2, 2]


def test_a_variant_is_compared_run_by_run():
    variants = VARIANTS | {"wide": VARIANTS["wide"] | {"against": "narrow"}}
    result = Recipe("mine", comparison(variants=variants)).run(progress=False)
    narrow, wide = ([run["test"] for run in result.variants[name].runs] for name in variants)
    gains = [after - before for before, after in zip(narrow, wide, strict=True)]
    change = result.differences()["wide"]
    assert change.mean == pytest.approx(statistics.fmean(gains), abs=1e-4)
    assert change.standard_error == pytest.approx(statistics.stdev(gains) / 2**0.5, abs=1e-4)
    header, first, second = result.rows()
    assert (header[-1], first[-1], second[-1]) == ("difference [95 % interval]", "—", str(change))
    assert result.content()["cells"][1]["paired_difference"]["against"] == "narrow"


def test_a_further_split_is_scored_as_training_on_it_would_be():
    own = Recipe("mine", {key: value for key, value in comparison().items() if key != "variants"})
    (first, _) = own.run(progress=False).cell.runs
    far = Recipe("far", {"model": own.cell.experiment.config["model"], "task": SETS | {"split": "extrapolation"},
                         "trainer": {"max_epochs": 2}})  # fmt: skip
    (run,) = far.run(progress=False).cell.runs
    assert run["val"] == first["val"]  # the training and validation parts are the same
    assert run["test"] == pytest.approx(first["also_test"]["extrapolation"], abs=1e-4)


def test_logarithms_of_errors():
    task = {"name": "gnp-sets", "num_train": 40, "num_val": 10, "num_test": 10, "num_extrapolation": 10}
    config = comparison(task=task, unit="log10", seeds=1) | {"variants": None}
    recipe = Recipe("mine", config)
    (run,) = recipe.run(progress=False).cell.runs
    plain = recipe.cell.experiment.run(seed=0, progress=False)
    assert 10 ** run["test"] == pytest.approx(plain.test, rel=1e-4)
    with pytest.raises(ValueError, match="unit: 'log10' does not fit accuracy"):
        Recipe("mine", changed(unit="log10"))


def test_scores_in_the_units_of_tables():
    recipe = Recipe("mine", changed(task={"name": "minesweeper", "rows": 12, "columns": 12}, seeds=1))
    (run,) = recipe.run(progress=False).cell.runs
    assert run["test"] == pytest.approx(100 * recipe.cell.experiment.run(progress=False, seed=0).test, abs=1e-5)


# Sweeps


def test_points_change_what_they_name_and_variants_come_last():
    variants = VARIANTS | {"shallow": {"model": {"init_args": {"num_layers": 1}}}}
    swept = Recipe("mine", comparison(variants=variants, points=POINTS))
    small, large = swept.points.values()
    assert small["wide"].experiment.config["task"]["num_train"] == 32
    assert large["wide"].experiment.config["task"]["num_train"] == 64
    depths = {name: part.experiment.config["model"]["init_args"]["num_layers"] for name, part in large.items()}
    assert depths == {"narrow": 3, "wide": 3, "shallow": 1}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"points": [10]}, "Recipe: points=[10], must be a mapping or None"),
        ({"points": {"a": {"seeds": 3}}}, "points.a: 'seeds' is shared by all points"),
        ({"points": {"a": {"modell": "GCN"}}}, "points.a: variants.narrow: unknown key 'modell'"),
        ({"points": POINTS, "variants": None}, "points: there is nothing to compare without variants"),
    ],
)
def test_a_wrong_point_is_named(parts, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(comparison(**parts)))
    with pytest.raises(ValueError, match=re.escape(message)):
        gk.recipes.load(path)


def test_a_sweep_has_a_column_per_point_and_is_kept(tmp_path, capsys, trainings):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(comparison(points=POINTS, also_test=None), sort_keys=False))
    assert main(["reproduce", "mine.yaml", "--output", "out.json"]) == 0
    assert trainings == [0, 1] * 4
    header, narrow, wide = capsys.readouterr().out.splitlines()[1:4]
    assert re.split("  +", header.strip()) == ["variant", "small ± std", "large ± std"]
    assert (narrow.split()[0], wide.split()[0]) == ("narrow", "wide")
    assert (tmp_path / "out.png").stat().st_size > 1000
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["command"] == "graphkit reproduce mine.yaml --seeds 2"
    for point in ("small", "large"):
        for name in ("narrow", "wide"):
            part = cells(tmp_path / "out.json")[point, name]
            assert part["mean"] == pytest.approx(statistics.fmean(run["test"] for run in part["runs"]), abs=1e-4)
    assert main(["reproduce", "mine.yaml"]) == 0
    assert len(trainings) == 8, "nothing is trained twice"


def test_infinity_is_a_value(tmp_path):
    config = {"model": {"class_path": "DRew", "init_args": {"nu": float("inf")}}, "task": "ring-transfer"}
    experiment = Experiment.from_config(config)
    assert experiment.config["model"]["init_args"]["nu"] == float("inf")
    assert Experiment.from_config(config, ["--model.nu", "2"]).config["model"]["init_args"]["nu"] == 2


# Old names and files
