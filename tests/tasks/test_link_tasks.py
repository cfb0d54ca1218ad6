"""Link tasks that are refused or transformed."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.transforms import LargestConnectedComponents

from graphkit import LinkSplit, LinkTask, Split
from graphkit.transforms.rewiring import RandomEdges
from tests import tiny
from tests.tasks.links import STAGES, by_hand, pairs, path

# Bad tasks and transforms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "arguments", "error", "message"),
    [
        (
            path(),
            {"split": Split("s", *torch.arange(3).split(1))},
            TypeError,
            "split is a Split; link tasks need a gk.Li",
        ),
        (path(), {"split": by_hand(test=pairs((3, 9)))}, IndexError, "test links of split 's'.* target node 9"),
        (path(), {"split": by_hand(val_negatives=pairs((7, 0)))}, IndexError, "val negatives of .* source node 7"),
        (
            path(),
            {"metric": "mrr"},
            ValueError,
            r"are shared by all links; give negatives of shape \[2, num_links, k\]",
        ),
        (path(), {"metric": "mae"}, ValueError, "metric 'mae' cannot judge a link target"),
        (path(), {"metric": "hit@7"}, ValueError, "unknown metric 'hit@7'; did you mean 'hits@"),
        (path(), {"num_negatives": 0}, ValueError, "num_negatives=0, must be positive"),
        (path(x=None), {}, ValueError, "task 'toy' has no node features, so its size is not known; set data.num_nodes"),
        (path(x=torch.full((5, 2), float("nan"))), {}, ValueError, "feature 0 of node 0 is nan"),
        (path(edge_index=pairs((0, 8))), {}, IndexError, "edge_index names target node 8"),
    ],
)
def test_bad_tasks(data, arguments, error, message):
    with pytest.raises(error, match=message):
        LinkTask(**{"name": "toy", "data": data, "split": by_hand()} | arguments)


def test_too_many_negatives_are_refused():
    task = LinkTask("toy", path(), by_hand(), num_negatives=9.0)
    with pytest.raises(
        ValueError, match="18 pairs without a link were asked for, but 5 nodes with 2 links have only 8"
    ):
        task.batches("train")


def test_nodes_and_graphs_have_no_links_to_judge():
    with pytest.raises(ValueError, match=r"unknown target 'link'; .*choose from: binary, multiclass"):
        tiny.node_task("link")
    with pytest.raises(ValueError, match="metric 'mrr' cannot judge a binary target"):
        tiny.node_task("binary", "mrr")


def test_transforms_see_what_each_stage_may_see(graph):
    task = LinkTask("toy", graph, LinkSplit.random(graph.edge_index, 60))
    more = task.transform(RandomEdges(5))
    for stage in STAGES:
        before, after = task.batches(stage)[0], more.batches(stage)[0]
        assert after.num_edges == before.num_edges + 10
        assert torch.equal(after.edge_label_index, before.edge_label_index)
    assert task.transform(RandomEdges(5)) is more
    assert more.content_hash != task.content_hash
    assert more.batches("train")[0].edge_index is more.batches("val")[0].edge_index, "the same graph, once"
    other = LinkSplit.random(graph.edge_index, 60, seed=1)
    assert task.with_split(other).split is other
    with pytest.raises(ValueError, match="was transformed, which depends on its split; load the other split"):
        more.with_split(other)
    with pytest.raises(ValueError, match="the transform changed the number of nodes, but links are pairs of the old"):
        LinkTask("toy", path(), by_hand()).transform(LargestConnectedComponents())


def test_labels_of_pairs_that_come_with_the_graph_are_told_to_be_unread():
    data = tiny.graph()
    data.edge_label, data.edge_label_index = torch.ones(5), data.edge_index[:, :5]
    with pytest.warns(UserWarning, match="data.edge_label is not read") as told:
        task = LinkTask("t", data, LinkSplit.random(data.edge_index, 24))
    assert len(told) == 2
    assert "edge_label" not in task.data
    assert "edge_label" in data


def test_tasks_of_one_graph_have_their_graph():
    link, edge = tiny.task("link"), tiny.task("edge multiclass")
    assert link.data is link.stage_graph("test")
    assert edge.data is edge.graphs[0]
