"""Labels of nodes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.signatures import takes_arguments_of
from graphkit.samplers import Sampler
from graphkit.tasks.base import Task
from graphkit.tasks.checks import as_graphs, as_labels, check_graphs, check_names, check_split
from graphkit.tasks.from_tables import FromTables
from graphkit.tasks.loaders import Loader, NodeSubgraphs, WholeGraph
from graphkit.tasks.scenarios import Scenarios
from graphkit.tasks.split import Split
from graphkit.tasks.targets import Target
from graphkit.tasks.targets.base import without_label

if TYPE_CHECKING:
    from graphkit.tasks.tables import Made


class NodeTask(FromTables, Scenarios):
    r"""Predict a label per node of one graph; the whole graph is one batch, or its subgraphs (:meth:`Task.sampled`).

    Args:
        data: The graph, with ``edge_index`` ``[2, num_edges]``, the labels ``y`` ``[num_nodes]`` or ``[num_nodes,
            num_outputs]`` and, for models that read them, features ``x`` ``[num_nodes, num_features]``.
        split: The nodes to train on, to validate on and to test on.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.
        num_outputs: The number of classes or label columns (default: as in ``y``).

    Raises:
        TypeError: If ``edge_index`` is not integer or ``x`` not floating point.
        IndexError: If ``edge_index`` names a node that does not exist.
        ValueError: If anything else does not fit; the message names the value, the place and the remedy.

    Example:
        >>> import torch
        >>> data = Data(x=torch.eye(4), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), y=torch.tensor([0, 1, 0, 1]))
        >>> task = NodeTask("toy", data, Split("s", torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3])))
        >>> task.num_features, task.num_outputs
        (4, 2)
    """

    kind = "node"
    split: Split
    _num_given = 0

    @takes_arguments_of(Task)
    def __init__(
        self,
        name: str,
        data: Any,
        split: Any,
        target: str | type[Target] | Target = "multiclass",
        metric: str | type | Any = None,
        **of_task: Any,
    ) -> None:
        super().__init__(name, target, metric, **of_task)
        self.set_data([data], split)

    @classmethod
    def arguments(
        cls, made: Made, y: Tensor, kind: Any, split: Any, shares: Tensor, seed: int, undirected: bool
    ) -> dict[str, Any]:
        made.data.y = y
        split = Split.random(y.size(0), seed=seed, stratify=shares) if split is None else split
        return {"data": made.data, "split": split, "target": kind}

    def make_loader(self) -> Loader:
        return WholeGraph(self)

    def make_subgraph_loader(self, sampler: Sampler) -> Loader:
        return NodeSubgraphs(self, sampler, self.loader)

    def set_data(self, graphs: Sequence[Data], split: Split) -> None:
        place = f"task {self.name!r}"
        (data,) = as_graphs(graphs, place)
        self.graphs, self.split = [copy.copy(data)], split  # attributes that the user sets later change no task
        check_graphs(self.graphs, place)
        check_names(self.graphs, place)
        if self.data.y is None:
            raise ValueError(f"{place}: the graph has no labels; set data.y")
        labels, count = as_labels(self.data.y, place), self.data.num_nodes
        if labels.dim() == 0 or labels.size(0) != count:
            raise ValueError(f"{place}: there are {labels.size(0) if labels.dim() else 'no'} labels for {count} nodes")
        self._num_given = self._num_given or count  # a virtual node comes later
        if count < self._num_given:
            raise ValueError(
                f"{place}: a transform left {count} of {self._num_given} nodes, so the ids of the split name others; "
                "apply it to the graph before the split and the task are made"
            )
        check_split(split, count, self.kind, place, self._num_given)
        self.labels = self.target.check(labels, split, self.kind, place)
        self.fit_target(self.labels[split.train])

    @property
    def data(self) -> Data:
        """The graph."""
        return self.graphs[0]

    def with_labels(self, labels: Tensor) -> list[Data]:
        data = copy.copy(self.data)
        data.y = labels
        return [data]

    def training_rows(self) -> Tensor:
        return self.split.train

    def unlabelled(self) -> Tensor:
        return without_label(self.labels).nonzero().view(-1)

    def visible_labels(self, stage: str) -> Tensor:
        """The labels of all nodes, those of the test hidden at any other stage."""
        return self.labels if stage == "test" else self.target.hide(self.labels, self.split.test)

    def target_index(self, batch: Data, stage: str) -> Tensor:
        roots = batch.get("root_index")  # quicker than to look whether it is there, which PyG makes a list for
        return batch[f"{stage}_index"] if roots is None else roots

    def label_index(self, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        rows = self.target_index(batch, stage)
        return rows, rows

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        rows = self.target_index(batch, stage)
        at_roots = batch.get("readout_mask") is not None and batch.get("root_index") is not None
        if at_roots and isinstance(out, Tensor) and out.size(0) == rows.numel():
            self.check_columns(out, rows.numel(), "")
            return out, batch.y[rows]  # the model has read the roots itself
        self.check_columns(out, batch.y.size(0), "a node task needs a model without readout")
        return out[rows], batch.y[rows]

    def weight(self, batch: Data) -> Tensor | None:
        roots, weight = batch.get("root_index"), batch.get("node_weight")
        return None if roots is None or weight is None else weight[roots]

    def spread(self, values: Tensor, batch: Data, stage: str) -> Tensor:
        rows = self.target_index(batch, stage)
        return values.new_zeros(batch.num_nodes, values.size(1)).index_copy(0, rows, values)
