"""How many items stand behind a score, in words."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk

RING = torch.stack([torch.arange(20), (torch.arange(20) + 1) % 20])


def _events(**options):
    labels = torch.tensor([0.0, 1.0] * 10)
    labels[19] = torch.nan
    stream = Data(edge_index=RING, edge_time=torch.arange(20), edge_label=labels, num_nodes=20)
    return gk.EventTask("ring", stream, gk.Split("s", range(10), range(10, 15), range(15, 20)), **options)


@pytest.mark.filterwarnings("ignore:task .* interactions without a past")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gk.load("karate"), "20 nodes"),
        (lambda: gk.load("karate").sampled(gk.samplers.NeighborSampler([2])), "20 nodes"),
        (lambda: gk.load("csl"), "30 graphs"),
        (lambda: gk.load("karate-links"), "7 links"),
        (lambda: _events(target="binary"), "4 events"),  # the fifth has no label
        (lambda: _events(), "5 events"),
    ],
)
def test_items_are_those_that_are_judged(make, words):
    assert make().judged_items("test") == words


def test_a_ranking_is_judged_by_its_users():
    task = gk.load("planted-interactions")
    assert task.judged_items("test") == f"{len(task.names('test'))} users"


def test_results_and_comparisons_tell_them():
    trainer = gk.Trainer(max_epochs=1, progress=False)
    task = gk.load("karate-links")
    result = trainer.fit(gk.models.LinkPredictor.from_task(task), task)
    assert result.judged == {"train": "68 links", "val": "3 links", "test": "7 links"}
    assert " on 7 links" in str(result).splitlines()[2]
    found = gk.compare(["GCN", "MLP"], "csl", splits=2, seeds=1, trainer=trainer, progress=False)
    assert found.judged == "30 graphs"
    assert "csl: test accuracy (%) on 30 graphs, 2 splits, 2 runs each" in str(found)
    assert {run["judged"] for run in found.runs} == {"30 graphs"}


def test_a_result_of_before_says_nothing_of_them(tmp_path):
    result = gk.Trainer(max_epochs=1, progress=False).fit(gk.models.MLP(34, 4, out_channels=4), gk.load("karate"))
    result.judged = {}
    result.save(tmp_path / "result.json")
    assert " on " not in str(gk.training.Result.load(tmp_path / "result.json")).splitlines()[2]
