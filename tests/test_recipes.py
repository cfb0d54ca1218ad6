"""Recipes: strict files, runs that are kept, honest verdicts."""

from __future__ import annotations

import json
import math
import re
import statistics
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from joblib import parallel_config
from torch_geometric.data import Data

import graphkit as gk
from graphkit.cli import main
from graphkit.core.locks import locked
from graphkit.core.resources import shipped
from graphkit.datasets import MissingFilesError
from graphkit.recipes import Experiment, Paper, Published, Recipe, RecipeResult, running
from tests.training import runs

FILES = sorted(shipped("recipes").glob("*/*.yaml"))
PAPER = {"value": 50.0, "paper": "A and B (2020)", "table": "Table 1", "split": "public"}
CONFIG = {
    "model": {"class_path": "GCN", "init_args": {"hidden_channels": 8, "dropout": 0.5}},
    "task": "karate",
    "trainer": {"max_epochs": 4},
    "seeds": 3,
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))


@pytest.fixture
def trainings(monkeypatch):
    """The seeds that were really trained."""
    seeds = []
    original = gk.Trainer.fit

    def fit(self, *arguments, **options):
        seeds.append(self.seed)
        return original(self, *arguments, **options)

    monkeypatch.setattr(gk.Trainer, "fit", fit)
    return seeds


def saved(path):
    """A result file, with the content of its only cell."""
    content = json.loads(path.read_text())
    (cell,) = content["cells"]
    return content | cell


def cells(path):
    """The cells of a result file by point and variant."""
    return {(cell["point"], cell["variant"]): cell for cell in json.loads(path.read_text())["cells"]}


def changed(**parts):
    return {key: value for key, value in (CONFIG | parts).items() if value is not None}


# The files that come with graphkit


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_is_sound(path):
    name = f"{path.parent.name}/{path.stem}"
    recipe = gk.recipes.load(name)
    assert recipe.name == name
    assert gk.recipes.load(path).name == name
    assert recipe.name in gk.recipes.available()
    few = "because of the time" in recipe.note
    published = None if not recipe.is_single else recipe.cell.published
    wanted = 2 if not recipe.is_single else min(10, published.n or 10) if published else 10
    assert few or len(recipe.seeds) * len(recipe.splits) >= wanted, "fewer runs than published, too few for a mean"
    assert recipe.is_single or all(len(cells) >= 2 for cells in recipe.points.values())
    for cell in recipe.cells.values():
        assert_builds(cell)


def assert_builds(cell):
    if cell.published is not None:
        # a value quoted from elsewhere may come without a link, but then nobody has checked it
        link = cell.published.url or cell.published.paper.link
        assert link.startswith("https://") or not (link or cell.published.confirmed)
        assert cell.published.paper.key, "papers.yaml holds the papers of graphkit's own recipes"
        assert cell.published.confirmed or cell.published.note, "say why the number is not confirmed"
    card = gk.datasets.card(cell.experiment.config["task"]["name"])
    graphs = [Data(num_nodes=1, readout_mask=1 if card.generator == "pna_multitask" else None)]
    of_pairs, outputs = card.kind in ("link", "event", "ranking"), card.expect.get("outputs")
    features = (cell.experiment.config.get("features") or {}).get("init_args", {})
    shape = SimpleNamespace(
        name=card.name,
        kind=card.kind,
        num_edge_features=0,
        mean_pause=1.0,
        num_features=card.expect.get("features", 0) + features.get("walk_length", 0),
        num_outputs=None if of_pairs else outputs,
        num_classes={"multiclass": outputs, "binary": 2}.get(card.target, 0),
        readout=None if card.kind != "graph" else "mean" if graphs[0].get("readout_mask") is None else "mask",
        graphs=graphs,
        joins_graphs=card.kind == "graph",
        example=graphs[0],
        ranks=card.kind == "ranking",
        judges_pairs=of_pairs,
        judges_links=of_pairs,
    )
    model = cell.experiment.build_model(shape)
    trainer = cell.experiment.build_trainer()
    if not list(model.parameters()):
        return
    optimizers = trainer._optimizers()
    optimizer = optimizers.make(model.named_parameters())
    if isinstance(trainer.strategy, gk.strategies.Backprop):
        optimizers.check_patterns()
    larger = (trainer.scheduler_kwargs or {}).get("mode") == "max"
    for scheduler in optimizers.make_schedulers([optimizer], larger, trainer.max_epochs):
        for _ in range(0 if trainer.scheduler == "ReduceLROnPlateau" else trainer.max_epochs):
            optimizer.step()
            scheduler.step()
    assert Experiment.from_config(cell.experiment.config).config == cell.experiment.config


