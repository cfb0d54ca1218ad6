"""What is kept in benchmarks/results is what the recipes of today and the rule of verdicts say."""

from __future__ import annotations

import json

import pytest

from graphkit.cli import main
from graphkit.core.figures import OF_RESULTS
from graphkit.recipes import RecipeResult, load
from graphkit.recipes.files import recipe_files, results_folder
from graphkit.recipes.rejudging import OTHER

FILES = {name: path for name in recipe_files() if (path := results_folder(True) / f"{name}.json").is_file()}


def test_a_result_is_drawn_by_kind_and_on_the_command_line(tmp_path, capsys):
    name = next(name for name, path in FILES.items() if len(RecipeResult.load(path).cells) > 2)
    result = RecipeResult.load(FILES[name])
    axes = result.plot("costs").axes[0]
    assert [spot.get_xdata()[0] for spot in axes.lines[1:]] == [cell.seconds / cell.n for cell in result.cells.values()]
    (tmp_path / "found.json").write_bytes(FILES[name].read_bytes())
    for kind in OF_RESULTS:
        assert main(["plot", str(tmp_path / "found.json"), "--kind", kind]) == 0
        assert capsys.readouterr().out == f"{tmp_path / f'found-{kind}.png'}\n"
        assert (tmp_path / f"found-{kind}.png").exists()
    assert main(["plot", str(tmp_path / "found.json"), "--kind", "curves"]) == 2
    assert "RecipeResult.plot: unknown kind of picture 'curves'" in capsys.readouterr().err


@pytest.mark.parametrize("name", FILES)
def test_results_follow_recipes_and_the_rule(name):
    recipe, result = load(name), RecipeResult.load(FILES[name])
    remedy = f"graphkit reproduce {name} --judge"
    for key, cell in result.cells.items():
        assert key in recipe.cells, f"the recipe has no cell {key} any more; run it again"
        today = recipe.cells[key]
        assert (cell.published, cell.margin) == (today.published, today.margin), remedy
        other = cell.config_hash != today.experiment.hash and today.published is not None
        assert cell.not_comparable == (OTHER if other else today.not_comparable), remedy
    written = json.loads(FILES[name].read_text())["cells"]
    assert [cell["verdict"] for cell in written] == [cell.verdict.content() for cell in result.cells.values()], remedy
