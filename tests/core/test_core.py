"""Names, files, hashes, configs: the small tools that every room relies on."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphkit.core import resources
from graphkit.core.config import Configurable
from graphkit.core.files import atomic_write, save_tensors, sha256
from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.registry import Registry
from graphkit.core.validate import check_choice, suggestion
from graphkit.models import GCN, LayeredModel, LayerStack, registry
from graphkit.nn import registry as layers

# --- registry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["GCN", "gcn", "G-C_N", GCN])
def test_names_are_forgiving(query):
    assert registry.get(query) is GCN


def test_a_typo_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"unknown model 'GCNN'; did you mean 'GCN'.* choose from: .*MLP"):
        registry.get("GCNN")
    with pytest.raises(ValueError, match="unknown model 'xyz'; choose from"):
        registry.get("xyz")


@pytest.mark.parametrize(
    ("name", "options", "meant"),
    [
        ("trainer.learning_rate", ["trainer.run_dir", "trainer.lr"], "trainer.lr"),
        ("learning-rate", ["trainer.run_dir", "trainer.lr"], "trainer.lr"),
        ("hidden_dim", ["edge_dim", "hidden_channels"], "hidden_channels"),
        ("model.n_layers", ["model.num_layers", "strategy.n_layer"], "model.num_layers"),
        ("activation", ["activate", "lr"], "activate"),  # what it is here is no choice
        ("trainer.zebra", ["trainer.zones", "trainer.lr"], None),  # the part says nothing about its argument
    ],
)
def test_names_of_other_libraries_are_understood(name, options, meant):
    text = suggestion(name, options)
    assert text == f"{'' if meant is None else f'did you mean {meant!r}? '}choose from: {', '.join(options)}"


def test_abstract_and_foreign_classes_are_no_choices():
    assert {"GCN", "MLP"} <= set(registry.names())
    assert "LayerStack" not in registry.names()
    for abstract in (LayeredModel, LayerStack):
        with pytest.raises(TypeError, match="abstract"):
            abstract(3)
    assert all(cls.__module__.startswith("graphkit.") for cls in layers.classes().values())


def test_a_users_class_takes_part():
    class MyOwnNet(GCN):
        pass

    class _Hidden(GCN):
        pass

    assert registry.get("my-own-net") is MyOwnNet
    assert "_Hidden" not in registry.names()
    del MyOwnNet, _Hidden


def test_a_class_that_was_defined_again_replaces_the_old_one():
    from graphkit.transforms.features import NodeFeatures, registry

    def cell():
        class Redefined(NodeFeatures):
            def columns(self, data):
                return data.x

        return Redefined

    first, second = cell(), cell()
    assert first is not second
    assert registry.get("redefined") is second
    del first, second


def test_repr_lists_names():
    registry = Registry("layer", torch.nn.Module, "graphkit.nn")
    assert {"GCNConv", "Linear"} <= set(registry.names())
    assert repr(registry) == f"Registry(layer: {', '.join(registry.names())})"


def test_choices():
    assert check_choice("a", {"a": 1, "b": 2}, "letter") == "a"
    with pytest.raises(ValueError, match="unknown letter 'A'; did you mean 'a'"):
        check_choice("A", ["a", "b"], "letter")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "deep" / "scores.txt"
    path.parent.mkdir()
    path.write_text("old")
    return path


def test_a_file_is_replaced_as_a_whole(target):
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


def test_missing_folders_are_made(tmp_path):
    with atomic_write(tmp_path / "a" / "b" / "c.txt") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), OSError(errno.EIO, "broken disk")])
def test_a_failure_leaves_the_old_file_and_nothing_else(error, target):
    def write():
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_full_disk_is_explained(place, target, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def write():
        with atomic_write(target) as temporary:
            temporary.write_text("new")
            monkeypatch.setattr(os, place, full)

    with pytest.raises(
        OSError, match=r"no space left on the disk while writing .*scores\.txt; free some space"
    ) as caught:
        write()
    assert caught.value.errno == errno.ENOSPC
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_really_full_disk_under_tensors(tmp_path, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")

    def device(prefix, suffix, dir):
        (tmp_path / "full.tmp").symlink_to("/dev/full")
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "full.tmp")

    monkeypatch.setattr(tempfile, "mkstemp", device)
    with pytest.raises(OSError, match=r"no space left on the disk while writing .*weights\.pt; free some space"):
        save_tensors(tmp_path / "weights.pt", torch.zeros(10))
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")

    def write():
        with atomic_write("/tmp/graphkit-test-never-written"), open("/dev/full", "w") as file:
            file.write("x" * 100_000)

    with pytest.raises(OSError, match="no space left on the disk while writing /tmp/graphkit-test-never-written"):
        write()
    assert not Path("/tmp/graphkit-test-never-written").exists()


def test_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# --- hashes: pinned, because files on disk are named by them ---------------------------------------------------------


def test_hashes_are_stable():
    assert hash_tensors(torch.arange(3)) == "918fb6b2e45d"
    assert hash_tensors(torch.empty(4, 2)[:, :1][:0]) == hash_tensors(torch.empty(0, 1))
    assert hash_config({"b": [1, 2.5], "a": None}) == "6b1d84977084"
    assert hash_data(Data(x=torch.eye(2), name="pair")) == "00dc7f40ab1a"
    assert hash_config({"a": 1, "b": 2}) == hash_config({"b": 2, "a": 1})


def test_hashes_see_values_types_shapes_and_order():
    base = torch.arange(6.0)
    others = [base + 1, base.double(), base.view(2, 3), base.flip(0), base[:5], base.to_sparse()]
    digests = {hash_tensors(tensor) for tensor in [base, *others]}
    assert len(digests) == 7
    assert hash_tensors(base, None) != hash_tensors(None, base) != hash_tensors(base)
    assert hash_tensors(base.view(2, 3).t()) == hash_tensors(base.view(2, 3).t().contiguous())
    assert hash_tensors(torch.tensor([True])) != hash_tensors(torch.tensor([1], dtype=torch.uint8))
    assert hash_tensors(torch.empty(0, 3)) != hash_tensors(torch.empty(3, 0))
    assert hash_tensors(torch.tensor(1.0)) != hash_tensors(torch.tensor([1.0]))


def test_equal_sparse_matrices_hash_equally():
    x = torch.eye(3)
    assert hash_tensors(x.to_sparse_csr()) == hash_tensors(x.to_sparse_csc()) == hash_tensors(x.to_sparse())
    assert hash_tensors(x.to_sparse_csr()) != hash_tensors((2 * x).to_sparse_csr())


# --- configs and resources --------------------------------------------------------------------------------------------


class _Thing(Configurable):
    def __init__(self, size, rate=0.5, *rest, name="a", **more):
        self.size, self.rate, self.name = size, rate, name


def test_configs_go_around():
    thing = _Thing(3, name="b")
    assert thing.config() == {"size": 3, "rate": 0.5, "name": "b"}
    assert _Thing.from_config(thing.config()).config() == thing.config()
    assert repr(thing) == "_Thing(3, name='b')"


def test_data_root(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "here"))
    assert resources.data_root() == tmp_path / "here"
    monkeypatch.delenv("GRAPHKIT_DATA")
    monkeypatch.setattr(resources, "checkout", lambda: None)
    assert resources.data_root() == Path.home() / ".cache" / "graphkit"


def test_shipped_files(monkeypatch, tmp_path):
    assert list(resources.shipped("datasets").glob("*.toml"))
    monkeypatch.setattr(resources, "checkout", lambda: None)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path)
    with pytest.raises(FileNotFoundError, match="the installation is broken, install again"):
        resources.shipped("datasets")
    (tmp_path / "_shipped" / "datasets").mkdir(parents=True)
    assert resources.shipped("datasets") == tmp_path / "_shipped" / "datasets"
