"""Rankings: interactions in, checked; negatives, masks, metrics against a loop over users, tables, runs."""

from __future__ import annotations

import math
import warnings

import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.models import LightGCN, Popularity
from graphkit.tasks import Draw

NUM_USERS, NUM_ITEMS = 12, 15


def interactions(seed: int = 0) -> Data:
    """Every user has 3 to 8 items."""
    generator = torch.Generator().manual_seed(seed)
    rows = [
        torch.stack([torch.full((count,), user), NUM_USERS + torch.randperm(NUM_ITEMS, generator=generator)[:count]])
        for user, count in enumerate(torch.randint(3, 9, (NUM_USERS,), generator=generator).tolist())
    ]
    node_type = (torch.arange(NUM_USERS + NUM_ITEMS) >= NUM_USERS).long()
    return Data(edge_index=torch.cat(rows, dim=1), node_type=node_type)


def tiny(metric: str = "ndcg@3", seed: int = 0, **options) -> gk.RankingTask:
    data = interactions(seed)
    return gk.RankingTask("tiny", data, gk.Split.random(data.num_edges, 0.2, 0.2, seed=seed), metric, **options)


def by_hand(scores, task, k, official=False):
    """The metrics of each user in plain Python, averaged."""
    seen = {tuple(pair) for pair in task.chosen("train").t().tolist()}
    found: dict[int, set[int]] = {}
    for user, item in task.chosen("test").t().tolist():
        found.setdefault(user, set()).add(item)
    totals = dict.fromkeys(("recall", "precision", "f1", "ndcg", "mrr", "map"), 0.0)
    for user, items in found.items():
        score = {i: float(scores[user, i]) for i in range(task.num_items)}
        score = {i: (0.0 if official else -math.inf) if (user, i) in seen else s for i, s in score.items()}
        hits = [item in items for item in sorted(score, key=lambda i: -score[i])[:k]]
        ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
        best = sum(1 / math.log2(r + 1) for r in range(1, min(k, len(items)) + 1))
        totals["recall"] += len(ranks) / len(items)
        totals["precision"] += len(ranks) / k
        totals["f1"] += 2 * len(ranks) / (len(items) + k)
        totals["ndcg"] += sum(1 / math.log2(r + 1) for r in ranks) / best
        totals["mrr"] += 1 / ranks[0] if ranks else 0.0
        totals["map"] += sum((n + 1) / rank for n, rank in enumerate(ranks)) / min(k, len(items))
    return {name: total / len(found) for name, total in totals.items()}


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("per_batch", [1 << 22, 30])
def test_metrics_are_means_over_users(k, official, per_batch, monkeypatch):
    monkeypatch.setattr("graphkit.tasks.loaders.rankings._ENTRIES", per_batch)
    for seed in range(3):
        out = torch.randn(NUM_USERS + NUM_ITEMS, 4, generator=torch.Generator().manual_seed(seed))
        scores = out[:NUM_USERS] @ out[NUM_USERS:].t()
        expected = by_hand(scores, tiny(seed=seed), k, official)
        for name, value in expected.items():
            task = tiny(f"{name}@{k}", seed, official_masking=official)
            for given in (out, scores):
                metric = task.fresh_metric()
                for batch in task.batches("test"):
                    metric.update(*task.select(given, batch, "test"))
                assert metric.compute() == pytest.approx(value, abs=1e-6), name


def test_the_baseline_is_popularity():
    task = tiny("recall@3")
    model = Popularity()
    result = gk.Trainer(progress=False).fit(model, task)
    assert result.epochs == 1
    assert result.test == result.baseline == task.baseline()


def test_the_graph_has_the_interactions_of_training_in_both_directions():
    task = tiny()
    for stage in ("train", "val", "test"):
        edges = next(iter(task.batches(stage))).edge_index
        users, items = task.chosen("train")
        assert torch.equal(
            edges, torch.stack([torch.cat([users, items + NUM_USERS]), torch.cat([items + NUM_USERS, users])])
        )


@pytest.mark.parametrize(("batch_size", "num_negatives"), [(None, 1), (7, 3)])
def test_negatives_were_never_seen_and_rows_begin_with_the_interaction(batch_size, num_negatives):
    task = tiny(num_negatives=num_negatives)
    seen, met = {tuple(pair) for pair in task.chosen("train").t().tolist()}, []
    generator = torch.Generator().manual_seed(1)
    for batch in task.batches("train", batch_size, shuffle=True, generator=generator):
        users, items = batch.edge_label_index.view(2, -1, 1 + num_negatives)
        assert torch.equal(batch.edge_label, torch.eye(1, 1 + num_negatives).expand(len(users), -1))
        assert torch.equal(users, users[:, :1].expand_as(users))
        met += list(zip(users[:, 0].tolist(), (items[:, 0] - NUM_USERS).tolist(), strict=True))
        assert not seen & set(
            zip(users[:, 1:].flatten().tolist(), (items[:, 1:].flatten() - NUM_USERS).tolist(), strict=True)
        )
    assert sorted(met) == sorted(seen)


