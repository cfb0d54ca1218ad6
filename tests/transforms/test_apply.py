"""Applying transforms to many graphs: parallel, cached, never stale, never half-written."""

from __future__ import annotations

import errno

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphkit.core.hashing import hash_data
from graphkit.testing.discovery import discover
from graphkit.testing.instances import factories
from graphkit.transforms import Precompute, apply
from graphkit.transforms import base as transforms_base
from graphkit.transforms.features import KLWL, LaplacianPE, RandomWalkPE
from graphkit.transforms.rewiring import FoSR, RandomEdges
from tests import tiny

TRANSFORMS = [cls for cls in discover()["transform"].values() if issubclass(cls, Precompute)]


class _Whole(Precompute):
    def forward(self, data):
        return data


@pytest.fixture
def calls(monkeypatch):
    """A list with an entry per call of ``RandomWalkPE``."""
    calls = []
    columns = RandomWalkPE.columns
    monkeypatch.setattr(RandomWalkPE, "columns", lambda self, data: calls.append(1) or columns(self, data))
    return calls


GRAPHS = [tiny.graph(5 + i % 4, 8, seed=i) for i in range(7)]


def hashes(graphs):
    return [hash_data(graph) for graph in graphs]


def test_a_class_is_no_transform():
    with pytest.raises(TypeError, match=r"transform=FoSR is a class, must be an instance: FoSR\(\.\.\.\)"):
        tiny.node_task().transform(FoSR)


def test_cached_results_are_not_computed_again(tmp_path, calls):
    first = apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path)
    assert len(calls) == 7
    second = apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path)
    assert len(calls) == 7
    assert hashes(first) == hashes(second) == hashes([RandomWalkPE(4)(graph) for graph in GRAPHS])


def test_graphs_of_a_class_of_their_own_stay_so(tmp_path, calls):
    class Own(Data):
        def __inc__(self, key, value, *args):
            return 100 if key == "partner" else super().__inc__(key, value, *args)

    graphs = [Own(**graph.to_dict(), partner=torch.tensor([1])) for graph in GRAPHS]
    for _ in range(2):
        batch = Batch.from_data_list(apply(RandomWalkPE(4), graphs, cache_dir=tmp_path))
        assert batch.partner.tolist() == [100 * i + 1 for i in range(7)]
    assert len(calls) == 7


def test_another_argument_or_graph_is_computed(tmp_path, calls):
    apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path)
    out = apply(RandomWalkPE(5), GRAPHS, cache_dir=tmp_path)
    assert len(calls) == 14
    assert out[0].x.size(1) == 6 + 5
    changed = [graph.clone() for graph in GRAPHS]
    changed[0].x[0, 0] += 1
    out = apply(RandomWalkPE(4), changed, cache_dir=tmp_path)
    assert len(calls) > 14
    assert hashes(out) == hashes([RandomWalkPE(4)(graph) for graph in changed])


@pytest.mark.parametrize("damage", ["truncate", "flip", "foreign"])
def test_a_damaged_file_is_computed_again_and_replaced(damage, tmp_path, calls):
    expected = hashes(apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path))
    (path,) = tmp_path.rglob("*.pt")
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    else:
        torch.save("something else", path)
    assert hashes(apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path)) == expected
    assert len(calls) == 14
    assert hashes(apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path)) == expected
    assert len(calls) == 14, "the damaged file was not replaced"


def test_several_processes_give_the_same_in_the_same_order(tmp_path, monkeypatch):
    monkeypatch.setattr(transforms_base, "_CHUNK", 2)
    one = apply(RandomWalkPE(4), GRAPHS, jobs=1, cache_dir=tmp_path / "a")
    two = apply(RandomWalkPE(4), GRAPHS, jobs=2, cache_dir=tmp_path / "b")
    assert hashes(one) == hashes(two)


def test_graphs_that_are_views_take_only_their_own_part_along(tmp_path, monkeypatch):
    monkeypatch.setattr(transforms_base, "_CHUNK", 1)
    everything = torch.rand(100_000, 6)
    graphs = [graph.clone() for graph in GRAPHS]
    for graph in graphs:
        graph.x = everything[7 : 7 + graph.num_nodes]
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        out = apply(RandomWalkPE(4), graphs, jobs=jobs, cache_dir=folder)
        assert hashes(out) == hashes([RandomWalkPE(4)(graph) for graph in graphs])
        assert max(path.stat().st_size for path in folder.rglob("*.pt")) < 20_000
    assert max(graph.x.untyped_storage().nbytes() for graph in apply(_Whole(), graphs)) < 1000


def test_cheap_transforms_leave_no_files(tmp_path):
    apply(RandomEdges(2), GRAPHS, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_default_cache_lies_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    apply(RandomWalkPE(3), GRAPHS)
    assert len(list((tmp_path / "transforms").rglob("*.pt"))) == 1


def test_a_full_disk_is_explained(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="no space left on the disk while writing"):
        apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_graphs_are_not_changed(tmp_path):
    before = hashes(GRAPHS)
    apply(RandomWalkPE(4), GRAPHS, cache_dir=tmp_path)
    assert hashes(GRAPHS) == before


@pytest.mark.parametrize("transform", [LaplacianPE(3), RandomWalkPE(3), FoSR(2), KLWL(2, variant="folklore")], ids=repr)
def test_of_a_batch_each_graph_is_transformed(transform):
    """As one graph of several components it would get other eigenvectors, and edges from graph to graph."""
    graphs = [tiny.graph(8, 12, seed=i) for i in range(3)]
    joined = transform(Batch.from_data_list(graphs))
    for result, graph in zip(joined.to_data_list(), graphs, strict=True):
        alone = transform(graph)
        assert hash_data(result) == hash_data(alone)


def test_what_was_set_on_a_batch_alone_is_not_lost():
    batch = Batch.from_data_list([Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)] * 2)
    batch.x = torch.ones(4, 1)
    with pytest.raises(ValueError, match="RandomWalkPE: x of the batch is not of its graphs"):
        RandomWalkPE(4)(batch)


@pytest.mark.parametrize("cls", [cls for cls in TRANSFORMS if factories(cls)], ids=lambda cls: cls.__name__)
def test_a_number_of_nodes_that_x_contradicts_is_refused(cls):
    graph, make = tiny.graph(8, 12), next(iter(factories(cls).values()))
    graph.num_nodes = 20
    with pytest.raises(ValueError, match="features have 8 rows, but the graph has 20 nodes"):
        make()(graph)
