"""Texts as features."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from torch_geometric.data import Data

from graphkit.nn import RankedPredictions
from graphkit.transforms.features import TextEmbedding

TEXTS = ["graphs have nodes", "nodes have edges", "fish swim in the sea", "the sea has fish", ""]


def graph(**more) -> Data:
    return Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=5, **({"text": TEXTS} | more))


def test_the_vectors_are_those_of_scikit_learn():
    table = TfidfVectorizer(sublinear_tf=True).fit_transform(TEXTS)
    out = TextEmbedding(dim=3)(graph()).x
    np.testing.assert_allclose(out.numpy(), TruncatedSVD(3, random_state=0).fit_transform(table), atol=1e-6)
    hashed = HashingVectorizer(n_features=16).transform(TEXTS).toarray()
    np.testing.assert_allclose(TextEmbedding(encoder="hashing", dim=16)(graph()).x.numpy(), hashed, atol=1e-7)


def test_columns_are_appended_or_replace_and_are_padded():
    data = graph(x=torch.ones(5, 2), title=TEXTS[::-1])
    wide = TextEmbedding(dim=40)(data).x
    assert wide.shape == (5, 42)
    assert wide[:, 2 + 5 :].eq(0).all()
    assert TextEmbedding("title", dim=3, cat=False)(data).x.shape == (5, 3)
    assert TextEmbedding(dim=4)(graph(text=[""] * 5)).x.eq(0).all()


def test_refusals():
    with pytest.raises(
        ValueError, match="encoder='bert', must be 'tfidf', 'hashing' or 'sentence-transformers:<name>'"
    ):
        TextEmbedding(encoder="bert")
    for texts, message in [
        (None, "is NoneType"),
        ("one", "is str"),
        ([1] * 5, "is list"),
        (["a"], "1 texts in 'text'"),
    ]:
        with pytest.raises(ValueError, match=message):
            TextEmbedding()(graph(text=texts))
    with pytest.raises(ImportError, match="pip install sentence-transformers"):
        TextEmbedding(encoder="sentence-transformers:none")(graph())


def test_sentence_transformers_are_read_from_disk_alone(monkeypatch):
    asked = []

    class SentenceTransformer:
        def __init__(self, name, local_files_only=False):
            asked.append((name, local_files_only))

        def encode(self, texts):
            return np.array([[len(text)] for text in texts], dtype=np.float32)

    package = types.SimpleNamespace(SentenceTransformer=SentenceTransformer)
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    out = TextEmbedding(encoder="sentence-transformers:a/model")(graph()).x
    assert out.view(-1).tolist() == [len(text) for text in TEXTS]
    assert asked == [("a/model", True)]


def test_ranked_predictions_look_up_classes_and_zero_for_missing_ones():
    layer = RankedPredictions(3, num_ranks=2, channels=4)
    out = layer(torch.tensor([[2, -1], [0, 1]]))
    weight = layer.embedding.weight
    assert torch.equal(out, torch.stack([torch.cat([weight[3], weight[0]]), torch.cat([weight[1], weight[2]])]))
    for ids, message in [([[3, 0]], "must be in"), ([[-2, 0]], "must be in"), ([[0]], r"shape \[1, 1\], must be")]:
        with pytest.raises(ValueError, match=message):
            layer(torch.tensor(ids))