def test_gcn_recipes_say_what_the_paper_says():
    for dataset, value in (("cora", 81.5), ("citeseer", 70.3), ("pubmed", 79.0)):
        recipe = gk.recipes.load(f"gcn/{dataset}")
        arguments = recipe.cell.experiment.config["model"]["init_args"]
        assert recipe.cell.published.value == value
        assert recipe.cell.published.n == 100
        assert {key: arguments[key] for key in ("hidden_channels", "num_layers", "dropout", "bias")} == {
            "hidden_channels": 16,
            "num_layers": 2,
            "dropout": 0.5,
            "bias": False,
        }
        assert recipe.cell.experiment.config["trainer"]["weight_decay"] == {"layers.0.*": 0.0005}
        assert recipe.seeds == list(range(20))


# Strict reading


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(sedes=3), "unknown key 'sedes'; did you mean 'seeds'?"),
        (changed(model=None), "the key 'model' is missing"),
        (changed(task=None), "the key 'task' is missing"),
        (changed(model={"class": "GCN"}), "model: expected a class name, or class_path and init_args"),
        (changed(model={"class_path": "GCN", "args": {}}), "model: unknown key 'args'; did you mean 'init_args'?"),
        (changed(model="GCM"), "unknown model 'GCM'; did you mean 'GCN'?"),
        (changed(model={"class_path": "GCN", "init_args": {"hiden": 1}}), "unknown argument 'model.hiden'"),
        (changed(model={"class_path": "GCN", "init_args": [1]}), "model: expected arguments by name, got [1]"),
        (changed(task="corra"), "unknown dataset 'corra'; did you mean 'cora'?"),
        (changed(task={"name": "karate", "split": "privat"}), "unknown split family 'privat'"),
        (changed(task={"name": "karate", "rows": 3}), "unknown argument 'task.rows'"),
        (
            changed(task="cora-links", splits=["random-85-5-10/0", "random-70-10-20/0"]),
            "splits: they are judged by different metrics, roc_auc and hits@100",
        ),
        (changed(trainer={"patiance": 3}), "did you mean 'trainer.patience'?"),
        (changed(trainer={"max_epochs": "many"}), "trainer.max_epochs: expected int, got 'many'"),
        (changed(trainer={"optimizer": "Adamm"}), "unknown optimizer 'Adamm'; did you mean 'Adam'?"),
        (changed(transforms=["NormalizeFeatures"]), "e.g. torch_geometric.transforms.NormalizeFeatures"),
        (changed(transforms=["torch_geometric.transforms.Normalise"]), "unknown class of torch_geometric.transforms"),
        (changed(rewiring="RandomEdge"), "unknown rewiring 'RandomEdge'; did you mean 'RandomEdges'?"),
        (changed(splits=["public", 4]), "split 4 of family 'public' does not exist"),
        (changed(splits=0), "Recipe: splits=0, must be in [1, 10000]"),
        (changed(splits="public"), "Recipe: splits='public', must be an integer or a sequence or None"),
        (changed(seeds=0), "Recipe: seeds=0, must be in [1, 10000]"),
        (changed(seeds=[1, 1]), "Recipe: seeds=[1, 1], must not repeat one"),
        (changed(splits=2**70), "Recipe: splits=1180591620717411303424, must be in [1, 10000]"),
        (changed(seeds="3"), "Recipe: seeds='3', must be an integer or a sequence"),
        (changed(seeds=b"3"), "Recipe: seeds=b'3', must be an integer or a sequence"),
        (changed(seeds=10**9), "Recipe: seeds=1000000000, must be in [1, 10000]"),
        (
            changed(model={"class_path": "GCN", "init_args": {"hidden_channels": 0}}),
            "GCN: hidden_channels=0, must be at",
        ),
        (changed(model={"class_path": "GCN", "init_args": {"dropout": 1.5}}), "GCN: dropout=1.5, must be in [0, 1)"),
        (changed(model={"class_path": "GCN", "init_args": {"residual": "linaer"}}), "did you mean 'linear'?"),
        (changed(features={"class_path": "RandomWalkPE", "init_args": {"walk_length": 0}}), "walk_length=0, must be"),
        (changed(tolerance=0.5), "a margin may narrow the metric's own"),
        (changed(published=PAPER, margin=2.0), "margin: 2.0, must be a number above 0 and at most the 1 of accuracy"),
        (changed(published=PAPER, margin=math.nan), "Recipe: margin=nan, must be a number"),
        (changed(published=PAPER, not_comparable=True), "Recipe: not_comparable=True, must be a string"),
        (changed(not_comparable="other data"), "about a published value, and there is none"),
        (changed(published=PAPER | {"spread_kind": "error"}), "published: spread_kind='error', choose from: std"),
        (changed(published=PAPER | {"value": math.nan}), "published: value=nan, must be a number"),
        (changed(published={"value": 50.0}), "published: the key 'paper' is missing"),
        (changed(published=PAPER | {"vallue": 50.0}), "did you mean 'value'?"),
        (changed(published=PAPER | {"value": "81.5"}), "published: value='81.5', must be a number"),
        (changed(published=PAPER | {"n": 2.5}), "published: n=2.5, must be an integer or None"),
        (changed(published=PAPER | {"confirmed": "no"}), "published: confirmed='no', must be True or False"),
        (changed(published=PAPER | {"unit": ""}), "published.unit is '', but accuracy is given in '%'"),
    ],
)
def test_a_wrong_recipe_names_the_file_and_the_key(config, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        gk.recipes.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_repeated_key_is_refused_in_any_depth(tmp_path):
    path = tmp_path / "mine.yaml"
    text = "task: karate\nmodel: {class_path: GCN, init_args: {dropout: 0.1, dropout: 0.5}}\n"
    for wrong, line, key in ((text + "task: cora\n", 3, "task"), (text, 2, "dropout")):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=f"line {line}: the key '{key}' is repeated"):
            gk.recipes.load(path)


