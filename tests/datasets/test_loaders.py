"""Parsers of sets whose files are not at hand, on small files of the same form; and pickles that must not be loaded."""

from __future__ import annotations

import gzip
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from graphkit import datasets
from graphkit.datasets.loaders import LOADERS
from graphkit.datasets.raw import RawFiles, check_pickle


def _raw(tmp_path: Path, *names: str) -> RawFiles:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return RawFiles({name: tmp_path / name for name in names}, scratch, set())


def _dump(content: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/graphkit_must_not_exist",)


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    _dump({"x": [1, _Evil()]}, tmp_path / "bad")
    with pytest.raises(ValueError, match=r"bad is a pickle that asks for (posix|nt)\.system, .* do not trust"):
        check_pickle(tmp_path / "bad")
    assert not Path("/tmp/graphkit_must_not_exist").exists()


def test_a_hostile_torch_file_is_refused(tmp_path: Path) -> None:
    torch.save([_Evil()], tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=r"bad\.pt asks for more than tensors and plain containers"):
        check_pickle(tmp_path / "bad.pt")
    assert not Path("/tmp/graphkit_must_not_exist").exists()


def test_a_torn_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn").write_bytes(pickle.dumps(list(range(1000)))[:-20])
    with pytest.raises(ValueError, match="torn is not a readable pickle"):
        check_pickle(tmp_path / "torn")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_arrays_matrices_and_tensors_are_fine(tmp_path: Path, protocol: int) -> None:
    from collections import defaultdict

    import scipy.sparse as sp

    content = [np.eye(2), sp.csr_matrix(np.eye(3)), torch.arange(3), defaultdict(list, {1: [2]}), np.float64(1.0)]
    (tmp_path / "good").write_bytes(pickle.dumps(content, protocol=protocol))
    check_pickle(tmp_path / "good")


def test_the_mirror_s_planetoid_pickles_pass(mirror: Path) -> None:
    for path in (mirror / "planetoid/Cora/raw").glob("ind.*"):
        if not path.name.endswith("index"):
            check_pickle(path)


def test_planetoid_scans_files_of_unknown_content(tmp_path: Path) -> None:
    names = [f"ind.pubmed.{part}" for part in ("x", "tx", "allx", "y", "ty", "ally", "graph")]
    for name in names:
        _dump(_Evil() if name.endswith("allx") else np.eye(3), tmp_path / name)
    (tmp_path / "ind.pubmed.test.index").write_text("1\n")
    with pytest.raises(ValueError, match=r"ind\.pubmed\.allx is a pickle that asks for"):
        LOADERS["planetoid"](_raw(tmp_path, *names, "ind.pubmed.test.index"), name="PubMed")
    assert not Path("/tmp/graphkit_must_not_exist").exists()


def test_zinc_from_small_pickles(tmp_path: Path) -> None:
    bonds = torch.tensor([[0, 1, 0], [1, 0, 2], [0, 2, 0]])
    molecule = {
        "num_atom": 3, "atom_type": torch.tensor([0, 5, 27]), "bond_type": bonds,
        "logP_SA_cycle_normalized": torch.tensor([0.5]),
    }  # fmt: skip
    names = []
    for part, count in (("train", 3), ("val", 2), ("test", 2)):
        _dump([molecule] * 4, tmp_path / f"{part}.pickle")
        (tmp_path / f"official_{part}.index").write_text(",".join(map(str, range(count))) + "\n")
        names += [f"{part}.pickle", f"official_{part}.index"]
    parsed = LOADERS["zinc"](_raw(tmp_path, *names), subset=True)
    assert [ids.tolist() for ids in parsed.splits[0]] == [[0, 1, 2], [3, 4], [5, 6]]
    graph = parsed.graphs()[4]
    assert graph.x.shape == (3, 28)
    assert graph.x.argmax(1).tolist() == [0, 5, 27]
    assert graph.edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert graph.edge_attr.tolist() == [1, 1, 2, 2]
    assert graph.y.tolist() == [0.5]


def test_lrgb_from_small_files(tmp_path: Path) -> None:
    names = []
    for part, count in (("train", 3), ("val", 2), ("test", 2)):
        graph = (torch.ones(2, 9).long(), torch.ones(2, 3).long(), torch.tensor([[0, 1], [1, 0]]), torch.ones(1, 11))
        torch.save([graph] * count, tmp_path / f"{part}.pt")
        names.append(f"{part}.pt")
    parsed = LOADERS["lrgb"](_raw(tmp_path, *names), name="Peptides-struct")
    assert [len(ids) for ids in parsed.splits[0]] == [3, 2, 2]
    assert parsed.counts == {"graphs": 7, "nodes": 14, "edges": 14, "features": 9, "outputs": 11}


def test_qm9_bonds_run_both_ways(tmp_path: Path) -> None:
    names = []
    for part in ("train", "valid", "test"):
        row = {"graph": [[0, 2, 1]], "node_features": [[0.0, 1.0], [1.0, 0.0]], "targets": [[0.1], [0.2]], "id": "a"}
        with gzip.open(tmp_path / f"{part}.jsonl.gz", "wt") as file:
            file.write(json.dumps(row) + "\n")
        names.append(f"{part}.jsonl.gz")
    graph = LOADERS["qm9_ggnn"](_raw(tmp_path, *names), target=1).graphs()[2]
    assert graph.edge_index.tolist() == [[0, 1], [1, 0]]
    assert graph.edge_attr.tolist() == [2, 2]
    assert graph.y.tolist() == [pytest.approx(0.2)]


def test_pyg_never_downloads_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong-name.txt").write_text("")
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("the network was tried"))
    with pytest.raises(RuntimeError, match="WebKB does not find its raw files in"):
        LOADERS["pyg"](_raw(tmp_path, "wrong-name.txt"), "WebKB", "texas/raw", name="texas")


