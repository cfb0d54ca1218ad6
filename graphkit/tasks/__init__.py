"""Tasks: data, split, loss and metric in one checked object."""

from graphkit.tasks.base import TARGETS, Task
from graphkit.tasks.graph import GraphTask
from graphkit.tasks.link import LinkTask
from graphkit.tasks.link_split import LinkSplit
from graphkit.tasks.node import NodeTask
from graphkit.tasks.sampled import SampledNodeTask
from graphkit.tasks.split import STAGES, Split

__all__ = ["STAGES", "TARGETS", "GraphTask", "LinkSplit", "LinkTask", "NodeTask", "SampledNodeTask", "Split", "Task"]