def test_negatives_are_uniform_among_what_was_not_seen():
    task = tiny()
    users = torch.zeros(20000, dtype=torch.long)
    drawn = task.draw_negatives(users, torch.Generator().manual_seed(0)).flatten()
    free = sorted(set(range(NUM_ITEMS)) - set(task.chosen("train")[1][task.chosen("train")[0] == 0].tolist()))
    counts = drawn.bincount(minlength=NUM_ITEMS)
    assert counts.nonzero().flatten().tolist() == free
    assert counts[free].float().std() < 4 * math.sqrt(20000 / len(free))


def test_the_loss_is_that_of_pairs():
    task = tiny(num_negatives=2)
    out = torch.randn(NUM_USERS + NUM_ITEMS, 4, dtype=torch.float64)
    (batch,) = task.batches("train")
    score = (out[batch.edge_label_index[0]] * out[batch.edge_label_index[1]]).sum(1).view(-1, 3)
    expected = torch.log1p((score[:, 1:] - score[:, :1]).exp()).mean()
    assert torch.isclose(task.loss(out, batch), expected)
    assert task.batch_count(batch) == task.chosen("train").size(1)
    (batch,) = task.batches("val")
    prediction, label = task.select(out, batch, "val")
    terms = [
        math.log1p(math.exp(float(prediction[row, j] - prediction[row, i])))
        for row, i in label.nonzero().tolist()
        for j in range(NUM_ITEMS)
        if not label[row, j] and prediction[row, j] > -math.inf
    ]
    assert float(task.loss_of(prediction, label)) == pytest.approx(sum(terms) / len(terms))


def test_what_has_no_past_is_counted_and_not_judged():
    data = interactions()
    first = data.edge_index[0] != 3  # all of user 3 is in the test
    ids = torch.arange(data.num_edges)
    split = gk.Split("s", ids[first][2:], ids[first][:2], ids[~first])
    message = "no test interaction has a user and an item of training; use another split"
    with warnings.catch_warnings(action="ignore"), pytest.raises(ValueError, match=message):
        gk.RankingTask("t", data, split)
    split = gk.Split("s", ids[first][4:], ids[first][:2], torch.cat([ids[~first], ids[first][2:4]]))
    count = int((~first).sum())
    with pytest.warns(
        UserWarning, match=rf"without a past are not judged: {count} of test \(unseen users in {count}, "
    ):
        task = gk.RankingTask("t", data, split)
    assert task.unseen["test"]["users"] == task.unseen["test"]["interactions"] == count
    assert 3 not in task.judged_users("test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update({"node_type": None}), r"data\.node_type is missing, must be 0 for each user"),
        (lambda data: data.update({"node_type": data.node_type.flip(0)}), r"has other values or another order"),
        (lambda data: data.update({"edge_index": data.edge_index.flip(0)}), r"edge 0 leads from node \d+ to node 0, "),
        (
            lambda data: data.update({"edge_index": data.edge_index[:, [0, *range(data.num_edges - 1)]]}),
            "a pair of user and item is repeated; give each interaction once",
        ),
    ],
)  # fmt: skip
def test_bad_interactions_are_refused(change, message):
    data = interactions()
    split = gk.Split.random(data.num_edges)
    change(data)
    with pytest.raises(ValueError, match=message):
        gk.RankingTask("t", data, split)


def test_a_user_of_everything_is_refused_and_ratings_are_not_read():
    data = Data(
        edge_index=torch.tensor([[0, 0, 0, 1, 1, 1], [2, 3, 4, 2, 3, 4]]), node_type=torch.tensor([0, 0, 1, 1, 1])
    )
    with pytest.raises(ValueError, match="user 0 has all 3 items in training, so none is left to rank"):
        gk.RankingTask("t", data, gk.Split("s", [0, 1, 2, 3], [4], [5]))
    data.edge_weight = torch.ones(6)
    with pytest.warns(UserWarning, match=r"data\.edge_weight is not read"):
        gk.RankingTask("t", data, gk.Split("s", [0, 1, 3, 5], [4], [2]))


def test_models_that_cannot_rank_are_refused_before_training():
    task = tiny().transform(gk.features.RandomWalkPE(4))
    scorer = gk.models.LinkPredictor(gk.models.GCN(4, 8), "mlp")
    with pytest.raises(
        ValueError, match=r"LinkPredictor scores single pairs, but task .* ranks all items by embeddings"
    ):
        gk.Trainer(progress=False).fit(scorer, task)
    with pytest.raises(
        ValueError, match=r"needs an embedding per node, \[27, width\], or a table of scores, \[12, 15\]"
    ):
        gk.Trainer(progress=False).fit(gk.models.GCN(4, 8, readout="mean"), task)
    with pytest.raises(ValueError, match="is a ranking task, whose metrics need all users and items"):
        task.sampled(gk.samplers.NeighborSampler([2]))
    with pytest.raises(
        ValueError, match=r"LightGCN makes embeddings by which pairs .* is a node task; use a RankingTask"
    ):
        LightGCN.from_task(gk.load("karate"))
    gk.Trainer(max_epochs=2, progress=False).fit(gk.models.GCN(4, 8, num_layers=2), task)


