"""The leaderboard scripts run unmodified on miniatures in ogb's own file format."""

from __future__ import annotations

import gzip
import json
import re
import runpy
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import graphkit as gk
from graphkit.core.resources import shipped
from graphkit.datasets import catalog

pytest.importorskip("ogb")
pytestmark = pytest.mark.filterwarnings("ignore:dataset .* no sha256 is known")
NODES, GRAPHS = 60, 40
CODES = (119, 5, 12, 12, 10, 6, 6, 2, 2)
TINY = ["--seeds", "2", "--trainer.max_epochs", "2", "--output", "results"]
GCN = {"class_path": "GCN", "init_args": {"hidden_channels": 8, "out_channels": 8}}


def csv(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = rows.reshape(len(rows), -1)
    form = "%d" if rows.dtype.kind in "iu" else "%g"
    text = "\n".join(",".join("nan" if np.isnan(value) else form % value for value in row) for row in rows)
    path.write_bytes(gzip.compress((text.replace("nan", "") + "\n").encode()))


def one_graph(raw: Path, random: np.random.Generator, **more: np.ndarray) -> np.ndarray:
    """Random edges, a path through all nodes among them, and further files."""
    path = np.stack([np.arange(NODES - 1), np.arange(1, NODES)], axis=1)
    edges = np.unique(np.sort(np.concatenate([path, random.integers(NODES, size=(90, 2))]), axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    counts = {"num-node-list": np.array([NODES]), "num-edge-list": np.array([len(edges)])}
    for name, values in {"edge": edges, **counts, **more}.items():
        csv(raw / f"{name}.csv.gz", values)
    return edges


def nodes(root: Path, split: str, **more: np.ndarray) -> None:
    random = np.random.default_rng(0)
    edges = one_graph(root / "raw", random, **more)
    if "node-feat" not in more:
        csv(root / "raw" / "edge-feat.csv.gz", random.random((len(edges), 8)))
    order = np.arange(NODES)
    for stage, ids in (("train", order[::2]), ("valid", order[1::4]), ("test", order[3::4])):
        csv(root / "split" / split / f"{stage}.csv.gz", ids)


def links(root: Path, split: str, events: bool, **more: np.ndarray) -> None:
    random = np.random.default_rng(1)
    edges = one_graph(root / "raw", random, **more)
    if events:
        for name in ("edge_weight", "edge_year"):
            csv(root / "raw" / f"{name}.csv.gz", random.integers(1, 3, size=(len(edges), 1)))
    linked = {tuple(pair) for pair in edges.tolist()}
    free = np.array([(i, j) for i in range(NODES) for j in range(i + 1, NODES) if (i, j) not in linked])
    order = random.permutation(len(edges))
    late = order[:20] if not events else order[15:35]  # events: some links to train on happen again
    parts = {"train": edges[order[20:]], "valid": edges[late[:10]], "test": edges[late[10:]]}
    for position, (stage, pairs) in enumerate(parts.items()):
        content = {"edge": pairs}
        if events:
            content |= {"weight": np.ones(len(pairs)), "year": np.full(len(pairs), 2017)}
        if stage != "train":
            content["edge_neg"] = free[position * 200 : position * 200 + 150]
        (root / "split" / split).mkdir(parents=True, exist_ok=True)
        torch.save(content, root / "split" / split / f"{stage}.pt")


def molecules(root: Path, num_tasks: int) -> None:
    random = np.random.default_rng(2)
    sizes = random.integers(3, 8, GRAPHS)
    edges = np.concatenate([np.stack([np.arange(n - 1), np.arange(1, n)], axis=1) for n in sizes])
    codes = np.stack([random.integers(count, size=sizes.sum()) for count in CODES], axis=1)
    labels = random.integers(2, size=(GRAPHS, num_tasks)).astype(float)
    labels[:, 0] = np.arange(GRAPHS) % 2  # both classes in every part
    if num_tasks > 1:
        labels[5:9, 1] = np.nan
    content = {
        "edge": edges, "node-feat": codes, "edge-feat": random.integers(2, size=(len(edges), 3)),
        "graph-label": labels if num_tasks > 1 else labels.astype(int), "num-node-list": sizes,
        "num-edge-list": sizes - 1,
    }  # fmt: skip
    for name, values in content.items():
        csv(root / "raw" / f"{name}.csv.gz", values)
    csv(root / "mapping" / "mol.csv.gz", np.arange(GRAPHS))
    for stage, ids in (("train", np.arange(20)), ("valid", np.arange(20, 30)), ("test", np.arange(30, 40))):
        csv(root / "split" / "scaffold" / f"{stage}.csv.gz", ids)


def features(width: int) -> np.ndarray:
    return np.random.default_rng(3).random((NODES, width))


CLASSES = np.arange(NODES) // 2
MINIATURES = {
    "arxiv": ("ogbn-arxiv", lambda root: nodes(
        root, "time", **{"node-feat": features(128), "node-label": CLASSES % 40, "node_year": CLASSES})),
    "products": ("ogbn-products", lambda root: nodes(
        root, "sales_ranking", **{"node-feat": features(100), "node-label": CLASSES % 47})),
    "proteins": ("ogbn-proteins", lambda root: nodes(
        root, "species", **{"node-label": np.random.default_rng(4).integers(2, size=(NODES, 112)),
                            "node_species": CLASSES})),
    "molhiv": ("ogbg-molhiv", lambda root: molecules(root, 1)),
    "molpcba": ("ogbg-molpcba", lambda root: molecules(root, 128)),
    "collab": ("ogbl-collab", lambda root: links(root, "time", True, **{"node-feat": features(128)})),
    "ddi": ("ogbl-ddi", lambda root: links(root, "target", False)),
    "ppa": ("ogbl-ppa", lambda root: links(root, "throughput", False, **{"node-feat": np.eye(58)[CLASSES]})),
}  # fmt: skip


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Makes the miniature of a script's dataset, under a card that expects no certain content, and runs the script."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))

    def run(name: str, *flags: str) -> dict:
        dataset, make = MINIATURES[name]
        text = (shipped("datasets") / f"{dataset}.toml").read_text()
        text = re.sub(r'bytes = \d+, sha256 = "\w+", ', "", text)
        text = re.sub(r"\[expect\].*?(?=\n\[|\Z)", "", text, flags=re.DOTALL)
        text = re.sub(r"\nsizes = .*", "", text)
        (tmp_path / "datasets").mkdir(exist_ok=True)
        (tmp_path / "datasets" / f"{dataset}.toml").write_text(text)
        monkeypatch.setattr(catalog, "shipped", lambda kind: tmp_path / kind)
        first = tomllib.loads(text)["files"][0]["path"]
        root = tmp_path / "mirror" / Path(first).parent
        make(root)
        (root / "RELEASE_v1.txt").write_text("v1")
        monkeypatch.setattr(sys, "argv", [name, *TINY, *flags])
        runpy.run_module(f"benchmarks.ogb.{name}", run_name="__main__", alter_sys=False)
        (path,) = (tmp_path / "results").glob("*.json")
        return json.loads(path.read_text())

    return run


@pytest.mark.parametrize("name", MINIATURES)
def test_a_script_runs_on_ogbs_files(name, script, capsys):
    flags = ["--trainer.batch_size", "16"] if "mol" in name or name in ("collab", "ddi", "ppa") else []
    flags += (
        ["--model.encoder", json.dumps(GCN)] if name in ("collab", "ddi", "ppa") else ["--model.hidden_channels", "8"]
    )
    flags += ["--sampler.num_roots", "30"] if name == "products" else []
    report = script(name, *flags)
    assert report["dataset"] == MINIATURES[name][0]
    assert report["seeds"] == "0, 1"
    for stage in ("test", "val"):
        values = np.array([run[stage] for run in report["runs"]])
        assert ((values >= 0) & (values <= 1)).all()
        assert report[stage] == f"{values.mean():.4f} ± {values.std(ddof=1):.4f}"
    assert report["parameters"] > 0
    assert f"benchmarks.ogb.{name}" in report["command"]
    assert "test" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "model"), [("collab", "NCNC"), ("ddi", "NCN"), ("ppa", "NCN")])
def test_links_by_common_neighbours(name, model, script):
    report = script(name, "--model", model, "--model.encoder", json.dumps(GCN), "--trainer.batch_size", "16")
    assert report["method"] == f"{model} (GCN)"
    assert Path(f"results/{MINIATURES[name][0]}-{model.lower()}-gcn.json").exists()
    assert all(0 <= run[stage] <= 1 for run in report["runs"] for stage in ("test", "val"))


def test_any_sampler_by_flag(script):
    flags = ["--model", "GCN", "--model.hidden_channels", "8", "--sampler", "NeighborSampler"]
    report = script("products", *flags, "--sampler.num_neighbors", "[4, 4]", "--trainer.batch_size", "16")
    assert report["method"] == "GCN + NeighborSampler"


def test_any_model_rewiring_and_strategy_by_flags_and_seeds_are_kept(script, monkeypatch):
    flags = ["--model", "DeepSets", "--rewiring", "RandomEdges", "--rewiring.num_edges", "2"]
    report = script("molhiv", *flags)
    assert report["method"] == "DeepSets + RandomEdges"
    monkeypatch.setattr(gk.Trainer, "fit", lambda *arguments, **options: pytest.fail("a finished seed was repeated"))
    assert script("molhiv", *flags)["runs"] == report["runs"]


def test_ctrl_c_within_a_seed_keeps_its_epochs(script, ctrl_c_in_epoch, tmp_path):
    flags, epochs = ["--model", "DeepSets"], ctrl_c_in_epoch(3)  # the first of the second seed
    with pytest.raises(KeyboardInterrupt):
        script("molhiv", *flags)
    report = script("molhiv", *flags)
    assert epochs == [0, 0, 1, 1]
    shutil.rmtree(tmp_path / "runs")
    whole = script("molhiv", *flags)
    for stage in ("test", "val"):
        assert [run[stage] for run in report["runs"]] == [run[stage] for run in whole["runs"]]
    assert {path.name for path in (tmp_path / "runs").rglob("*") if path.is_file()} == {"seed-0.json", "seed-1.json"}


def test_scores_are_ogbs():
    leaderboard = runpy.run_module("benchmarks.ogb.leaderboard")
    evaluator, score = leaderboard["_evaluator"], leaderboard["ogb_score"]
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]])
    assert score(evaluator("ogbn-arxiv"), logits, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)
    assert score(evaluator("ogbg-molhiv-rebuilt"), logits[:, :1], torch.tensor([1.0, 0.0, 0.0])) == 0.5
    assert score(evaluator("ogbg-molesol"), torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 1.0])) == pytest.approx(
        2**0.5
    )
    pairs = torch.cat([torch.tensor([5.0, 0.5]), torch.arange(1.0, 31.0) / 10])
    labels = torch.tensor([1.0, 1.0] + [0.0] * 30)
    assert score(evaluator("ogbl-ddi"), pairs.unsqueeze(1), labels) == 0.5
