"""The checker of the built pages can fail, and the tables of methods pick up what is there."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import graphkit as gk

ROOT = Path(__file__).parents[1]
HEAD = '<meta name="viewport" content="width=device-width">'


def module(folder: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sphinx_gallery")  # a part of the extra `docs`
    monkeypatch.syspath_prepend(str(ROOT / folder))
    return importlib.import_module(name)


@pytest.fixture
def check_docs(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = module("scripts", "check_docs", monkeypatch)
    monkeypatch.setattr(found, "check_search_index", lambda site: [])
    monkeypatch.setattr(found, "check_readme", list)
    return found


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> Any:
    return module("docs/_ext", "methods", monkeypatch)


@pytest.mark.parametrize(
    ("row", "rooms"),
    [
        ("models", [gk.models]),
        ("learned aggregations", [gk.nn.aggr]),
        ("strategies", [gk.strategies]),
        ("rewirings, features", [gk.rewiring, gk.features]),
        ("samplers", [gk.samplers]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_readme_names_every_class(row: str, rooms: list[ModuleType]) -> None:
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {row} |")]
    named = [name for name in line.split("`")[1::2] if name.isidentifier() and name[0].isupper()]
    classes = [cls for room in rooms for cls in room.registry.classes().values()]
    assert sorted(named) == sorted(cls.__name__ for cls in classes if cls.__module__.startswith("graphkit."))


def test_a_good_page_passes(check_docs: Any, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        f'{HEAD}<h1 id="top">A</h1><a href="a.html#top">x</a><a href="https://a.b/c">y</a>'
    )
    assert list(check_docs.check_files(tmp_path)) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<a href="b.html">x</a>', "a.html: b.html does not exist"),
        ('<img src="b.png">', "a.html: b.png does not exist"),
        ('<a href="#b">x</a>', "a.html: #b names an anchor that does not exist"),
        ('<div style="width: 500px">x</div>', "a.html: <div> of 500 pixels, beyond a phone's width"),
        ('<script src="https://a.b/c.js"></script>', "a.html: loads https://a.b/c.js from another host"),
        ('<link rel="stylesheet" href="//a.b/c.css">', "a.html: loads //a.b/c.css from another host"),
    ],
)
def test_a_bad_page_does_not(check_docs: Any, tmp_path: Path, body: str, complaint: str) -> None:
    (tmp_path / "a.html").write_text(HEAD + body)
    assert list(check_docs.check_files(tmp_path)) == [complaint]


def test_wide_tables_may_scroll(check_docs: Any, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text(f'{HEAD}<div class="table-wrapper"><table style="width: 900px"></table></div>')
    assert list(check_docs.check_files(tmp_path)) == []
    page.write_text("<p>x</p>")
    assert list(check_docs.check_files(tmp_path)) == ["a.html: no viewport for small screens"]


def test_pages_are_small(check_docs: Any, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(HEAD + "x" * 1_000_001)
    assert list(check_docs.check_files(tmp_path)) == ["a.html: 1.0 MB, must be at most 1"]


def test_the_reference_is_divided_by_family(monkeypatch: pytest.MonkeyPatch) -> None:
    families = module("docs/_ext", "families", monkeypatch)
    for room in (gk.models, gk.nn):
        pages = (ROOT / "docs" / "api" / room.__name__.rpartition(".")[2]).glob("*.rst")
        found = re.findall(
            rf"^\.\. family:: {room.__name__} ((?:.*\n)(?: {{3}}.*\n)*)", "".join(map(Path.read_text, pages)), re.M
        )
        divided = [families.members(room.__name__, modules.split()) for modules in found]
        names = [name for one in divided for name in one]
        assert sorted(names) == sorted(families.exported(room)), "each is on one page"
    assert families.contents("a", "bcdef")[1].startswith("**On this page:** :py:obj:`~a.b`, ")
    assert families.contents("a", "bc") == []


def test_the_readme_must_say_the_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_docs = module("scripts", "check_docs", monkeypatch)
    monkeypatch.setattr(check_docs, "RESULTS", tmp_path)
    monkeypatch.setattr(check_docs, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("It says 3 of 4 confirmed values are equivalent or consistent.")
    assert list(check_docs.check_readme()) == ["README.md: it should say: Nothing published to compare with."]
    (tmp_path / "README.md").write_text("Nothing published to compare with.")
    assert not list(check_docs.check_readme())


def test_public_names_must_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_docs = module("scripts", "check_docs", monkeypatch)
    index = {"objects": {"graphkit.models": [[0, 0, 1, "", "GCN"]]}}
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    complaints = list(check_docs.check_search_index(tmp_path))
    assert "searchindex.js: graphkit.models.GRAND cannot be found" in complaints
    assert not any(".GCN " in complaint for complaint in complaints)


def test_every_adapter_says_whose_files_it_checks(methods: Any) -> None:
    adapters = [adapter for _, _, adapter in methods.golden_folders()]
    for adapter in adapters:
        assert hasattr(adapter, "METHODS"), f"{adapter.__file__}: add METHODS, the names of the classes that it checks"
        oracle = getattr(adapter, "ORACLE", None)
        assert oracle in ("authors' code", "independent computation"), f"{adapter.__file__}: ORACLE is {oracle!r}"
    found = methods.methods()
    for adapter in adapters:
        assert set(adapter.METHODS) <= set(found), f"{adapter.__file__}: METHODS names what is no method"
    assert {entry.of for entry in methods.registered().values()} - {None} <= set(found)


def test_methods_have_what_is_known_of_them(methods: Any) -> None:
    found = methods.methods()
    assert "MLP" not in found, "no paper, no method"
    gcn = found["GCN"]
    assert ("gcn/cora", "equivalent") in [(entry.recipe, entry.cell.verdict.word) for entry in gcn.recipes]
    assert {"gcn_layer", "gcn_cora_epochs"} <= {row["name"] for row in gcn.speed}
    assert "forward/cora-ml-sf-2" not in [entry.recipe for entry in gcn.recipes], (
        "a strategy's number is not its model's"
    )
    assert [folder for folder, _, _ in found["FoSR"].golden] == ["rewiring-peers"]
    nothing = methods.Method(gcn.cls, gcn.room)
    cells = [nothing.golden_cell(), nothing.recipes_cell(), nothing.speed_cell(), nothing.gallery_cell()]
    assert cells == ["not yet"] * 4


def test_a_method_has_its_picture_its_table_and_the_rest_behind_a_click(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results = module("docs/_ext", "results", monkeypatch)
    monkeypatch.setattr(results, "PICTURES", tmp_path)
    (gcn,) = results.report().only("gcn/cora").methods()
    page = "\n".join(results.sections([gcn]))
    assert "gcn\n~~~\n" in page
    assert ".. image:: /auto_gallery/results/gcn-0.png" in page
    assert [path.name for path in tmp_path.iterdir()] == ["gcn-0.png"]
    assert page.index('<a href="recipes/gcn/cora.yaml">cora</a>') < page.index("<details>")
    assert page.index("<details>") < page.index("Kipf and Welling")


def test_the_gallery_leads_to_classes(methods: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = sys.modules["gallery"]
    ways = [
        {"module": "graphkit.models.convolution.gcn", "name": "GCN"},
        {"module": "graphkit.models", "name": "LayerStack"},
        {"module": "torch.nn", "name": "Module"},
    ]
    assert [target.__name__ for target in gallery.own(ways)] == ["GCN"], "not the classes that it derives from"