def table() -> pd.DataFrame:
    data = interactions()
    users, items = data.edge_index.tolist()
    return pd.DataFrame(
        {
            "who": [f"u{user:02}" for user in users],
            "what": [f"i{item - NUM_USERS:02}" for item in items],
            "stars": [1 + (3 * user + item) % 5 for user, item in zip(users, items, strict=True)],
            "when": [(7 * number) % 101 for number in range(len(users))],
        }
    )


@pytest.mark.filterwarnings("ignore:.*without a past")
def test_a_table_becomes_a_task(tmp_path):
    frame = table()
    frame.to_csv(tmp_path / "films.csv", index=False)
    task = gk.RankingTask.from_csv(
        tmp_path / "films.csv", "who", "what", rating="stars", threshold=3, val=0.2, test=0.2
    )
    kept = frame[frame.stars >= 3]
    assert task.name == "films"
    assert sum(task.split.sizes) == len(kept)
    named = {(task.users[user], task.items[item]) for user, item in task.chosen("train").t().tolist()}
    assert named <= set(zip(kept.who, kept.what, strict=True))
    later = gk.RankingTask.from_pandas(frame, "who", "what", time="when", val=0.2, test=0.2)
    train = {(later.users[user], later.items[item]) for user, item in later.chosen("train").t().tolist()}
    test = {(later.users[user], later.items[item]) for user, item in later.chosen("test").t().tolist()}
    when = {(row.who, row.what): row.when for row in frame.itertuples()}
    assert max(when[pair] for pair in train) < min(when[pair] for pair in test)
    with pytest.warns(UserWarning, match="2 rows repeat a user and an item; the first of each counts"):
        gk.RankingTask.from_pandas(pd.concat([frame, frame[:2]]), "who", "what")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": "whom"}, r"has no column 'whom'; it has 'who', 'what', 'stars', 'when'"),
        ({"rating": "stars"}, "rating='stars' and threshold=None belong together"),
        ({"rating": "stars", "threshold": 9.0}, "no row has a 'stars' of at least 9.0; lower the threshold"),
        ({"val": 0.6, "test": 0.5}, "leave nothing for training"),
    ],
)
def test_bad_tables_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        gk.RankingTask.from_pandas(table(), **{"user": "who", "item": "what"} | change)


def test_a_run_predicts_recommends_and_resumes(tmp_path):
    frame = table()
    task = gk.RankingTask.from_pandas(frame, "who", "what", val=0.2, test=0.2, metric="recall@3")
    trainer = gk.Trainer(max_epochs=4, batch_size=16, progress=False, run_dir=tmp_path / "run")
    model = LightGCN.from_task(task, hidden_channels=8)
    result = trainer.fit(model, task)
    scores, labels = trainer.predict(task)
    assert scores.shape == labels.shape == (task.judged_users("test").numel(), NUM_ITEMS)
    metric = task.fresh_metric()
    metric.update(scores, labels)
    assert metric.compute() == pytest.approx(result.test)
    everyone = trainer.predict(task, stage=None)
    assert everyone.shape == (NUM_USERS, NUM_ITEMS)
    assert int((everyone == -math.inf).sum()) == task.chosen("train").size(1)
    best = trainer.predict(task, stage=None, as_frame=True)
    assert list(best.columns) == ["rank", "item", "score"]
    assert not {(who, what) for who, what in zip(best.index, best["item"], strict=True)} & {
        (task.users[user], task.items[item]) for user, item in task.chosen("train").t().tolist()
    }
    assert best.loc["u00"]["score"].is_monotonic_decreasing
    assert trainer.predict(task, as_frame=True)["chosen"].sum() > 0
    loaded = gk.load_run(tmp_path / "run", task=task)
    assert torch.equal(loaded.predict(task)[0], scores)
    graph = task.graphs[0].clone()
    graph.edge_label_index = torch.tensor([[0, 1], [NUM_USERS, NUM_USERS + 1]])
    assert gk.load_run(tmp_path / "run").predict(graph).shape == (2, 1)
    longer = gk.Trainer(max_epochs=6, batch_size=16, progress=False, run_dir=tmp_path / "run")
    resumed = longer.fit(LightGCN.from_task(task, hidden_channels=8), task, resume=True)
    whole = gk.Trainer(max_epochs=6, batch_size=16, progress=False).fit(
        LightGCN.from_task(task, hidden_channels=8), task
    )
    assert resumed.history == whole.history


def test_changed_tasks_and_single_batches():
    task = tiny()
    other = task.with_split(gk.Split.random(interactions().num_edges, 0.2, 0.2, seed=5))
    assert other.content_hash != task.content_hash == tiny().content_hash
    with pytest.raises(ValueError, match="was transformed, which depends on its split"):
        task.transform(gk.features.RandomWalkPE(4)).with_split(other.split)
    batch = next(iter(task.loader.batches("test", Draw())))
    assert batch.edge_label.dtype == torch.bool
