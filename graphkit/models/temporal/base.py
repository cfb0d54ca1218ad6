"""The common shape of models of events: they answer first, and remember afterwards."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel
from graphkit.nn.temporal import GrowingState

M = TypeVar("M", bound="EventModel")


class EventModel(GrowingState, LayeredModel):
    r"""A model of an :class:`~graphkit.EventTask`: it judges the pairs of a batch, then writes the batch's events down.

    :meth:`encode` and :meth:`decode` make outputs of the pairs ``batch.edge_label_index`` at the times
    ``batch.edge_label_time``, and read nothing else of the batch but ``batch.x``: the events themselves are what is to
    be predicted. :meth:`update_state` takes them when the answer is there. What is remembered lives in buffers, of the
    model or its parts, and is emptied by ``reset_state()`` of whichever of them has this method
    (:mod:`graphkit.tasks.event` tells when). Buffers may change their size, here and in parts that are a
    :class:`~graphkit.nn.temporal.GrowingState`.

    Shapes:
        - **input:** a batch of an :class:`~graphkit.EventTask`
        - **output:** ``[num_pairs, 1]``, or ``[num_pairs, out_channels]`` for labels, of a model with this argument

    Raises:
        ValueError: (when called) if the batch has no events, or more nodes than the model is for.
    """

    checks = Checks(skip="it reads events, which the graphs of the checks do not have; see tests/temporal")
    reads = Reads(x=False, edge_index=False, edge_attr=True, edge_label_index=True)
    uses_history = False

    @property
    def layers(self) -> nn.ModuleList:  # type: ignore[override]
        """None: what is remembered of nodes is no function of layers."""
        return nn.ModuleList()

    @classmethod
    def check_task(cls, task: Any) -> None:
        """Refuse a task that is not of events, or is of their labels if the model has no ``out_channels``.

        Raises:
            ValueError: If it is so.
        """
        if task.kind != "event":
            raise ValueError(f"{cls.__name__} reads events in time, but task {task.name!r} is a {task.kind} task")
        if not task.judges_links and "out_channels" not in inspect.signature(cls.__init__).parameters:
            raise ValueError(f"{cls.__name__} scores pairs, but task {task.name!r} asks for labels; use another model")
        super().check_task(task)

    @classmethod
    def from_task(cls: type[M], task: Any, **arguments: Any) -> M:
        """Build the model with the sizes that a task needs; see :meth:`LayeredModel.from_task`.

        Args:
            task: An :class:`~graphkit.EventTask`, which tells ``num_nodes``, ``msg_channels`` and ``time_scale``, too.
            **arguments: The model's other arguments.

        Raises:
            ValueError: As there.
        """
        cls.check_task(task)
        sizes = {"msg_channels": task.num_edge_features, "time_scale": task.mean_pause, "out_channels": 1}
        if not task.judges_links:
            sizes["out_channels"] = task.num_outputs
        known = inspect.signature(cls.__init__).parameters
        return super().from_task(task, **{name: size for name, size in sizes.items() if name in known} | arguments)

    def step(self, i: int, history: list[Any], batch: Data) -> Tensor:
        """Never called, as there are no layers.

        Raises:
            IndexError: Always.
        """
        raise IndexError(f"{type(self).__name__} has no layers")

    def outputs(self, batch: Data) -> Tensor:
        if "src" not in batch:
            raise ValueError(f"{type(self).__name__} reads events, but the batch has none (src); use an EventTask")
        size, nodes = getattr(self, "num_nodes", None), batch.get("num_nodes")
        if size is not None and nodes is not None and nodes > size:
            raise ValueError(
                f"{type(self).__name__}: events of {nodes} nodes, but num_nodes={size}; make the model for the task, "
                "as from_task does"
            )
        out = super().outputs(batch)
        with torch.no_grad():
            self.update_state(batch.src, batch.dst, batch.t, batch.msg)
        return out

    @abstractmethod
    def update_state(self, src: Tensor, dst: Tensor, t: Tensor, msg: Tensor) -> None:
        """Remember events, which are past from now on.

        Args:
            src: The sources ``[n]``.
            dst: The destinations ``[n]``.
            t: The times ``[n]``.
            msg: The messages ``[n, msg_channels]``.
        """


def each_node_once(pairs: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The nodes of pairs ``[2, n]`` and times that are asked about, each couple once; and where each end is there."""
    moment, number = time.unique(return_inverse=True)
    count = max(1, moment.numel())
    asked, place = (pairs * count + number).unique(return_inverse=True)
    return asked // count, moment[asked % count], place
