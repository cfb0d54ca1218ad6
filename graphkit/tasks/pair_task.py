"""What tasks share that judge pairs of nodes of one graph."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.data_folder import results_folder
from graphkit.samplers import Sampler
from graphkit.tasks.base import Task
from graphkit.tasks.checks import check_graphs
from graphkit.tasks.loaders import Loader, PairSubgraphs
from graphkit.transforms.base import apply, has_own_space

if TYPE_CHECKING:
    from graphkit.tasks.tables import Made


class PairTask(Task):
    """Judge pairs of nodes: batches are the graph of a stage, with ``edge_label_index`` and ``edge_label``.

    Arguments and errors are those of :class:`Task`.
    """

    judges_pairs = True
    label_key: ClassVar[str] = "edge_label"
    _scores_pairs: bool | None = None

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

    def by_ids(self, pairs: Tensor, ids: Any) -> Any:
        """Pairs of nodes ``[2, n]`` by what both ends are called, or by number, under the names of their columns."""
        from graphkit.tasks.tables import names_of_pairs

        return names_of_pairs(ids, pairs, ("source", "target") if self.tables is None else self.tables.ends)

    def named(self, graph: Data, made: Made) -> tuple[Data, Any]:
        graph.edge_label_index = made.pairs
        return graph, self.by_ids(made.pairs, made.ids)

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

    def scored_by(self, scores_pairs: bool | None) -> Self:
        if self.judges_links:
            return self
        task = copy.copy(self)
        task._scores_pairs = scores_pairs
        return task.with_loader(self.loader)

    def answers(self, out: Any, batch: Data) -> Tensor:
        """The outputs ``[n, num_outputs]`` for labels of pairs: a model's own, or the means of those of both ends.

        Raises:
            ValueError: If ``out`` is neither of pairs nor of nodes, or could be both.
        """
        pairs, rows = self.ends(out, batch)
        count, given = pairs.size(1), out.size(0) if isinstance(out, Tensor) and out.dim() else 0
        of_pairs = self._scores_pairs
        if of_pairs is None and count == rows:
            raise ValueError(
                f"task {self.name!r}: {rows} rows of outputs may be of the nodes or of the {self.kind}s judged; "
                f"say which by an attribute of the model: reads = gk.models.Reads(edge_label_index=True) if of pairs"
            )
        if of_pairs is None or (of_pairs and rows != count):
            of_pairs = given == count
        if of_pairs:
            self.check_columns(
                out, count, f"an {self.kind} task needs a row per node or per {self.kind} that is judged"
            )
            return out
        self.check_columns(out, rows, f"an {self.kind} task needs a model without readout, or one that scores pairs")
        return (out[pairs[0]] + out[pairs[1]]) / 2


class DividedTask(PairTask):
    """Judge edges that the split takes out of the graph, so that a transformed graph goes with its split.

    Arguments and errors are those of :class:`Task`.
    """

    ends_are: ClassVar[str]  # what the nodes are to the task, and what to do instead of changing them
    split_first: ClassVar[str]  # what to do instead of dividing a transformed graph
    _data: Data | None  # the graph before it was divided, unless it was transformed

    def with_split(self, split: Any) -> Self:
        if self._data is None:
            raise ValueError(
                f"task {self.name!r} was transformed, which depends on its split; {self.split_first} and transform it"
            )
        return self._changed([self._data], split)

    def _through(self, transform: BaseTransform, jobs: int | None) -> list[Data]:
        if not has_own_space(transform):
            return super()._through(transform, jobs)
        folder = results_folder("transforms", self.dataset)
        (trained,) = apply(transform, [self.stage_graph("train")], jobs=jobs, cache_dir=folder)
        graphs = [copy.copy(graph) for graph in self.graphs]
        for graph in graphs:
            graph.x = trained.x  # the nodes of all stages are the same
        return graphs

    def _with_graphs(self, graphs: list[Data]) -> Self:
        check_graphs(graphs, f"task {self.name!r}")
        if any(graph.num_nodes != self.num_nodes for graph in graphs):
            raise ValueError(f"task {self.name!r}: the transform changed the number of nodes, but {self.ends_are}")
        task = self._copied()
        task.graphs, task._data = graphs, None
        return task.with_loader(self.loader)