def test_unknown_recipe():
    with pytest.raises(ValueError, match="unknown recipe 'gcn/korra'; did you mean 'gcn/cora'"):
        gk.recipes.load("gcn/korra")


def test_defaults_and_order_of_keys_do_not_change_the_hash():
    short = Experiment.from_config({"model": "gcn", "task": "karate"})
    long = {"task": {"split": 0, "name": "karate"}, "trainer": {"lr": 0.01, "seed": 7, "run_dir": "x"}}
    assert Experiment.from_config({"model": {"class_path": "GCN"}} | long).hash == short.hash
    assert Experiment.from_config({"model": "gcn", "task": "karate"}, ["--trainer.lr=0.1"]).hash != short.hash
    assert Experiment.from_config({"model": "mlp", "task": "karate"}).hash != short.hash


def test_another_metric_judges_a_named_dataset():
    config = {"model": "GCN", "task": {"name": "karate", "metric": "f1_macro"}, "trainer": {"max_epochs": 5}}
    experiment = Experiment.from_config(config)
    assert experiment.hash != Experiment.from_config(config | {"task": "karate"}).hash
    result = experiment.run(progress=False)
    task, trainer = experiment.load_task(), experiment.build_trainer(progress=False)
    trainer.fit(experiment.build_model(task), task)
    outputs, labels = trainer.predict(task)
    hits = [(outputs.argmax(1) == c, labels == c) for c in range(4)]
    f1 = [float(2 * (found & true).sum() / (found.sum() + true.sum()).clamp(min=1)) for found, true in hits]
    assert (result.metric, result.test) == ("f1_macro", pytest.approx(statistics.mean(f1)))


def test_another_metric_judges_all_splits_of_a_recipe():
    task = {"name": "minesweeper", "rows": 12, "columns": 12, "metric": "average_precision"}
    recipe = Recipe("mine", changed(task=task, splits=2, seeds=1))
    result = recipe.run(progress=False)
    assert result.cell.metric == "average_precision"
    for run in result.cell.runs:
        loaded = recipe.cell.experiment.run(split=run["split"], seed=run["seed"], progress=False)
        assert (loaded.metric, loaded.test) == ("average_precision", pytest.approx(run["test"] / 100))


def test_transforms_features_and_rewiring_are_applied_in_this_order():
    config = {
        "model": "gcn",
        "task": "karate",
        "transforms": [
            {"class_path": "torch_geometric.transforms.Constant", "init_args": {"value": 3.0}},
            "torch_geometric.transforms.NormalizeFeatures",
        ],
        "features": {"class_path": "RandomWalkPE", "init_args": {"walk_length": 2}},
        "rewiring": {"class_path": "RandomEdges", "init_args": {"num_edges": 5}},
    }
    task = Experiment.from_config(config).load_task()
    plain = gk.load("karate")
    assert task.num_features == 34 + 1 + 2
    # the row of an identity matrix and a 3, divided by 4: normalised after Constant, before the walk's probabilities
    assert (task.data.x[:, 34] == 0.75).all()
    assert (task.data.x[:, :34].sum(1) == 0.25).all()
    assert task.data.num_edges == plain.data.num_edges + 10
    walks = gk.features.RandomWalkPE(walk_length=2)(plain.data).x[:, -2:]
    assert (task.data.x[:, 35:] == walks).all()  # of the graph before rewiring


# Runs


