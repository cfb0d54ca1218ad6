"""Tasks: data, split, loss and metric in one checked object; a target and a loader put together."""

from typing import Any

from graphkit.core.deprecation import warn_renamed
from graphkit.tasks.base import Task
from graphkit.tasks.batching import Batching, FixedSize, TBatch
from graphkit.tasks.edge import EdgeTask
from graphkit.tasks.event import EventTask
from graphkit.tasks.from_tables import FromTables
from graphkit.tasks.graph import GraphTask
from graphkit.tasks.link import LinkTask
from graphkit.tasks.link_split import LinkSplit
from graphkit.tasks.loaders import Draw, Loader
from graphkit.tasks.node import NodeTask
from graphkit.tasks.pair_task import PairTask
from graphkit.tasks.ranking import RankingTask
from graphkit.tasks.scoring import Scoring
from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.targets import Target

__all__ = [
    "STAGES",
    "Batching",
    "Draw",
    "EdgeTask",
    "EventTask",
    "FixedSize",
    "FromTables",
    "GraphTask",
    "LinkSplit",
    "LinkTask",
    "Loader",
    "NodeTask",
    "PairTask",
    "RankingTask",
    "Scoring",
    "Split",
    "TBatch",
    "Target",
    "Task",
]


def __getattr__(name: str) -> Any:
    if name == "TARGETS":
        warn_renamed("graphkit.tasks.TARGETS", "graphkit.tasks.targets.registry.names()")
        return ("multiclass", "binary", "multilabel", "regression")
    if name == "SampledNodeTask":
        warn_renamed("graphkit.tasks.SampledNodeTask(task, sampler)", "task.sampled(sampler)")
        return lambda task, sampler: task.sampled(sampler)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
