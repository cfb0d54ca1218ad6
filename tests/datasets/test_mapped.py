"""Graphs in memory-mapped files: what is written, what is read of it, and that nothing reads all of it."""

from __future__ import annotations

import importlib
import os

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.utils import coalesce, to_undirected

import graphkit as gk
from graphkit.cli import main
from graphkit.datasets import map_files, map_graph, mapping

N = 40


@pytest.fixture(autouse=True)
def _small_blocks(tmp_path, monkeypatch):
    """Several blocks and passes even for tiny graphs."""
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(mapping, "ENTRIES", 30)
    for module in ("mapping", "mapped_files"):
        monkeypatch.setattr(importlib.import_module(f"graphkit.datasets.{module}"), "ROWS", 7)


def edges(seed=0):
    """Random edges, with loops and repetitions."""
    return np.random.default_rng(seed).integers(N, size=(2, 150))


def nodes(dtype="f4"):
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(N, 5)).astype(dtype), "y": np.arange(N) % 3}


def mapped(place, dtype="f4", **arguments):
    block, pairs = nodes(dtype), edges()
    halves = [{key: value[part] for key, value in block.items()} for part in (slice(0, 15), slice(15, N))]
    return map_graph(place / "mapped", [pairs[:, :60], pairs[:, 60:]], halves, **arguments)