def test_statistics_and_saved_file(tmp_path):
    recipe = Recipe("mine", changed(published=PAPER | {"value": 5.0}, note="a  note\n on two lines"))
    result = recipe.run(progress=False)
    scores = [run["test"] for run in result.cell.runs]
    expected = [100 * recipe.cell.experiment.run(seed=seed, progress=False).test for seed in range(3)]
    assert scores == pytest.approx(expected)
    assert result.cell.n == 3
    assert result.cell.mean == pytest.approx(statistics.fmean(scores))
    assert result.cell.std == pytest.approx(statistics.stdev(scores))
    assert result.cell.difference == pytest.approx(result.cell.mean - 5.0)
    path = result.save()
    assert path.resolve() == tmp_path / "results" / "mine.json"
    content = saved(path)
    for key in ("recipe", "published", "mean", "std", "n", "verdict", "runs", "command", "seconds",
                "hardware", "versions", "config_hash", "split", "split_hash", "date"):  # fmt: skip
        assert content[key] not in (None, "", []), key
    assert content["mean"] == pytest.approx(result.cell.mean, abs=1e-4)
    assert content["verdict"]["word"] == result.cell.verdict.word
    assert content["verdict"]["difference"] == pytest.approx(result.cell.difference, abs=1e-4)
    assert content["split"] == "public"
    assert content["split_hash"] == gk.load("karate").split.hash
    assert [run["seed"] for run in content["runs"]] == [0, 1, 2]
    assert content["note"] == "a note on two lines"
    printed = str(result)
    assert f"ours        {result.cell.mean:.2f} ± {result.cell.std:.2f} (std) % on 20 nodes, n=3" in printed
    assert "unconfirmed" in printed
    assert f"verdict     {result.cell.verdict}" in printed


def test_parallel_runs_give_the_same_numbers():
    recipe = Recipe("mine", changed())
    one = recipe.run(progress=False, folder="one")
    two = recipe.run(progress=False, folder="two", jobs=2)
    for first, second in zip(one.cell.runs, two.cell.runs, strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


@pytest.fixture(params=["dask", "ray"])
def cluster(request):
    """The name by which joblib calls into a local cluster of two processes."""
    if request.param == "dask":
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as workers,
            distributed.Client(workers),
        ):
            yield "dask"
    else:
        ray = pytest.importorskip("ray")
        pytest.importorskip("ray.util.joblib").register_ray()
        ray.init(num_cpus=2, include_dashboard=False)
        yield "ray"
        ray.shutdown()


