"""Links by time and between the sides of a bipartite graph, against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import ToUndirected

import graphkit as gk
from graphkit import LinkSplit, LinkTask
from graphkit.tasks.negatives import blocks_of, link_keys, sample_negatives
from tests import tiny
from tests.tasks.links import STAGES, as_set, pairs, undirected_set

# By time -------------------------------------------------------------------------------------------------------------


def events(seed, undirected):
    """Edges with repetitions, loops, and few different times."""
    draw = np.random.default_rng(seed)
    edge_index = torch.from_numpy(draw.integers(0, 14, (2, 90)))
    time = torch.from_numpy(draw.integers(0, 12, 90)).double()
    if undirected:  # both directions, at times of their own
        edge_index, time = torch.cat([edge_index, edge_index.flip(0)], dim=1), torch.cat([time, time.flip(0)])
    return edge_index, time


def by_brute_force(edge_index, time, val, test, undirected):
    """The links of each part, and which edges carry messages at each stage."""
    first: dict[tuple, float] = {}
    for (u, v), t in zip(edge_index.t().tolist(), time.tolist()):
        link = tuple(sorted((u, v))) if undirected else (u, v)
        if u != v:
            first[link] = min(first.get(link, np.inf), t)
    ordered = sorted(first.values())

    def quantile(share):  # between neighbours, linearly
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    end_of_train, end_of_val = quantile(1 - val - test), quantile(1 - test)
    parts = [
        {link for link, t in first.items() if t <= end_of_train},
        {link for link, t in first.items() if end_of_train < t <= end_of_val},
        {link for link, t in first.items() if t > end_of_val},
    ]
    return parts, {"train": time <= end_of_train, "val": time <= end_of_train, "test": time <= end_of_val}


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_the_future_is_tested_and_the_past_carries_messages(seed, undirected):
    edge_index, time = events(seed, undirected)
    split = LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3, undirected=undirected)
    parts, seen = by_brute_force(edge_index, time, 0.2, 0.3, undirected)
    links = undirected_set if undirected else as_set
    assert [links(getattr(split, stage)) for stage in STAGES] == parts
    task = LinkTask("events", Data(num_nodes=14, edge_index=edge_index, edge_attr=time[:, None].float()), split)
    for stage in STAGES:
        (batch,) = task.batches(stage)
        assert torch.equal(batch.edge_index, edge_index[:, seen[stage]])
        assert batch.edge_attr.max() < time[~seen["test" if stage == "test" else "train"]].min()
    negatives = [links(split.negatives(stage)) for stage in ("val", "test")]
    assert [len(found) for found in negatives] == [len(part) for part in parts[1:]]
    assert not set.union(*negatives) & set.union(*parts), "pairs that are linked at some time"
    trained = links(task.draw_negatives())
    assert not trained & links(edge_index[:, seen["train"]])


def test_validation_messages_can_be_left_out():
    edge_index, time = events(0, False)
    split = LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3, undirected=False, val_messages=False)
    assert torch.equal(split.messages(edge_index, "test"), split.messages(edge_index, "train"))


def test_a_time_split_is_of_content():
    edge_index, time = events(1, True)
    split = LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3)
    assert split.hash == LinkSplit.by_time(edge_index.tolist(), time.tolist(), 14, 0.2, 0.3).hash
    assert split.hash != LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3, seed=1).hash
    order = time.argsort(stable=True).argsort()  # as many ties are broken, so others carry messages
    assert split.hash != LinkSplit.by_time(edge_index, order, 14, 0.2, 0.3).hash


def test_a_future_without_its_past_changes_nothing():
    """Edges and times of the test part: the same training, bit by bit."""
    edge_index, time = events(2, True)
    histories = []
    for factor in (1, 3):
        later = time > np.quantile(time, 0.6)
        data = Data(x=torch.eye(14), edge_index=edge_index, edge_weight=torch.where(later, factor, 1.0))
        split = LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3)
        assert not split.messages(edge_index, "val")[later].any()
        task = LinkTask("events", data, split)
        model = gk.models.GCN.from_task(task, hidden_channels=8)
        result = gk.Trainer(max_epochs=3, progress=False).fit(model, task)
        histories.append((result.history, result.val))
    assert histories[0] == histories[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": [1.0] * 4}, r"time has the shape \[4\], expected \[5\]"),
        ({"time": [1.0, 2, 3, 4, float("nan")]}, "time is missing or infinite at row"),
        ({"time": [1.0] * 5}, "the (val|test) part is empty, as of 5 times many are equal and stay together"),
        ({"val": 0.6, "test": 0.4}, "val=0.6 and test=0.4 leave nothing for training"),
        ({"num_negatives": 9.0}, "pairs without a link were asked for, but 6 nodes with 5 links have only"),
    ],
)
def test_bad_times(changes, message):
    edges = pairs((0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
    given = {"edge_index": edges, "time": range(5), "num_nodes": 6, "val": 0.3, "test": 0.3}
    with pytest.raises(ValueError, match=message):
        LinkSplit.by_time(**given | changes)


def test_a_time_split_is_of_its_edges():
    edge_index, time = events(0, False)
    split = LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3, undirected=False)
    with pytest.raises(ValueError, match="split 'time' knows the times of 90 edges, but the graph has 89; make both"):
        LinkTask("events", Data(num_nodes=14, edge_index=edge_index[:, 1:]), split)


@pytest.mark.parametrize("undirected", [True, False])
def test_a_time_split_notices_edges_in_another_order(undirected):
    edge_index, time = events(0, False)
    split = LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3, undirected=undirected)
    sorted_again = Data(num_nodes=14, edge_index=edge_index[:, (14 * edge_index[0] + edge_index[1]).argsort()])
    with pytest.raises(ValueError, match=r"edge \d+ -> \d+ has the place of one of the past, but is to be predicted"):
        LinkTask("events", sorted_again, split)


def test_dates_are_times():
    edge_index, time = events(3, False)
    dates = np.datetime64("2020-01-01") + time.long().numpy().astype("timedelta64[D]")
    expected = LinkSplit.by_time(edge_index, time, 14, 0.2, 0.3)
    for given in (dates, pd.Series(dates), pd.DatetimeIndex(dates)):
        assert LinkSplit.by_time(edge_index, given, 14, 0.2, 0.3).hash == expected.hash
        assert gk.Split.by_time(given).hash == gk.Split.by_time(time).hash
    dates[3] = np.datetime64("NaT")
    with pytest.raises(ValueError, match="time is missing or infinite at row"):
        gk.Split.by_time(dates)


# Two sides -----------------------------------------------------------------------------------------------------------


def shop(seed=0):
    """Eight users who like some of five items, as PyG users have it, in both directions."""
    draw = torch.Generator().manual_seed(seed)
    likes = (torch.rand(8, 5, generator=draw) < 0.4).nonzero().t()
    data = HeteroData()
    data["user"].x, data["item"].x = torch.randn(8, 3, generator=draw), torch.randn(5, 3, generator=draw)
    data["user", "likes", "item"].edge_index = likes
    return ToUndirected()(data).to_homogeneous()


@pytest.mark.parametrize("count", [4, 20])  # few by drawing, many by listing all
@pytest.mark.parametrize("undirected", [True, False])
def test_negatives_are_uniform_between_the_sides(count, undirected):
    likes = pairs((0, 4), (0, 5), (2, 8), (3, 4), (1, 6), (2, 4))
    types = torch.tensor([0] * 4 + [1] * 10)
    links, blocks = link_keys(likes, 14, undirected).unique(), blocks_of(likes, types, undirected)
    free = set(product(range(4), range(4, 14))) - as_set(likes)
    draw, rounds, counts = torch.Generator().manual_seed(0), 3000, np.zeros((14, 14))
    for _ in range(rounds):
        found = sample_negatives(links, 14, count, undirected, draw, blocks)
        assert len(as_set(found)) == count
        np.add.at(counts, tuple(found.numpy()), 1)
    assert {tuple(pair) for pair in np.argwhere(counts > 0).tolist()} == free
    share = count / len(free)
    spread = np.sqrt(share * (1 - share) / rounds)
    assert np.abs(counts[counts > 0] / rounds - share).max() < 5 * spread
    with pytest.raises(ValueError, match="14 nodes with 6 links have only 34 between nodes of linked types"):
        sample_negatives(links, 14, 35, undirected, draw, blocks)


@pytest.mark.parametrize("undirected", [True, False])
def test_types_linked_among_themselves_have_negatives_of_both_kinds(undirected):
    links = pairs((0, 1), (1, 2), (0, 4), (3, 5))  # users follow users and like items; items are not linked
    types = torch.tensor([0, 0, 0, 0, 1, 1])
    ways = {(u, v) for u, v in product(range(6), repeat=2) if u != v and (u < 4) and (v > u or not undirected)}
    free = ways - as_set(links)
    blocks, keys = blocks_of(links, types, undirected), link_keys(links, 6, undirected).unique()
    assert as_set(sample_negatives(keys, 6, len(free), undirected, None, blocks)) == free
    draw, counts = torch.Generator().manual_seed(0), dict.fromkeys(free, 0)
    for _ in range(6000):
        (pair,) = sample_negatives(keys, 6, 1, undirected, draw, blocks).t().tolist()
        counts[tuple(pair)] += 1
    share = 1 / len(free)
    assert np.abs(np.array(list(counts.values())) / 6000 - share).max() < 5 * np.sqrt(share / 6000)


def test_a_bipartite_task_judges_pairs_of_both_sides():
    data = shop()
    split = LinkSplit.random(data.edge_index, 13, 0.2, 0.3, node_type=data.node_type)
    task = LinkTask("shop", data, split, num_negatives=1.5)
    for stage in STAGES:
        for seed in range(5):
            (batch,) = task.batches(stage, generator=torch.Generator().manual_seed(seed))
            assert (data.node_type[batch.edge_label_index].sum(0) == 1).all()
    sampled = task.sampled(gk.samplers.NeighborSampler([3]))
    for batch in sampled.batches("train", 2):
        assert (batch.node_type[batch.edge_label_index].sum(0) == 1).all()
    by_time = LinkSplit.by_time(data.edge_index, range(data.num_edges), 13, 0.2, 0.2, node_type=data.node_type)
    assert (data.node_type[by_time.test_negatives].sum(0) == 1).all()
    model = gk.models.GCN.from_task(task, hidden_channels=8)
    assert 0 <= gk.Trainer(max_epochs=2, progress=False).fit(model, task).test <= 1
    assert LinkSplit.random(data.edge_index, 13, 0.2, 0.3).hash != split.hash


def test_negatives_within_a_side_are_told():
    data = shop()
    split = LinkSplit.random(data.edge_index, 13, 0.2, 0.3)
    with pytest.warns(UserWarning, match=r"\d+ of \d+ negatives of split .* no links, so easily told; LinkSplit"):
        LinkTask("shop", data, split)
    links = {stage: getattr(split, stage) for stage in STAGES}
    own = {"val_negatives": pairs((0, 1)), "test_negatives": pairs((0, 2))}
    with pytest.raises(ValueError, match=r"val_negatives contain \(0, 1\), of types 0 and 0, between which there"):
        LinkSplit("own", **links, **own, node_type=data.node_type)
    with pytest.raises(ValueError, match=r"node_type must be whole numbers \[num_nodes\] of at least \d+ nodes"):
        LinkSplit("own", **links, **own, node_type=data.node_type[:3])
    longer = torch.cat([data.node_type, data.node_type[-1:]])
    more = LinkSplit.random(data.edge_index, 13, 0.2, 0.3, node_type=longer[:13])
    with pytest.raises(ValueError, match="split 'random/0' has types of 13 nodes for 14 nodes"):
        LinkTask("shop", Data(num_nodes=14, edge_index=data.edge_index), more)


@pytest.mark.filterwarnings("error::RuntimeWarning")  # numpy's, of a minimum of what is missing, would come first
def test_dates_as_texts_are_those_of_the_calendar():
    edges = tiny.graph().edge_index
    days = [f"2020-0{1 + i % 8}-{1 + i % 28:02}" for i in range(80)]
    given = LinkSplit.by_time(edges, days, 24, val=0.2, test=0.2)
    assert given.hash == LinkSplit.by_time(edges, np.array(days, dtype="datetime64[D]"), 24, val=0.2, test=0.2).hash
    with pytest.raises(TypeError, match=r"time holds strings, e.g. '01/02/2020'; use pandas"):
        LinkSplit.by_time(edges, ["2020-01-01"] * 79 + ["01/02/2020"], 24)
    with pytest.raises(ValueError, match="time is missing or infinite at row 79;"):
        LinkSplit.by_time(edges, ["2020-01-01"] * 79 + [None], 24)
