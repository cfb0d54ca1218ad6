"""What tasks share that judge pairs of nodes of one graph."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.samplers import Sampler
from graphkit.tasks.base import Task
from graphkit.tasks.loaders import Loader, PairSubgraphs


class PairTask(Task):
    """Judge pairs of nodes: batches are the graph of a stage, with ``edge_label_index`` and ``edge_label``.

    Arguments and errors are those of :class:`Task`.
    """

    judges_pairs = True
    label_key: ClassVar[str] = "edge_label"

    def make_subgraph_loader(self, sampler: Sampler) -> Loader:
        return PairSubgraphs(self, sampler, self.loader)

    @abstractmethod
    def stage_graph(self, stage: str) -> Data:
        """The graph with the edges that may carry messages at one stage."""

    @property
    def data(self) -> Data:
        """The graph, with the edges that may carry messages in the test."""
        return self.stage_graph("test")

    @property
    def num_nodes(self) -> int:
        """The number of nodes."""
        return self.graphs[0].num_nodes

    def pairs(self, batch: Data) -> Tensor:
        return batch.edge_label_index

    def target_labels(self, batch: Data, stage: str) -> Tensor:
        return batch.edge_label

    def weight(self, batch: Data) -> Tensor | None:
        return batch.get("pair_weight")

    def ends(self, out: Any, batch: Data) -> tuple[Tensor, int]:
        """The ends of the batch's pairs as rows of states of nodes ``[2, n]``, and how many rows there must be."""
        pairs, rows = batch.edge_label_index, batch.num_nodes
        roots = batch.get("root_index")
        if "readout_mask" in batch and roots is not None and isinstance(out, Tensor) and len(out) == roots.numel():
            rows = roots.numel()  # the model has read the roots itself
            row_of = pairs.new_zeros(batch.num_nodes).index_copy_(0, roots, torch.arange(rows, device=pairs.device))
            pairs = row_of[pairs]
        return pairs, rows