def test_a_cluster_gives_the_same_numbers(cluster, trainings):
    recipe = Recipe("mine", changed())
    here = recipe.run(progress=False, folder="here")
    assert trainings == [0, 1, 2]
    with parallel_config(cluster, n_jobs=2):
        there = recipe.run(progress=False, folder="there")
    assert trainings == [0, 1, 2]  # no training in this process
    for first, second in zip(here.cell.runs, there.cell.runs, strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_finished_seeds_are_kept_and_damaged_ones_repeated(trainings, tmp_path):
    recipe = Recipe("mine", changed())
    first = recipe.run(seeds=2, progress=False)
    assert trainings == [0, 1]
    again = recipe.run(progress=False)
    assert trainings == [0, 1, 2]
    assert again.cell.runs[:2] == first.cell.runs
    kept = tmp_path / "runs" / "reproduce" / "mine"
    whole = (kept / "seed-1" / "result.json").read_text()
    (kept / "seed-1" / "result.json").write_text(whole[: len(whole) // 2])
    (kept / "seed-2" / "result.json").write_text("[1]")
    repeated = recipe.run(progress=False)
    assert trainings == [0, 1, 2, 1, 2]
    without_time = [[{**run, "seconds": 0} for run in result.cell.runs] for result in (again, repeated)]
    assert without_time[0] == without_time[1]
    recipe.run(progress=False, fresh=True)
    assert trainings[5:] == [0, 1, 2]
    Recipe("mine", changed(trainer={"max_epochs": 5})).run(progress=False)  # another configuration
    assert trainings[8:] == [0, 1, 2]


def _run_recipe(output):
    recipe = Recipe("mine", changed(trainer={"max_epochs": 30}))
    Path(output).write_text(json.dumps(recipe.run(progress=False).cell.runs))


def test_two_processes_at_once_share_the_runs(tmp_path):
    processes = [runs.context().Process(target=_run_recipe, args=(tmp_path / name,)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (json.loads((tmp_path / name).read_text()) for name in "ab")
    assert len(first) == 3
    assert first == second, "their times are the same, too: each run was trained once"
    assert sorted(path.name for path in Path("runs").rglob("*") if path.is_file()) == ["result.json"] * 3


def test_who_waits_says_so_and_a_flipped_digit_is_noticed(trainings, caplog):
    recipe = Recipe("mine", changed(seeds=1))
    first = recipe.run(progress=False)
    path = Path("runs/reproduce/mine/seed-0/result.json")
    content = json.loads(path.read_text())
    content["run"]["test"] += 0.01
    path.write_text(json.dumps(content))
    with locked(path.parent / f"{content['key']}.lock", ""):
        thread = threading.Thread(target=lambda: recipe.run(progress=False))
        thread.start()
        thread.join(1)
        assert thread.is_alive()
    thread.join()
    assert "result.json is damaged (its checksum is wrong); the run is repeated" in caplog.text
    assert "another process trains split 0, seed 0 in" in caplog.text
    assert trainings == [0, 0]
    assert json.loads(path.read_text())["run"]["test"] == pytest.approx(first.cell.runs[0]["test"] / 100)


def test_threads_give_the_same_numbers():
    recipe = Recipe("mine", changed())
    one = recipe.run(progress=False, folder="one")
    with parallel_config("threading", n_jobs=3):
        two = recipe.run(progress=False, folder="two")
    for first, second in zip(one.cell.runs, two.cell.runs, strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}


def test_pyg_models_read_where_the_task_says():
    sizes = {"num_nodes": 6, "num_train": 4, "num_val": 4, "num_test": 4}
    for name, options, readout in (("ring-transfer", sizes, "mask"), ("csl", {}, "mean")):
        model = {"class_path": "torch_geometric.nn.GIN", "init_args": {"hidden_channels": 4, "num_layers": 2}}
        experiment = Experiment.from_config({"model": model, "task": {"name": name, **options}})
        task = experiment.load_task()
        model = experiment.build_model(task)
        assert model.readout == readout
        assert model(next(iter(task.batches("val", 3)))).shape == (3, task.num_outputs)


def test_ctrl_c_keeps_what_is_finished(monkeypatch, trainings):
    recipe = Recipe("mine", changed())
    original = running.Experiment.build_trainer

    def build(self, **changes):
        if changes.get("seed") == 2:
            raise KeyboardInterrupt
        return original(self, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(running.Experiment, "build_trainer", build)
        with pytest.raises(KeyboardInterrupt, match="2 of 3 runs of mine are saved"):
            recipe.run(progress=False)
    assert recipe.run(progress=False).cell.n == 3
    assert trainings == [0, 1, 2]


def test_ctrl_c_within_a_run_keeps_its_epochs(ctrl_c_in_epoch, tmp_path):
    recipe = Recipe("mine", changed(trainer={"max_epochs": 6}))
    epochs = ctrl_c_in_epoch(8)  # the second of the second run
    with pytest.raises(KeyboardInterrupt, match="1 of 3 runs of mine are saved"):
        recipe.run(progress=False)
    result = recipe.run(progress=False)
    assert epochs == [0] * 6 + [1] * 6 + [2] * 6
    whole = recipe.run(progress=False, folder=tmp_path / "whole")
    without_time = [[{**run, "seconds": 0} for run in each.cell.runs] for each in (result, whole)]
    assert without_time[0] == without_time[1]
    assert sorted(path.name for path in Path("runs").rglob("*") if path.is_file()) == ["result.json"] * 3


def test_every_split_with_every_seed():
    task = {"name": "minesweeper", "rows": 12, "columns": 12}
    recipe = Recipe("mine", changed(task=task, splits=[0, "random-50-25-25/1"], seeds=[3, 5]))
    result = recipe.run(progress=False)
    assert [(run["split"], run["seed"]) for run in result.cell.runs] == [
        ("random-50-25-25/0", 3),
        ("random-50-25-25/0", 5),
        ("random-50-25-25/1", 3),
        ("random-50-25-25/1", 5),
    ]
    assert result.cell.split == "random-50-25-25/0, random-50-25-25/1"
    assert result.cell.split_hash not in {run["split_hash"] for run in result.cell.runs}


def test_tasks_are_loaded_when_their_runs_begin_and_missing_splits_are_refused_before(trainings, monkeypatch):
    original, loaded = Experiment.load_task, []

    def load_task(self, split=None):
        loaded.append((split, len(trainings)))
        return original(self, split)

    monkeypatch.setattr(Experiment, "load_task", load_task)
    task = {"name": "minesweeper", "rows": 12, "columns": 12}
    recipe = Recipe("mine", changed(task=task, splits=3, seeds=2))
    running._task.cache_clear()
    result = recipe.run(progress=False)
    names = [f"random-50-25-25/{index}" for index in range(3)]
    assert loaded == [(names[0], 0), (names[1], 2), (names[2], 4)]
    tasks = [gk.load(split=name, **task) for name in names]
    assert [run["baseline"] for run in result.cell.runs[::2]] == [
        pytest.approx(100 * task.baseline(), abs=1e-4) for task in tasks
    ]

    def missing(name, splits, **options):
        raise MissingFilesError("gone")

    monkeypatch.setattr(running, "load_splits", missing)
    assert recipe.run(progress=False, fresh=True).missing
    assert len(trainings) == 6


def test_a_number_of_splits_is_so_many_of_the_tasks_family():
    task = {"name": "minesweeper", "split": "random-50-25-25/7"}
    assert Recipe("mine", changed(task=task, splits=2)).splits == ["random-50-25-25/0", "random-50-25-25/1"]
    assert Recipe("mine", changed(task=task, splits=None)).splits == ["random-50-25-25/7"]


def test_integers_of_numpy_are_integers():
    recipe = Recipe("mine", changed(seeds=np.int64(2), trainer={"max_epochs": np.int32(1)}))
    assert recipe.seeds == [0, 1]
    assert [run["seed"] for run in recipe.run(seeds=[np.int64(4)], progress=False).cell.runs] == [4]


def test_another_split_is_not_compared_with_the_paper():
    task = {"name": "minesweeper", "rows": 12, "columns": 12}
    recipe = Recipe("mine", changed(task=task, published=PAPER | {"unit": "%"}, seeds=1))
    assert recipe.run(progress=False).cell.published is not None
    other = recipe.run(splits=["random-50-25-25/1"], progress=False)
    assert other.cell.published is None
    assert other.cell.verdict.word == "no published value"
    assert other.path.name == "mine-random-50-25-25-1.json"
    assert other.command.endswith("--split random-50-25-25/1")


def test_data_not_at_hand(monkeypatch, capsys, trainings):
    def missing(self, split=None):
        raise MissingFilesError("gone")

    monkeypatch.delenv("GRAPHKIT_MIRROR", raising=False)
    monkeypatch.setattr(Experiment, "load_task", missing)
    result = gk.recipes.load("gcn/cora").run(progress=False)
    assert result.missing == "planetoid/Cora/raw/ind.cora.x"
    assert "verdict     data not at hand: planetoid/Cora/raw/ind.cora.x" in str(result)
    assert "79.0" not in str(result)
    assert "ours" not in str(result)
    with pytest.raises(ValueError, match="nothing was measured"):
        result.save("result.json")
    assert main(["reproduce", "gcn/cora", "--output", "result.json"]) == 1
    assert "verdict     data not at hand" in capsys.readouterr().out
    assert not (gk.recipes.load("gcn/cora").path.parent / "result.json").exists()
    assert trainings == []


def test_reproduce_on_the_command_line(tmp_path, capsys, caplog):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed(published=PAPER | {"value": 99.9, "confirmed": True})))
    assert main(["reproduce", "mine.yaml", "--seeds", "0,2", "--output", "out.json"]) == 0
    printed = capsys.readouterr().out
    assert "paper       99.9 %; A and B (2020), Table 1, public\n" in printed
    assert "verdict     not comparable: difference -" in printed
    content = saved(tmp_path / "out.json")
    assert [run["seed"] for run in content["runs"]] == [0, 2]
    for run, line in zip(content["runs"], caplog.messages, strict=True):  # without a terminal, a line for each run
        assert line.startswith(f"mine, split public, seed {run['seed']}: test {run['test']:.2f}, val {run['val']:.2f}")
    assert content["command"] == "graphkit reproduce mine.yaml --seeds 0,2"
    assert "not shown to be better than 40.00" in content["verdict"]["reason"]


# Comparisons

VARIANTS = {
    "narrow": {"model": {"init_args": {"hidden_channels": 2}}},
    "wide": {"model": {"init_args": {"hidden_channels": 16}}, "published": PAPER},
}
SETS = {"name": "second-minimum", "num_train": 64, "num_val": 32, "num_test": 32, "num_extrapolation": 16}


def comparison(**parts):
    model = {"class_path": "DeepSets", "init_args": {"hidden_channels": 8, "readout": "max"}}
    base = {"model": model, "task": SETS, "trainer": {"max_epochs": 2}, "seeds": 2, "also_test": ["extrapolation"]}
    return base | {"variants": VARIANTS, "note": "Why."} | parts


def test_variants_change_what_they_name_and_nothing_else():
    compared = Recipe("mine", comparison())
    narrow, wide = compared.variants.values()
    assert narrow.experiment.config["model"]["init_args"]["hidden_channels"] == 2
    assert wide.experiment.config["model"]["init_args"]["hidden_channels"] == 16
    assert narrow.experiment.config["model"]["init_args"]["readout"] == "max"
    assert narrow.experiment.config["trainer"] == wide.experiment.config["trainer"]
    assert (narrow.published, wide.published.value) == (None, 50.0)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (["sum"], "Recipe: variants=['sum'], must be a mapping or None"),
        ({"a": {"modell": "GCN"}}, "variants.a: unknown key 'modell'; did you mean 'model'?"),
        ({"a": {"model": {"init_args": {"readot": "sum"}}}}, "variants.a: unknown argument 'model.readot'"),
        ({"a": {"seeds": 3}}, "variants.a: 'seeds' is shared by all variants"),
        ({"a": {}, "b": {"against": "c"}}, "variants.b: against: 'c' is no other variant"),
    ],
)
def test_a_wrong_variant_is_named(variants, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(comparison(variants=variants)))
    with pytest.raises(ValueError, match=re.escape(message)):
        gk.recipes.load(path)


def test_a_comparison_is_trained_once_scored_twice_and_kept(tmp_path, capsys, trainings):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(comparison()))
    assert main(["reproduce", "mine.yaml", "--output", "out.json"]) == 0
    assert trainings == [0, 1, 0, 1]
    printed = capsys.readouterr().out
    header, narrow, wide = printed.splitlines()[1:4]
    assert re.split("  +", header.strip()) == [
        "variant",
        "in-distribution ± std",
        "extrapolation ± std",
        "n",
        "published",
        "verdict",
    ]
    assert narrow.split()[0] == "narrow"
    assert "  50  " in wide
    assert (tmp_path / "out.png").stat().st_size > 1000
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["command"] == "graphkit reproduce mine.yaml --seeds 2"
    assert list(cells(tmp_path / "out.json")) == [("", "narrow"), ("", "wide")]
    for part in cells(tmp_path / "out.json").values():
        assert part["n"] == 2
        scores = [run["also_test"]["extrapolation"] for run in part["runs"]]
        assert part["also_test"]["extrapolation"]["mean"] == pytest.approx(statistics.fmean(scores), abs=1e-4)
    assert main(["reproduce", "mine.yaml", "--seeds", "3"]) == 0
    assert trainings[4:] == [2, 2]


def test_a_variant_is_compared_run_by_run():
    variants = VARIANTS | {"wide": VARIANTS["wide"] | {"against": "narrow"}}
    result = Recipe("mine", comparison(variants=variants)).run(progress=False)
    narrow, wide = ([run["test"] for run in result.variants[name].runs] for name in variants)
    gains = [after - before for before, after in zip(narrow, wide, strict=True)]
    change = result.differences()["wide"]
    assert change.mean == pytest.approx(statistics.fmean(gains), abs=1e-4)
    assert change.standard_error == pytest.approx(statistics.stdev(gains) / 2**0.5, abs=1e-4)
    header, first, second = result.rows()
    assert (header[-1], first[-1], second[-1]) == ("difference [95 % interval]", "—", str(change))
    assert result.content()["cells"][1]["paired_difference"]["against"] == "narrow"


def test_a_further_split_is_scored_as_training_on_it_would_be():
    own = Recipe("mine", {key: value for key, value in comparison().items() if key != "variants"})
    (first, _) = own.run(progress=False).cell.runs
    far = Recipe("far", {"model": own.cell.experiment.config["model"], "task": SETS | {"split": "extrapolation"},
                         "trainer": {"max_epochs": 2}})  # fmt: skip
    (run,) = far.run(progress=False).cell.runs
    assert run["val"] == first["val"]  # the training and validation parts are the same
    assert run["test"] == pytest.approx(first["also_test"]["extrapolation"], abs=1e-4)


def test_logarithms_of_errors():
    task = {"name": "gnp-sets", "num_train": 40, "num_val": 10, "num_test": 10, "num_extrapolation": 10}
    config = comparison(task=task, unit="log10", seeds=1) | {"variants": None}
    recipe = Recipe("mine", config)
    (run,) = recipe.run(progress=False).cell.runs
    plain = recipe.cell.experiment.run(seed=0, progress=False)
    assert 10 ** run["test"] == pytest.approx(plain.test, rel=1e-4)
    with pytest.raises(ValueError, match="unit: 'log10' does not fit accuracy"):
        Recipe("mine", changed(unit="log10"))


def test_scores_in_the_units_of_tables():
    recipe = Recipe("mine", changed(task={"name": "minesweeper", "rows": 12, "columns": 12}, seeds=1))
    (run,) = recipe.run(progress=False).cell.runs
    assert run["test"] == pytest.approx(100 * recipe.cell.experiment.run(progress=False, seed=0).test, abs=1e-5)


# Sweeps

POINTS = {"small": {"task": {"num_train": 32}}, "large": {"model": {"init_args": {"num_layers": 3}}}}


def test_points_change_what_they_name_and_variants_come_last():
    variants = VARIANTS | {"shallow": {"model": {"init_args": {"num_layers": 1}}}}
    swept = Recipe("mine", comparison(variants=variants, points=POINTS))
    small, large = swept.points.values()
    assert small["wide"].experiment.config["task"]["num_train"] == 32
    assert large["wide"].experiment.config["task"]["num_train"] == 64
    depths = {name: part.experiment.config["model"]["init_args"]["num_layers"] for name, part in large.items()}
    assert depths == {"narrow": 3, "wide": 3, "shallow": 1}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"points": [10]}, "Recipe: points=[10], must be a mapping or None"),
        ({"points": {"a": {"seeds": 3}}}, "points.a: 'seeds' is shared by all points"),
        ({"points": {"a": {"modell": "GCN"}}}, "points.a: variants.narrow: unknown key 'modell'"),
        ({"points": POINTS, "variants": None}, "points: there is nothing to compare without variants"),
    ],
)
def test_a_wrong_point_is_named(parts, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(comparison(**parts)))
    with pytest.raises(ValueError, match=re.escape(message)):
        gk.recipes.load(path)


