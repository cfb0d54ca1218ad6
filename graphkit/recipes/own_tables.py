"""The user's tables as the task of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from graphkit.core.constraints import Count, Seed, Share
from graphkit.tasks import EdgeTask, FromTables, LinkTask, NodeTask, RankingTask, Task


def tables_task(
    folder: str | Path,
    label: str | Sequence[str] | None = None,
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
    kind: Literal["node", "edge", "link"] = "node",
) -> FromTables:
    """The task of a folder with ``nodes.csv`` and ``edges.csv``, by names alone.

    Args:
        folder: The folder.
        label: The column of labels, or several (default: none, as of links).
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
        kind: What has labels (default: ``"node"``); or ``"link"``, which pairs of nodes are linked.
    """
    options = {key: value for key, value in locals().items() if key not in ("folder", "label", "id", "kind")}
    kinds: tuple[type[FromTables], ...] = (NodeTask, EdgeTask, LinkTask)
    (cls,) = (each for each in kinds if each.kind == kind)
    return cls.from_csv(folder, label, id, **options)


def interactions_task(
    folder: str | Path,
    user: str = "user",
    item: str = "item",
    rating: str | None = None,
    threshold: float | None = None,
    time: str | None = None,
    sep: str = ",",
    val: Share = 0.1,
    test: Share = 0.1,
    seed: Seed = 0,
    metric: str = "ndcg@10",
    num_negatives: Count = 1,
    official_masking: bool = False,
) -> RankingTask:
    """The task of a CSV file with a row per interaction, by names alone.

    Args:
        folder: The file.
        user: The column of users (default: ``"user"``).
        item: The column of items (default: ``"item"``).
        rating: The column of ratings (default: none).
        threshold: The smallest rating that counts (default: none).
        time: The column of times, by which training is on the past (default: a random split).
        sep: What separates columns (default: ``","``).
        val: The share for validation (default: 0.1).
        test: The share for the test (default: 0.1).
        seed: The seed of the random split (default: 0).
        metric: The score (default: ``"ndcg@10"``).
        num_negatives: How many items are drawn per interaction to train on (default: 1).
        official_masking: Whether what was seen gets the score 0 (default: ``False``).
    """
    options = {key: value for key, value in locals().items() if key != "folder"}
    return RankingTask.from_csv(folder, **options)


def task_of_tables(folder: str | Path) -> Callable[..., Task]:
    """What makes a task of a folder of tables, or of a file of interactions.

    Raises:
        ValueError: If it is one of the files of a folder of tables.
    """
    path = Path(folder).expanduser()
    if path.is_file() and path.name in ("nodes.csv", "edges.csv"):
        raise ValueError(f"task: {folder} is one of two tables; give their folder, {path.parent}")
    return interactions_task if path.is_file() else tables_task
