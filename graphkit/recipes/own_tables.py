"""The user's tables as the task of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from graphkit.core.constraints import Count, Seed, Share
from graphkit.tasks import EdgeTask, EventTask, FromTables, LinkTask, NodeTask, RankingTask, Task


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


def events_task(
    folder: str | Path,
    source: str | None = None,
    destination: str | None = None,
    time: str | None = None,
    messages: Sequence[str] = (),
    bipartite: bool = False,
    label: str | None = None,
    target: str | None = None,
    labels_of: Literal["event", "source"] = "event",
    metric: str | None = None,
    negatives: Literal["random", "historical", "inductive"] = "random",
    num_negatives: Count = 1,
    eval_negatives: Count = 1,
    judged: Literal["all", "inductive"] = "all",
    snapshot: Count | None = None,
    seed: Seed = 0,
    kind: Literal["event"] = "event",
) -> EventTask:
    """The task of a CSV file with a row per event, by names alone; the split is by time.

    Args:
        folder: The file.
        source: The column of sources (default: the first column).
        destination: The column of destinations (default: the second one).
        time: The column of times (default: the third one).
        messages: The columns of numbers that are messages (default: none).
        bipartite: Whether sources and destinations are of two kinds (default: ``False``).
        label: The column of labels (default: none, what is judged is which events come next).
        target: The kind of label (default: as the labels are).
        labels_of: Whose the labels are (default: ``"event"``); or ``"source"``, the source's at that time.
        metric: The score (default: average precision, or that of the target).
        negatives: Which destinations events are told from (default: ``"random"``).
        num_negatives: How many in training (default: 1).
        eval_negatives: How many in validation and test (default: 1).
        judged: Which events count (default: ``"all"``); or ``"inductive"``, those of nodes that are new.
        snapshot: How many events before a batch are its graph (default: none).
        seed: The seed of the destinations of validation and test (default: 0).
        kind: What a row is (default: ``"event"``).
    """
    options = {key: value for key, value in locals().items() if key not in ("folder", "kind")}
    return EventTask.from_csv(folder, **options)


def task_of_tables(folder: str | Path, kind: str | None = None) -> Callable[..., Task]:
    """What makes a task of a folder of tables, or of a file of interactions or events.

    Args:
        folder: The folder or file.
        kind: The kind of task, as far as it is told (default: ``None``).

    Raises:
        ValueError: If it is one of the files of a folder of tables, or a file that should be of another kind.
    """
    path = Path(folder).expanduser()
    if not path.is_file():
        return tables_task
    if path.name in ("nodes.csv", "edges.csv"):
        raise ValueError(f"task: {folder} is one of two tables; give their folder, {path.parent}")
    if kind not in (None, "event"):
        raise ValueError(
            f"task.kind: {kind!r} is of a folder of tables, but {folder} is a file; its rows are interactions, or "
            "events by kind 'event'"
        )
    return interactions_task if kind is None else events_task
