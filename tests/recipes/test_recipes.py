"""Recipes: strict files, runs that are kept, honest verdicts."""

from __future__ import annotations

import math
import re
import statistics
from types import SimpleNamespace

import pytest
import yaml
from torch_geometric.data import Data

import graphkit as gk
from graphkit.cli import main
from graphkit.core.resources import shipped
from graphkit.datasets import MissingFilesError
from graphkit.recipes import Experiment, Paper, Published, Recipe, RecipeResult
from tests.recipes.small import PAPER, POINTS, changed, comparison, saved

FILES = sorted(shipped("recipes").glob("*/*.yaml"))
pytestmark = pytest.mark.usefixtures("own_folder")


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
