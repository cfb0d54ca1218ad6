"""Streams of events as datasets: what they hold, the options of their tasks, and recipes that name them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.datasets import JODIEDataset

import graphkit as gk
from graphkit.datasets import catalog
from graphkit.datasets.loaders.events import events
from graphkit.datasets.raw import RawFiles
from graphkit.recipes import Recipe
from graphkit.recipes.experiment import Experiment


def test_a_week_is_as_published(real: Path) -> None:
    task = gk.load("collegemsg")
    assert (task.num_nodes, task.t.numel(), task.msg.size(1)) == (1899, 59835, 0)
    assert task.t.dtype == torch.long
    assert int(task.t[0]) == 1082040961
    assert task.split.sizes[0] / 59835 == pytest.approx(0.7, abs=0.001)
    assert gk.load("bitcoin-otc").msg.abs().max() == 1


def test_options_are_those_of_the_task(real: Path) -> None:
    task = gk.load("collegemsg", negatives="historical", eval_negatives=3, batching="t-batch")
    assert task.negatives["val"].shape == (task.split.val.numel(), 3)
    assert isinstance(task.batching, gk.tasks.TBatch)
    with pytest.raises(TypeError, match="dataset 'collegemsg' has no option 'negative'; its options are: negatives"):
        gk.load("collegemsg", negative="historical")
    with pytest.raises(ValueError, match="negatives='historic'"):
        gk.load("collegemsg", negatives="historic")


def test_recipes_name_them(real: Path) -> None:
    config = {
        "model": {"class_path": "NAT", "init_args": {"num_neighbors": [4]}},
        "task": {"name": "collegemsg", "negatives": "historical"},
        "trainer": {"max_epochs": 1, "batch_size": 200},
    }
    experiment = Experiment.from_config(config)
    assert experiment.config["task"] == {"name": "collegemsg", "split": 0, "negatives": "historical"}
    assert experiment.build_model(experiment.load_task()).caches.neighbor.shape == (1899, 5)


@pytest.mark.parametrize("name", ["collegemsg", "enron", "bitcoin-otc"])
def test_protocols_are_splits_of_which_an_option_differs(real: Path, name: str) -> None:
    task = gk.load(name)
    for split, judged, kind in [
        ("time-historical", "all", "historical"),
        ("time-inductive", "all", "inductive"),
        ("time-new-nodes", "inductive", "random"),
        ("time-new-nodes-historical", "inductive", "historical"),
    ]:
        other = gk.load(name, split)
        assert f"{judged} next events against 1 {kind} negatives each" in repr(other)
        assert other.split.hash == task.split.hash
        assert torch.equal(other.negatives["test"], task.negatives["test"]) == (kind == "random")
    assert "1 inductive negatives" in repr(gk.load(name, "time-historical", negatives="inductive"))


def test_further_splits_of_a_recipe_are_judged_by_their_own_protocol(real: Path) -> None:
    further = ["time-historical", "time-inductive", "time-new-nodes", "time-new-nodes-historical"]
    config = {"model": "EdgeBank", "task": "collegemsg", "also_test": further, "trainer": {"max_epochs": 1}}
    (run,) = Recipe("mine", config).run(progress=False).cell.runs
    task = gk.load("collegemsg")
    trainer = gk.Trainer(max_epochs=1, progress=False)
    trainer.fit(gk.models.EdgeBank.from_task(task), task)
    for split in further:
        other = gk.load("collegemsg", split)
        metric = other.fresh_metric()
        metric.update(*trainer.predict(other))
        assert run["also_test"][split] == pytest.approx(100 * metric.compute(), abs=1e-4)
    assert len({run["test"], *run["also_test"].values()}) == 5


def test_signs_of_ratings_are_labels(real: Path) -> None:
    task, plain = gk.load("bitcoin-otc", "time-sign"), gk.load("bitcoin-otc")
    assert torch.equal(task.labels, (task.msg[:, 0] > 0).float())
    assert torch.equal(task.t, plain.t)
    assert (task.metric, task.baseline()) == ("roc_auc", 0.5)
    assert 0.85 < float(task.labels.mean()) < 0.95


@pytest.mark.parametrize("name", ["jodie-mooc", "tgbl-wiki", "tgbl-uci"])  # TGB keeps JODIE's format
def test_files_of_jodie_are_read_as_by_pyg(name: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = ["user_id,item_id,timestamp,state_label,comma_separated_list_of_features"]
    for number in range(60):
        user, item = torch.randint(7, (2,), generator=generator).tolist()
        words = [f"{value:.3f}" for value in torch.randn(4, generator=generator).tolist()]
        rows.append(
            ",".join(
                [str(number % 7 if number < 7 else user), str(item), str(2.0 * number), str(number % 3 // 2), *words]
            )
        )
    file = tmp_path / "mooc" / "raw" / "mooc.csv"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(rows))
    theirs = JODIEDataset(str(tmp_path), "MOOC")[0]
    card = catalog.card(name)
    raw = RawFiles({card.files[0].path: file}, tmp_path, set())
    ours = events(raw, **card.arguments).graphs()[0]
    assert torch.equal(ours.edge_index, torch.stack([theirs.src, theirs.dst]).unique(return_inverse=True)[1])
    assert torch.equal(ours.edge_time, theirs.t)
    assert torch.equal(ours.edge_attr, theirs.msg)
    if "label" in card.arguments:
        assert torch.equal(ours.edge_label.long(), theirs.y)
