"""A folder of the user's tables as the task of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from graphkit.core.constraints import Seed
from graphkit.tasks import EdgeTask, NodeTask


def tables_task(
    folder: str | Path,
    label: str | Sequence[str],
    split: str | None = None,
    id: str | None = None,
    features: Sequence[str] | None = None,
    categorical: Sequence[str] = (),
    impute: Literal["mean", "median", "most_frequent"] | None = None,
    standardize: bool = False,
    ends: Sequence[str] | None = None,
    edge_weight: str | None = None,
    edge_features: Sequence[str] = (),
    directed: bool = False,
    seed: Seed = 0,
    target: str | None = None,
    metric: str | None = None,
    kind: Literal["node", "edge"] = "node",
) -> NodeTask | EdgeTask:
    """The task of a folder with ``nodes.csv`` and ``edges.csv``, by names alone.

    Args:
        folder: The folder.
        label: The column of labels, or several.
        split: The column that says ``train``, ``val`` or ``test`` (default: a random split).
        id: The column of node ids (default: the first one).
        features: The columns of features (default: all others).
        categorical: The columns of numbers that are names of categories (default: none).
        impute: What takes the place of missing features (default: they are refused).
        standardize: Whether numbers are scaled to mean 0 and standard deviation 1 (default: ``False``).
        ends: The columns of source and target of an edge (default: those called so, else the first two others).
        edge_weight: The column of edge weights (default: none).
        edge_features: The columns of edge features (default: none).
        directed: Whether an edge leads from source to target only (default: ``False``).
        seed: The seed of the random split (default: 0).
        target: The kind of label (default: as the labels are).
        metric: The score (default: that of the target).
        kind: What has labels (default: ``"node"``).
    """
    options = {key: value for key, value in locals().items() if key not in ("folder", "label", "id", "kind")}
    return (EdgeTask if kind == "edge" else NodeTask).from_csv(folder, label, id, **options)
