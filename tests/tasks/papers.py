"""Tables of papers that cite each other, for tests."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest

import graphkit as gk

pd = pytest.importorskip("pandas")

COUNT = 30
KINDS_OF_IDS = {
    "text": [f"p{i}" for i in range(COUNT)],
    "numbers": [1000 - 7 * i for i in range(COUNT)],
    "dates": list(pd.date_range("2020-01-01", periods=COUNT)),
    "python dates": [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(COUNT)],
    "decimals": [i / 2 for i in range(COUNT)],
    "mixed": [i if i % 2 else f"n{i}" for i in range(COUNT)],
    "tuples": [(i, "a") for i in range(COUNT)],
}


def tables(ids=None, seed=0):
    """Nodes of a ring with chords, whose topic is told by their venue most of the time."""
    generator = np.random.default_rng(seed)
    ids = KINDS_OF_IDS["text"] if ids is None else ids
    topic = np.array(["art", "bio", "chem"])[np.arange(COUNT) % 3]
    nodes = pd.DataFrame({"year": generator.normal(size=COUNT), "venue": np.where(topic == "art", "x", "y")})
    nodes.insert(0, "paper", pd.Series(ids, dtype=object).infer_objects())
    nodes["open"], nodes["topic"] = generator.random(COUNT) < 0.5, topic
    pairs = [(i, (i + step) % COUNT) for i in range(COUNT) for step in (1, 3)]
    edges = pd.DataFrame({"citing": [ids[i] for i, _ in pairs], "cited": [ids[j] for _, j in pairs]})
    return nodes, edges


def write(nodes, edges):
    """Tables as files of the folder ``papers``, in the working directory."""
    folder = Path("papers")
    folder.mkdir()
    nodes.to_csv(folder / "nodes.csv", index=False)
    edges.to_csv(folder / "edges.csv", index=False)


def make(nodes=None, edges=None, **options):
    given = tables()
    nodes, edges = given[0] if nodes is None else nodes, given[1] if edges is None else edges
    return gk.NodeTask.from_pandas(nodes, edges, **{"id": "paper", "label": "topic"} | options)


def trained(task, **settings):
    trainer = gk.Trainer(**{"max_epochs": 3, "progress": False} | settings)
    trainer.fit(gk.models.GCN.from_task(task, hidden_channels=8), task)
    return trainer
