from __future__ import annotations

import functools
import re
import subprocess
import sys
import textwrap
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import graphkit
from graphkit.core.resources import shipped

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TEXTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.rst"), *ROOT.glob("graphkit/**/*.py")])


def test_version_is_that_of_the_distribution() -> None:
    assert metadata.version("graphkit-pyg") == graphkit.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {graphkit.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{graphkit.__version__}]" in changelog or "## [Unreleased]" in changelog


def test_cards_and_recipes_are_found() -> None:
    cards = {path.stem for path in shipped("datasets").glob("*.toml")}
    assert {"karate", "minesweeper", "cora"} <= cards
    assert (shipped("recipes") / "gcn" / "cora.yaml").is_file()


def test_the_wheel_takes_them_along() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    for kind, folder in (("datasets", "datasets"), ("recipes", "benchmarks/recipes")):
        assert folder in wheel["only-include"]
        assert wheel["sources"][folder] == f"graphkit/_shipped/{kind}"


def test_constraints_pin_every_dependency_to_a_version_that_it_allows() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins = {}
    for line in lines:
        name, equals, version = line.partition("==")
        assert equals, line
        assert re.fullmatch(r"[\w.]+", version), f"{line}: no local versions, no paths"
        pins[canonicalize_name(name)] = version
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    for requirement in map(Requirement, wanted):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_compromised_releases_are_excluded() -> None:
    (line,) = [line for line in PROJECT["project"]["dependencies"] if line.startswith("lightning-fabric")]
    assert "!=2.6.2" in line
    assert "!=2.6.3" in line


def test_torch_scatter_is_imported_in_one_place() -> None:
    places = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "graphkit").rglob("*.py"))
        if re.search(r"^\s*(import|from) torch_scatter", path.read_text(), re.MULTILINE)
    ]
    assert places == ["graphkit/ops/backend.py"]


def test_nobody_is_told_to_install_the_unrelated_graphkit() -> None:
    command = re.compile(r"pip install (-\S+ )*graphkit(?!-pyg)\b")
    assert command.search("pip install -U graphkit")
    assert not command.search("pip install graphkit-pyg")
    assert [path for path in TEXTS if command.search(path.read_text())] == []


HEAVY = (
    "torchmetrics", "lightning_fabric", "matplotlib", "jsonargparse", "joblib", "scipy", "numba", "networkx", "ogb",
    "sklearn", "pandas", "tensorboard", "torch_scatter", "yaml", "optuna",
)  # fmt: skip


@functools.cache
def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "more", ["", "; graphkit.models.GCN; graphkit.rewiring; graphkit.features; graphkit.Trainer; graphkit.load"]
)
def test_import_brings_no_heavy_module(more: str) -> None:
    added = modules_after(f"import graphkit{more}") - modules_after("import torch_geometric")
    assert added, "nothing was imported"
    assert sorted(added & set(HEAVY)) == []


def test_the_readme_has_the_example_of_the_first_page() -> None:
    """Which tests/test_guide.py runs."""
    readme, page = (ROOT / "README.md").read_text(), (ROOT / "docs" / "index.rst").read_text()
    for text in re.findall(r"```(?:python)?\n(.*?)```", readme, re.DOTALL)[:2]:
        assert textwrap.indent(text, "   ", lambda line: line.strip() != "") in page
        assert len(text.splitlines()) <= 12


def test_make_is_what_the_readme_says() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):.*##", makefile, re.MULTILINE))
    named = set(re.findall(r"make ([a-z]+)\b", readme))
    assert {"demo", "test"} <= named <= targets
    gate = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^make test$", gate, re.MULTILINE), "the gate calls exactly what the README says"


def test_the_demo_leaves_a_table_a_picture_and_run_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from graphkit import demo

    gcn, mlp = demo.run(tmp_path, max_epochs=12)
    assert gcn.test > mlp.test + 0.1, "a graph network must beat a graph-free one here"
    printed = capsys.readouterr().out
    assert f"{100 * gcn.test:.2f} %" in printed
    assert f"{mlp.num_parameters:,}" in printed
    assert {path.name for path in tmp_path.iterdir()} == {"curves.png", "gcn", "mlp"}
    assert (tmp_path / "gcn" / "result.json").is_file()
