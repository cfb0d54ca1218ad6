"""Small recipes, and what their results hold."""

from __future__ import annotations

import json

PAPER = {"value": 50.0, "paper": "A and B (2020)", "table": "Table 1", "split": "public"}
CONFIG = {
    "model": {"class_path": "GCN", "init_args": {"hidden_channels": 8, "dropout": 0.5}},
    "task": "karate",
    "trainer": {"max_epochs": 4},
    "seeds": 3,
}
VARIANTS = {
    "narrow": {"model": {"init_args": {"hidden_channels": 2}}},
    "wide": {"model": {"init_args": {"hidden_channels": 16}}, "published": PAPER},
}
SETS = {"name": "second-minimum", "num_train": 64, "num_val": 32, "num_test": 32, "num_extrapolation": 16}
POINTS = {"small": {"task": {"num_train": 32}}, "large": {"model": {"init_args": {"num_layers": 3}}}}


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


def comparison(**parts):
    model = {"class_path": "DeepSets", "init_args": {"hidden_channels": 8, "readout": "max"}}
    base = {"model": model, "task": SETS, "trainer": {"max_epochs": 2}, "seeds": 2, "also_test": ["extrapolation"]}
    return base | {"variants": VARIANTS, "note": "Why."} | parts
