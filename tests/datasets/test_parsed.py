"""The cache of parsed data: used only when it is complete, whole and meant for the same card and options."""

from __future__ import annotations

import errno
import logging
import re
from pathlib import Path

import pytest
import torch

import graphkit.datasets as datasets
from graphkit.core.files import load_tensors, save_tensors
from graphkit.datasets import catalog, loading, parsed
from graphkit.datasets.parsed import Collated
from tests.datasets.conftest import Toy


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry per time that the toy's raw file is really parsed."""
    calls: list[str] = []
    loader = loading.LOADERS["heterophilous_npz"]

    def counted(raw: object, *, undirected: bool) -> Collated:
        calls.append("parsed")
        return loader(raw, undirected=undirected)

    monkeypatch.setitem(loading.LOADERS, "heterophilous_npz", counted)
    return calls


def test_the_second_load_parses_nothing(toy: Toy, parses: list[str]) -> None:
    first, second = datasets.load("toy"), datasets.load("toy")
    assert parses == ["parsed"]
    assert torch.equal(first.data.x, second.data.x)
    assert first.split.hash == second.split.hash
    toy.in_mirror.unlink()
    toy.local.unlink()
    datasets.load("toy", split=1)  # the cache alone is enough
    assert [path.name for path in toy.processed.parent.iterdir()] == ["toy.pt"]
    assert toy.leftovers() == []


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"torch_geometric")] ^= 1  # not in the padding between tensors
    path.write_bytes(bytes(content))


def _drop_splits(path: Path) -> None:
    content = load_tensors(path)
    del content["splits"]
    save_tensors(path, content)


def _age(path: Path) -> None:
    content = load_tensors(path)
    content["stamp"]["torch_geometric"] = "1.0"
    save_tensors(path, content)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "damaged: .*"),
        (_flip, "damaged: .*"),
        (lambda path: path.write_bytes(b""), "damaged: .*"),
        (_drop_splits, "damaged: 'splits'"),
        (_age, "made from another card, other options or by other versions"),
    ],
)
def test_an_unusable_cache_is_rebuilt_with_one_line(
    toy: Toy, parses: list[str], caplog: pytest.LogCaptureFixture, damage: object, reason: str
) -> None:
    before = datasets.load("toy")
    damage(toy.processed)
    with caplog.at_level(logging.WARNING, "graphkit.datasets"):
        after = datasets.load("toy")
    assert len(caplog.records) == 1
    assert re.fullmatch(
        rf"the processed data in {re.escape(str(toy.processed))} are not usable \({reason}\); building them again",
        caplog.records[0].getMessage(),
    )
    assert len(parses) == 2
    assert torch.equal(before.data.x, after.data.x)
    datasets.load("toy")
    assert len(parses) == 2
    assert toy.leftovers() == []


def test_another_card_makes_the_cache_stale(toy: Toy, parses: list[str]) -> None:
    datasets.load("toy")
    path = toy.cards / "toy.toml"
    path.write_text(path.read_text().replace("undirected = true", "undirected = false").replace("= 16", "= 8"))
    catalog._read_all.cache_clear()
    assert datasets.load("toy").data.num_edges == 8
    assert len(parses) == 2


def test_a_full_disk_leaves_nothing(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parsed.torch, "save", full)
    with pytest.raises(OSError, match=f"no space left on the disk while writing {re.escape(str(toy.processed))};"):
        datasets.load("toy")
    assert not toy.processed.exists()
    assert toy.leftovers() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a parser's own trouble")])
def test_an_interrupted_build_leaves_nothing(toy: Toy, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def stop(raw: object, *, undirected: bool) -> Collated:
        (raw.scratch / "half").write_text("half")
        raise error

    monkeypatch.setitem(loading.LOADERS, "heterophilous_npz", stop)
    with pytest.raises(type(error)):
        datasets.load("toy")
    assert not toy.processed.exists()
    assert toy.leftovers() == []


def test_a_data_root_that_cannot_be_written_is_named(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    (toy.data.parent / "file").write_text("not a folder")
    monkeypatch.setenv("GRAPHKIT_DATA", str(toy.data.parent / "file"))
    with pytest.raises(
        OSError, match=r"cannot write to .*file/processed \(.*\); set GRAPHKIT_DATA to a folder that can be"
    ):
        datasets.load("toy")


def test_two_builders_at_once_leave_one_good_file(toy: Toy) -> None:
    """The other process finishes while this one parses."""
    card = catalog.card("toy")
    other = datasets.load

    def build(scratch: Path) -> Collated:
        other("toy")
        return Collated({"x": torch.ones(1, 1), "edge_index": torch.empty(2, 0, dtype=torch.int64)})

    parsed.cached("toy", {"card": card.data_hash}, build)
    assert load_tensors(toy.processed)["tensors"]["x"]["plain"].tolist() == [[1.0]]
    assert toy.leftovers() == []


def test_counts_that_differ_from_the_card_are_refused(toy: Toy) -> None:
    path = toy.cards / "toy.toml"
    path.write_text(path.read_text().replace("nodes = 8", "nodes = 9"))
    catalog._read_all.cache_clear()
    with pytest.raises(ValueError, match="parsing gave 8 nodes, but the card says 9"):
        datasets.load("toy")
    assert not toy.processed.exists()


def test_packing_keeps_every_value_dtype_and_shape(tmp_path: Path) -> None:
    sparse = torch.zeros(50, 40)
    sparse[3, 7], sparse[49, 39] = 0.1, -2.0
    tensors = {
        "x": sparse,
        "dense": torch.randn(5, 4, dtype=torch.float64),
        "empty": torch.empty(0, 3),
        "small": torch.tensor([0, 255]),
        "signed": torch.tensor([[-1, 300]]),
        "wide": torch.tensor([2**40, -1]),
        "none": torch.empty(2, 0, dtype=torch.int64),
        "flags": torch.tensor([True, False]),
    }
    splits = [(torch.tensor([1]), torch.tensor([2]), torch.tensor([70000]))]
    save_tensors(tmp_path / "data.pt", parsed._packed(Collated(tensors, {"x": torch.tensor([0, 20, 50])}, splits)))
    back = parsed._unpacked(load_tensors(tmp_path / "data.pt"))
    for key, tensor in tensors.items():
        assert back.tensors[key].dtype == tensor.dtype
        assert torch.equal(back.tensors[key], tensor), key
    assert [ids.tolist() for ids in back.splits[0]] == [[1], [2], [70000]]


def test_collated_graphs_come_apart_again() -> None:
    collated = Collated(
        {
            "x": torch.arange(5.0).view(5, 1),
            "edge_index": torch.tensor([[0, 1, 1], [1, 0, 2]]),
            "y": torch.tensor([7, 8]),
        },
        {"x": torch.tensor([0, 2, 5]), "edge_index": torch.tensor([0, 1, 3]), "y": torch.tensor([0, 1, 2])},
    )
    first, second = collated.graphs()
    assert first.x.view(-1).tolist() == [0, 1]
    assert second.edge_index.tolist() == [[1, 1], [0, 2]]
    assert [first.y.tolist(), second.y.tolist()] == [[7], [8]]
    assert collated.counts == {"graphs": 2, "nodes": 5, "edges": 3, "features": 1, "outputs": 9}