def test_ogb_node_sets_through_ogb_itself(tmp_path: Path) -> None:
    pytest.importorskip("ogb")
    folder = tmp_path / "ogbn_arxiv"
    content = {
        "raw/edge": "0,1\n1,2\n2,3\n", "raw/node-feat": "0.5,1\n1,1\n2,1\n3,1\n", "raw/node-label": "0\n1\n0\n1\n",
        "raw/num-node-list": "4\n", "raw/num-edge-list": "3\n", "raw/node_year": "2000\n2001\n2002\n2003\n",
        "split/time/train": "0\n1\n", "split/time/valid": "2\n", "split/time/test": "3\n",
    }  # fmt: skip
    for name, text in content.items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    (folder / "RELEASE_v1.txt").write_text("v1")
    names = ["ogbn_arxiv/RELEASE_v1.txt", *(f"ogbn_arxiv/{name}.csv.gz" for name in content)]
    parsed = LOADERS["ogb_node"](_raw(tmp_path, *names), name="ogbn-arxiv")
    assert parsed.tensors["edge_index"].tolist() == [[0, 1, 2], [1, 2, 3]]
    assert parsed.tensors["y"].tolist() == [0, 1, 0, 1]
    assert [ids.tolist() for ids in parsed.splits[0]] == [[0, 1], [2], [3]]


def test_ogb_link_sets_through_ogb_itself(tmp_path: Path) -> None:
    pytest.importorskip("ogb")
    folder = tmp_path / "ogbl_ddi"
    content = {"raw/edge": "0,1\n1,2\n", "raw/num-node-list": "5\n", "raw/num-edge-list": "2\n"}
    for name, text in content.items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    (folder / "split/target").mkdir(parents=True)
    train, val, test = np.array([[0, 1], [1, 2]]), np.array([[2, 3]]), np.array([[3, 4]])
    torch.save({"edge": train}, folder / "split/target/train.pt")
    torch.save({"edge": val, "edge_neg": np.array([[0, 4]])}, folder / "split/target/valid.pt")
    torch.save({"edge": test, "edge_neg": np.array([[0, 3], [1, 4]])}, folder / "split/target/test.pt")
    (folder / "RELEASE_v1.txt").write_text("v1")
    names = ["ogbl_ddi/RELEASE_v1.txt", *(f"ogbl_ddi/{name}.csv.gz" for name in content)]
    names += [f"ogbl_ddi/split/target/{part}.pt" for part in ("train", "valid", "test")]
    (tmp_path / "scratch").mkdir()
    raw = RawFiles({name: tmp_path / name for name in names}, tmp_path / "scratch", set(names))
    parsed = LOADERS["ogb_link"](raw, name="ogbl-ddi")
    lists = {key: value.tolist() for key, value in parsed.tensors.items() if key != "x"}
    assert lists == {
        "edge_index": [[0, 1, 1, 2], [1, 0, 2, 1]],
        "train": [[0, 1], [1, 2]],
        "val": [[2], [3]],
        "val_negatives": [[0], [4]],
        "test": [[3], [4]],
        "test_negatives": [[0, 1], [3, 4]],
    }
    assert torch.equal(parsed.tensors["x"], torch.eye(5))


