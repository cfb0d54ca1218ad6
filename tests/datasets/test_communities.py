"""Communities that overlap, and texts about topics."""

from __future__ import annotations

import torch

import graphkit as gk
from graphkit.diagnostics import probe


def test_edges_join_members_of_a_group():
    def shared(noise: float) -> float:
        data = gk.load("communities", num_nodes=500, noise=noise).data
        source, target = data.edge_index
        return float((data.y[source] * data.y[target]).any(1).double().mean())

    assert shared(0.0) == 1
    assert shared(1.0) < 0.5
    data = gk.load("communities", num_nodes=500).data
    assert data.x is None
    assert data.y.any(1).all()
    assert 1.2 < float(data.y.sum(1).mean()) < 1.6
    assert data.is_undirected()
    assert not data.has_self_loops()


def test_what_an_embedding_knows_of_groups_is_in_the_edges():
    def score(noise: float) -> float:
        data = gk.load("communities", num_nodes=300, num_labels=4, noise=noise).data
        return probe(gk.features.FastRP(dim=16)(data).x, data.y, shares=[0.5], repeats=2)[0].micro[0]

    assert score(0.1) > score(1.0) + 0.2


def test_texts_tell_their_topic_and_titles_less():
    data = gk.load("texts", num_nodes=300).data
    assert len(data.title) == len(data.text) == 300
    assert {len(title.split()) for title in data.title} == {4}
    scores = []
    for column in ("title", "text"):
        x = gk.features.TextEmbedding(column, dim=32)(data).x
        scores.append(probe(x, data.y, shares=[0.5], repeats=2)[0].micro[0])
    assert 0.2 < scores[0] < scores[1] - 0.1
    source, target = data.edge_index
    assert 0.6 < float((data.y[source] == data.y[target]).double().mean()) < 0.8
    off_topic = gk.load("texts", num_nodes=300, on_topic=0.0).data
    x = gk.features.TextEmbedding(dim=32)(off_topic).x
    assert probe(x, off_topic.y, shares=[0.5], repeats=2)[0].micro[0] < 0.35
    assert not torch.equal(data.y, gk.load("texts", num_nodes=300, seed=1).data.y)