def test_a_sweep_has_a_column_per_point_and_is_kept(tmp_path, capsys, trainings):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(comparison(points=POINTS, also_test=None), sort_keys=False))
    assert main(["reproduce", "mine.yaml", "--output", "out.json"]) == 0
    assert trainings == [0, 1] * 4
    header, narrow, wide = capsys.readouterr().out.splitlines()[1:4]
    assert re.split("  +", header.strip()) == ["variant", "small ± std", "large ± std"]
    assert (narrow.split()[0], wide.split()[0]) == ("narrow", "wide")
    assert (tmp_path / "out.png").stat().st_size > 1000
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["command"] == "graphkit reproduce mine.yaml --seeds 2"
    for point in ("small", "large"):
        for name in ("narrow", "wide"):
            part = cells(tmp_path / "out.json")[point, name]
            assert part["mean"] == pytest.approx(statistics.fmean(run["test"] for run in part["runs"]), abs=1e-4)
    assert main(["reproduce", "mine.yaml"]) == 0
    assert len(trainings) == 8, "nothing is trained twice"


def test_infinity_is_a_value(tmp_path):
    config = {"model": {"class_path": "DRew", "init_args": {"nu": float("inf")}}, "task": "ring-transfer"}
    experiment = Experiment.from_config(config)
    assert experiment.config["model"]["init_args"]["nu"] == float("inf")
    assert Experiment.from_config(config, ["--model.nu", "2"]).config["model"]["init_args"]["nu"] == 2