def test_seal_sets(tmp_path: Path) -> None:
    from scipy.io import savemat
    from scipy.sparse import csc_matrix

    savemat(tmp_path / "toy.mat", {"net": csc_matrix(np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))})
    parsed = LOADERS["seal"](_raw(tmp_path, "toy.mat"))
    assert {tuple(pair) for pair in parsed.tensors["edge_index"].t().tolist()} == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert torch.equal(parsed.tensors["x"], torch.eye(3))
    (tmp_path / "scratch").rmdir()
    constant = LOADERS["seal"](_raw(tmp_path, "toy.mat"), features="constant")
    assert constant.tensors["x"].tolist() == [[1.0]] * 3


def test_streams_of_events(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").write_text("u,v,what,t\n9,2,5,30\n2,4,-10,10.5\n9,4,1,30\n")
    arguments = {"columns": [0, 1, 3, 2], "delimiter": ",", "header": 1, "unit": 10.0}
    tensors = LOADERS["events"](_raw(tmp_path, "toy.csv"), **arguments).tensors
    assert tensors["edge_index"].tolist() == [[0, 2, 2], [1, 0, 1]]
    assert tensors["edge_time"].tolist() == [10.5, 30, 30]
    assert tensors["edge_attr"].tolist() == [[-1.0], [0.5], [pytest.approx(0.1)]]
    assert tensors["x"].shape == (3, 0)


def test_networks_for_matlab_have_edges_and_groups_and_weights_if_there_are_any(tmp_path: Path) -> None:
    import scipy.io
    import scipy.sparse as sp

    network = np.zeros((4, 4))
    network[[0, 1, 1, 2], [1, 0, 2, 1]] = 1  # the last node has no edge
    group = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=float)
    for file, scale in (("plain.mat", 1.0), ("weighted.mat", 2.0)):
        scipy.io.savemat(tmp_path / file, {"network": sp.csc_matrix(network * scale), "group": sp.csc_matrix(group)})
        made = LOADERS["network_mat"](RawFiles({file: tmp_path / file}, tmp_path, set()))
        (data,) = made.graphs()
        assert data.num_nodes == made.counts["nodes"] == 4
        assert sorted(zip(*data.edge_index.tolist(), strict=True)) == [(0, 1), (1, 0), (1, 2), (2, 1)]
        assert data.y.tolist() == group.tolist()
        assert data.edge_weight.tolist() == [2.0] * 4 if scale == 2 else "edge_weight" not in data


@pytest.mark.parametrize(
    ("name", "file", "lines", "edges"),
    [
        ("movielens-1m", "movielens/ml-1m/ratings.dat", "7::30::5::90\n7::10::2::80\n9::10::3::70\n", [[0, 1], [3, 2]]),
        ("movielens-100k", "movielens/ml-100k/u.data", "7\t30\t5\t90\n7\t10\t2\t80\n9\t10\t3\t70\n", [[0, 1], [3, 2]]),
        ("yahoo-movies", "yahoo-movies/ratings.tsv", "7\t30\t5\n7\t10\t2\n9\t10\t3\n", [[0, 1], [3, 2]]),
        ("facebook-books", "facebook-books/ratings.tsv", "7\t30\t1\n7\t10\t1\n9\t10\t1\n", [[0, 0, 1], [3, 2, 2]]),
    ],
)
def test_ratings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str, lines: str, edges: list[list[int]]
) -> None:
    place = tmp_path / "mirror" / file
    place.parent.mkdir(parents=True)
    place.write_text(lines)
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    (data,) = datasets.load_graphs(name)
    assert data.edge_index.tolist() == edges
    assert data.node_type.tolist() == [0, 0, 1, 1]
    if "movielens" in name:
        assert data.edge_time.tolist() == [90, 70]
