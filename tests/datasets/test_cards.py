from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch_geometric.datasets

import graphkit as gk
from graphkit import doctor
from graphkit.cli import main
from graphkit.core.files import sha256
from graphkit.datasets import cards, catalog
from graphkit.datasets.catalog import read_card
from graphkit.datasets.generators import GENERATORS
from graphkit.datasets.loaders import LOADERS
from graphkit.datasets.splits import READERS
from graphkit.metrics import find as find_metric
from graphkit.tasks.targets import registry as targets
from tests.datasets.conftest import Toy

NAMES = sorted(cards())


def test_there_are_cards() -> None:
    assert {"cora", "texas", "minesweeper", "zinc-rebuilt", "brec", "ring-transfer"} <= set(NAMES)
    assert not any("zinc-12k" in name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_card_names_what_exists(name: str) -> None:
    card = catalog.card(name)
    function = GENERATORS[card.generator] if card.generator else LOADERS[card.loader]
    parameters = dict(inspect.signature(function).parameters)
    if card.loader == "pyg":
        parameters |= inspect.signature(getattr(torch_geometric.datasets, card.arguments["dataset"])).parameters
    assert set(card.arguments) <= set(parameters), "arguments that the function does not take"
    required = {p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    assert required <= set(card.arguments), "arguments that the function needs"
    for family in card.splits:
        of_links = READERS[family.reader].__annotations__["return"] == "LinkSplit"
        assert of_links == (card.kind == "link")
        assert family.count >= 0
        assert card.target in find_metric(family.metric or card.metric).targets
        assert not family.fractions or sum(family.fractions) == pytest.approx(1)
        assert bool(family.fractions) == (family.reader in ("fractions", "random_links", "by_time"))
        assert (len(family.per_class) == 2) == (family.reader == "per_class")
        if family.sizes and not isinstance(family.sizes[0], int):
            assert len(family.sizes) == family.count
    if card.kind != "list":
        assert card.target in targets.classes()
        assert (card.target == "link") == (card.kind in ("link", "event"))
        assert card.target in find_metric(card.metric).targets
    for file in card.all_files:
        assert all(url.startswith(("https://", "http://snap.stanford.edu/")) for url in file.urls)
        by_hand = "places it by hand" in card.description
        assert file.sha256 or file.urls or by_hand, "neither known nor obtainable"


@pytest.mark.slow
def test_the_mirror_holds_what_the_cards_say(mirror: Path) -> None:
    checked = 0
    for card in cards().values():
        for file in card.all_files:
            path = mirror / file.path
            if file.sha256:
                assert path.stat().st_size == file.bytes, file.path
                assert sha256(path) == file.sha256, file.path
                checked += 1
    assert checked > 300


def test_names_are_forgiving_and_typos_get_a_hint() -> None:
    assert catalog.card("PTC_MR").name == "ptc-mr"
    assert catalog.card("Amazon Photo").name == "amazon-photo"
    with pytest.raises(ValueError, match=r"unknown dataset 'coraa'; did you mean 'cora'\? choose from: "):
        catalog.card("coraa")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "A toy"', "", r"toy\.toml: the key 'title' is missing"),
        ('title = "A toy"', 'title = "A toy"\ntitel = "x"', r"toy\.toml: unknown key 'titel'; did you mean 'title'\?"),
        ('kind = "node"', 'kind = "nodes"', r"toy\.toml: unknown kind 'nodes'; did you mean 'node'\?"),
        ('title = "A toy"', "title = 3", r"toy\.toml: 'title' must be a str, got 3"),
        ("count = 2", 'count = "2"', r"toy\.toml, splits\[0\]: 'count' must be a int, got '2'"),
        ('reader = "stored"', "", r"toy\.toml, splits\[0\]: the key 'reader' is missing"),
        ("toys/toy.npz", "../toy.npz", r"toy\.toml: file path '\.\./toy\.npz' must be relative and without '\.\.'"),
        ('metric = "accuracy"', "", r"toy\.toml: the key 'metric' is missing \(kind 'node' needs it\)"),
        ('kind = "node"', 'kind = "link"', r"toy\.toml: target is 'multiclass', but kind is 'link'; 'link' needs both"),
        ('title = "A toy"', 'of = "tuy"', r"toy\.toml: of = 'tuy', but there is no card .*tuy\.toml"),
        ('name = "toy"', 'name = "toi"', r"toy\.toml: name is 'toi', but the file is called toy\.toml"),
        ('loader = "heterophilous_npz"', "", r"toy\.toml: give either 'loader' or 'generator'"),
        ("nodes = 8", "notes = 8", r"toy\.toml: expect\.notes = 8; allowed are"),
        ('title = "A toy"', "title = ", r"toy\.toml: not valid TOML"),
    ],
)
def test_a_wrong_card_is_refused(toy: Toy, old: str, new: str, message: str) -> None:
    path = toy.cards / "toy.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_card(path)


def test_a_digest_must_look_like_one(toy: Toy) -> None:
    path = toy.cards / "toy.toml"
    path.write_text(path.read_text().replace(toy.digest, "abc"))
    with pytest.raises(ValueError, match=r"sha256 of toys/toy\.npz is 'abc', expected 64 hexadecimal digits"):
        read_card(path)
    path.write_text(path.read_text().replace('sha256 = "abc"', 'sha256 = ""'))
    with pytest.raises(ValueError, match="needs both sha256 and bytes, or neither"):
        read_card(path)


@pytest.mark.parametrize(
    "content",
    [
        "name = ",
        "[[splits]]\nname = 3",
        "files = [1]",
        "splits = 3",
        "of = 3",
        'of = "../toy"',
        "\0",
        'arguments = "a"',
    ],
)
def test_a_broken_card_breaks_no_other_dataset(toy: Toy, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (toy.cards / "bad.toml").write_text(content)
    catalog._read_all.cache_clear()
    assert gk.load("toy").num_features == 3
    with pytest.warns(UserWarning, match=r"bad\.toml.*this dataset cannot be loaded"):
        assert set(cards()) == {"toy"}
    assert main(["list", "tasks"]) == 0
    printed = capsys.readouterr()
    assert "A toy" in printed.out
    assert "bad.toml" in printed.err
    with pytest.raises(ValueError, match=r"dataset card .*bad\.toml"):
        gk.load("bad")
    assert any("bad.toml" in problem for problem in doctor.report()["problems"])


@pytest.mark.parametrize("path", ["/etc/passwd", "a/../../b", "..", "", ".", "C:\\\\b", "..\\\\b", "a\\u0000b"])
def test_the_path_of_a_file_does_not_leave_the_data_root(toy: Toy, path: str) -> None:
    card = toy.cards / "toy.toml"
    card.write_text(card.read_text().replace("toys/toy.npz", path))
    with pytest.raises(ValueError, match="must be relative and without"):
        read_card(card)