# Old names and files


def test_old_names_warn_and_an_old_result_says_what_to_do(tmp_path):
    with pytest.warns(FutureWarning, match="graphkit.recipes.Reproduction is now RecipeResult"):
        assert gk.recipes.Reproduction is RecipeResult
    recipe = Recipe("mine", changed())
    with pytest.warns(FutureWarning, match="Recipe.experiment is now Recipe.cell.experiment"):
        assert recipe.experiment is recipe.cell.experiment
    with pytest.raises(ValueError, match="it has 2 cells; take one of variants"):
        Recipe("mine", comparison()).cell  # noqa: B018
    path = tmp_path / "old.json"
    path.write_text('{"recipe": "gcn/cora", "mean": 81.5}')
    with pytest.raises(ValueError, match=r"old\.json .*'cells', as in files of graphkit 0\.1.*; move it away"):
        RecipeResult.load(path)


def test_a_saved_result_is_read_as_it_was(tmp_path):
    result = Recipe("mine", comparison(points=POINTS)).run(progress=False)
    read = RecipeResult.load(result.save(tmp_path / "mine.json"))
    assert read.content() == result.content()
    assert str(read) == str(result)
    assert read.cells == result.cells


def test_papers_are_data():
    kipf = Published(81.5, paper="kipf2017", table="T", split="S").paper
    assert (kipf.authors, kipf.year, kipf.link) == (("Kipf", "Welling"), 2017, "https://arxiv.org/abs/1609.02907")
    assert [
        str(Paper.from_config(paper)) for paper in ("park2024", "A and B (2020)", {"authors": ["A"], "year": 2020})
    ] == [
        "Park et al. (ICLR 2024)",
        "A and B (2020)",
        "A (2020)",
    ]
    for paper in ("park2024", "A and B (2020)", {"authors": ["A"], "year": 2020}):
        assert Paper.from_config(paper).config() == paper
    with pytest.raises(ValueError, match="unknown paper 'kipf2018'; did you mean 'kipf2017'"):
        Paper.from_config("kipf2018")
    with pytest.raises(ValueError, match="paper: unknown field 'yaer'; did you mean 'year'"):
        Paper.from_config({"yaer": 2020})