@pytest.mark.parametrize("undirected", [True, False])
def test_files_hold_the_sorted_edges_once(tmp_path, undirected):
    graph = mapped(tmp_path, undirected=undirected)
    expected = torch.from_numpy(edges())
    expected = coalesce(to_undirected(expected) if undirected else expected, sort_by_row=False)
    plain = graph.in_memory()
    assert torch.equal(plain.edge_index, expected)
    assert graph.num_edges == expected.size(1)
    assert np.array_equal(plain.x, nodes()["x"])
    assert np.array_equal(plain.y, nodes()["y"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mapped"], "nothing temporary is left"
    assert np.load(tmp_path / "mapped" / "col.npy").dtype == np.int32


SAMPLERS = [
    gk.samplers.NeighborSampler([3, 2]),
    gk.samplers.ShaDowKHop(depth=2, budget=3),
    gk.samplers.ShaDowPPR(k=5),
    gk.samplers.NeighborSampler([3, 2], evaluate="layerwise"),
    gk.samplers.GraphSAINTNode(10, num_steps=3),
    gk.samplers.GraphSAINTEdge(10, num_steps=3),
    gk.samplers.GraphSAINTRandomWalk(4, walk_length=2, num_steps=3),
    gk.samplers.ClusterSampler(4, clusters_per_batch=2),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_training_is_bit_equal_to_that_in_memory(tmp_path, sampler):
    graph = mapped(tmp_path, "f2")
    results = []
    for data in (graph, graph.in_memory()):
        task = gk.NodeTask("t", data, gk.Split.random(N)).sampled(sampler)
        size = None if sampler.default_batch_size is None else 8
        trainer = gk.Trainer(max_epochs=2, batch_size=size, progress=False)
        result = trainer.fit(gk.models.GCN.from_task(task, hidden_channels=4), task)
        results.append((result.history, result.test, trainer.predict(task)[0].tolist()))
    assert results[0] == results[1]


def test_subgraphs_read_the_rows_of_their_nodes_alone(tmp_path, monkeypatch):
    """Of a file with a hole, everything but the hole can be read: where anything reads all of x, NaNs are found."""
    graph = mapped(tmp_path, "f2")
    far = torch.arange(30, N)
    near = (graph.in_memory().edge_index < 30).all(0)
    assert near.any()
    x = np.load(tmp_path / "mapped" / "x.npy", mmap_mode="r+")
    x[30:] = np.nan
    x.flush()
    graph = gk.MappedGraph(tmp_path / "mapped")
    for batch in gk.samplers.NeighborSampler([3]).batches(graph, torch.arange(10), 2):
        assert batch.x.dtype == torch.float32
        assert torch.equal(batch.x.isnan().any(1), torch.isin(batch.n_id, far))
        assert torch.equal(batch.x, graph.x[batch.n_id].float()) or batch.x.isnan().any()


def test_what_reads_everything_says_so(tmp_path):
    graph = mapped(tmp_path)
    task = gk.NodeTask("t", graph, gk.Split.random(N))
    remedy = "would be in memory as a whole, but the graph lies in files; train on subgraphs, task.sampled"
    inductive = task.sampled(gk.samplers.NeighborSampler([3], inductive=True))
    model = gk.models.GCN.from_task(task, hidden_channels=4)
    for run in (
        lambda: gk.Trainer(max_epochs=1, progress=False).fit(model, task),
        lambda: gk.Trainer(max_epochs=1, progress=False).fit(model, inductive),
        lambda: task.transform(gk.rewiring.FoSR(num_edges=1)),
        lambda: setattr(graph, "edge_index", torch.zeros(2, 0, dtype=torch.long)),
        lambda: gk.LinkTask("links", graph, gk.LinkSplit.random(graph.in_memory().edge_index, N)),
    ):
        with pytest.raises(TypeError, match=remedy):
            run()
    assert gk.Trainer(max_epochs=1, progress=False).fit(model, task.in_memory()).epochs == 1


def test_a_run_goes_on_with_the_same_files_only(tmp_path):
    task = gk.NodeTask("t", mapped(tmp_path), gk.Split.random(N)).sampled(gk.samplers.NeighborSampler([3]))

    def fit(task, epochs, folder, **arguments):
        trainer = gk.Trainer(max_epochs=epochs, batch_size=8, progress=False, run_dir=tmp_path / folder)
        return trainer.fit(gk.models.GCN.from_task(task, hidden_channels=4), task, **arguments)

    fit(task, 2, "run")
    assert fit(task, 4, "run", resume=True).history == fit(task, 4, "whole").history
    x = np.load(tmp_path / "mapped" / "x.npy", mmap_mode="r+")
    x[3, 1] = 7
    x.flush()
    other = gk.NodeTask("t", gk.MappedGraph(tmp_path / "mapped"), task.split).sampled(task.sampler)
    with pytest.raises(ValueError, match="task content"):
        fit(other, 5, "run", resume=True)


def test_tensors_may_be_written_into_but_not_files(tmp_path):
    graph = mapped(tmp_path)
    graph.x[0] = 9
    assert gk.MappedGraph(tmp_path / "mapped").x[0, 0] != 9


def test_pyg_reads_it_as_a_store(tmp_path):
    graph = mapped(tmp_path)
    row, colptr, perm = graph.csc()
    pattern = gk.ops.sparsity_pattern(graph.in_memory().edge_index, N)
    assert perm is None
    assert torch.equal(row.long(), pattern.col)
    assert torch.equal(colptr.long(), pattern.rowptr)
    index = torch.tensor([3, 1])
    assert torch.equal(graph.get_tensor(attr_name="x", index=index), graph.x[index])


# Files ----------------------------------------------------------------------------------------------------------------


def tables():
    """Ids that are no row numbers, a split, and labels beside features."""
    ids = np.random.default_rng(2).permutation(1000)[:N]
    block = nodes()
    table = pd.DataFrame(block["x"], columns=list("abcde")).assign(topic=block["y"])
    table.insert(0, "paper", ids)
    table["part"] = np.where(np.arange(N) % 4 == 0, "val", np.where(np.arange(N) % 4 == 1, "test", "train"))
    return table, pd.DataFrame({"source": ids[edges()[0]], "target": ids[edges()[1]]})


def check(graph, reference, masks=True):
    for mine, theirs in zip(graph.csc()[:2], reference.csc()[:2], strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(graph.x, reference.x)
    assert torch.equal(graph.y, reference.y)
    if masks:
        split = gk.Split.from_masks("given", graph.train_mask, graph.val_mask, graph.test_mask)
        assert split.val.tolist() == list(range(0, N, 4))
        assert split.test.tolist() == list(range(1, N, 4))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_become_a_mapped_graph(tmp_path, kind, capsys):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    source = tmp_path / "tables"
    source.mkdir()
    for name, table in zip(("nodes", "edges"), tables(), strict=True):
        getattr(table, f"to_{kind}")(source / f"{name}.{kind}", index=False)
    folder = str(tmp_path / "new")
    assert main(["map", str(source), folder, "--label", "topic", "--split", "part", "--dtype", "float16"]) == 0
    assert f"edges in {folder}" in capsys.readouterr().out
    graph = gk.MappedGraph(folder)
    assert graph.x.dtype == torch.float16
    check(graph, mapped(tmp_path, "f2"))


def ogb(source, binary):
    (source / "raw").mkdir(parents=True)
    (source / "split" / "time").mkdir(parents=True)
    block = nodes()
    for name, remainder in (("train", (2, 3)), ("valid", (0,)), ("test", (1,))):
        ids = [i for i in range(N) if i % 4 in remainder]
        pd.DataFrame(ids).to_csv(source / "split" / "time" / f"{name}.csv.gz", header=False, index=False)
    if binary:
        np.savez(source / "raw" / "data.npz", edge_index=edges(), node_feat=block["x"], num_nodes_list=[N])
        np.savez(source / "raw" / "node-label.npz", node_label=block["y"].astype(float)[:, None])
        return
    for name, rows in (("edge", edges().T), ("node-feat", block["x"]), ("node-label", block["y"][:, None])):
        pd.DataFrame(rows).to_csv(source / "raw" / f"{name}.csv.gz", header=False, index=False)


@pytest.mark.parametrize("binary", [True, False])
def test_files_of_ogb_become_a_mapped_graph(tmp_path, binary):
    ogb(tmp_path / "ogbn", binary)
    check(map_files(tmp_path / "ogbn", tmp_path / "new"), mapped(tmp_path))


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "pairs", "message"),
    [
        ({"x": np.full((3, 2), np.nan)}, [[0], [1]], "a feature of node 0 is not finite"),
        ({"x": np.ones((3, 2), int)}, [[0], [1]], r"x is int64 of shape \[3, 2\], must be floats"),
        ({"x": np.ones((3, 2)), "y": np.ones(2)}, [[0], [1]], r"unlike numbers of rows: x \[3, 2\], y \[2\]"),
        ({"y": np.array(list("abc"))}, [[0], [1]], "y is <U1, must be numbers"),
        ({"col": np.ones(3)}, [[0], [1]], "'col', which names a part of the graph"),
        ({"x": np.ones((3, 2))}, [[0, 3], [1, 1]], "names node 3, but there are 3 nodes"),
        ({"x": np.ones((3, 2))}, [[0, 1]], r"shape \[1, 2\], must be integers \[2, num\]"),
    ],
)
def test_bad_blocks(tmp_path, block, pairs, message):
    with pytest.raises((ValueError, IndexError), match=message):
        map_graph(tmp_path / "new", [np.array(pairs)], [block])
    assert not any(tmp_path.iterdir()), "nothing is left of a graph that could not be written"


def test_blocks_must_be_alike_and_folders_new(tmp_path):
    with pytest.raises(ValueError, match=r"after 2 rows x is float64 of shape \[2, 4\], but began as float64 of shape"):
        map_graph(tmp_path / "new", [], [{"x": np.ones((2, 3))}, {"x": np.ones((2, 4))}])
    with pytest.raises(ValueError, match="block 1 of nodes has y, but the first one x"):
        map_graph(tmp_path / "new", [], [{"x": np.ones((2, 3))}, {"y": np.ones(2)}])
    with pytest.raises(ValueError, match="there are no nodes"):
        map_graph(tmp_path / "new", [], [])
    mapped(tmp_path)
    with pytest.raises(FileExistsError, match="name a new folder"):
        mapped(tmp_path)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"rowptr.npy is missing; `graphkit map"):
        gk.MappedGraph(tmp_path)
    mapped(tmp_path)
    np.save(tmp_path / "mapped" / "more.npy", np.ones(N + 1))
    with pytest.raises(ValueError, match=r"more.npy has the shape \[41\], must have a row for each of the 40 nodes"):
        gk.MappedGraph(tmp_path / "mapped")
    os.remove(tmp_path / "mapped" / "more.npy")
    np.save(tmp_path / "mapped" / "col.npy", np.zeros(3, np.int32))
    with pytest.raises(ValueError, match=r"rowptr.npy must end with 3, the length of col.npy"):
        gk.MappedGraph(tmp_path / "mapped")


def test_bad_tables(tmp_path, capsys):
    node_table, edge_table = tables()
    new = tmp_path / "new"

    def write(nodes=node_table, edges=edge_table):
        nodes.to_csv(tmp_path / "nodes.csv", index=False)
        edges.to_csv(tmp_path / "edges.csv", index=False)

    with pytest.raises(FileNotFoundError, match=r"neither nodes.csv nor nodes.parquet, nor raw/"):
        map_files(tmp_path, new)
    write()
    with pytest.raises(ValueError, match=r"column 'part' is .*, must hold numbers"):
        map_files(tmp_path, new, label="topic")
    with pytest.raises(ValueError, match="nodes has no column 'topics'; it has 'paper', 'a'"):
        map_files(tmp_path, new, label="topics", split="part")
    arguments = {"label": "topic", "split": "part"}
    write(edges=edge_table.assign(target=5000))
    with pytest.raises(ValueError, match="target names 5000, which is no id of a node"):
        map_files(tmp_path, new, **arguments)
    write(nodes=node_table.assign(paper=1))
    with pytest.raises(ValueError, match="the id 1 is repeated"):
        map_files(tmp_path, new, **arguments)
    write(edges=edge_table.assign(weight=1.0))
    with pytest.warns(UserWarning, match="edges of a mapped graph have no attributes; weight is left out"):
        map_files(tmp_path, new, **arguments)
    ogb(tmp_path / "ogbn", binary=False)
    with pytest.raises(ValueError, match="OGB's files have no columns by name; leave out label='topic'"):
        map_files(tmp_path / "ogbn", new, label="topic")
    assert main(["map", str(tmp_path / "none"), str(tmp_path / "other")]) == 1
    assert "neither nodes.csv nor nodes.parquet" in capsys.readouterr().err
