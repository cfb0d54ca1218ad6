"""What models share whose input is a trained embedding of each node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, M, State


class NodeEmbeddings(LayeredModel):
    r"""A trained embedding per node of one graph, from which layers go on; pairs are scored by products of outputs.

    While training, what a batch judges is pulled towards 0: the loss grows by

    .. math::
        \frac{\lambda}{2n} \Bigl(\sum_u \lVert e_u \rVert^2 + \sum_i \lVert e_i \rVert^2\Bigr)

    with the embeddings of its :math:`n` rows' users, of all their items, and :math:`\lambda` =
    ``regularization``; of a link task :math:`n` is the number of pairs and the sums run over both ends.

    A subclass fills ``layers``, and writes ``step`` and ``decode``.

    Args:
        num_nodes: The number of nodes, which :meth:`from_task` fills in.
        hidden_channels: The width of embeddings.
        regularization: The number :math:`\lambda`.

    Shapes:
        - **input:** a PyG ``Data`` with ``edge_index``
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If a graph has another number of nodes, or a task does not judge pairs of nodes.
    """

    checks = Checks(skip="nodes have embeddings by their numbers; see tests/models/test_recommend.py")
    reads = Reads(x=False)
    _judged: tuple[Tensor, torch.Size] | None = None

    def __init__(self, num_nodes: int, hidden_channels: int, regularization: float) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.embedding = nn.Embedding(num_nodes, hidden_channels)
        self.layers = nn.ModuleList()

    @classmethod
    def check_task(cls, task: Any) -> None:
        if not task.judges_links or task.joins_graphs:
            raise ValueError(
                f"{cls.__name__} makes embeddings by which pairs of nodes are scored, but task {task.name!r} is a "
                f"{task.kind} task; use a RankingTask or a LinkTask"
            )

    @classmethod
    def from_task(cls: type[M], task: Any, **arguments: Any) -> M:
        cls.check_task(task)
        return super().from_task(task, **{"num_nodes": task.graphs[0].num_nodes} | arguments)

    def encode(self, batch: Data) -> State:
        if batch.num_nodes != self.num_nodes:
            raise ValueError(
                f"{type(self).__name__} has embeddings of {self.num_nodes} nodes, but the graph has {batch.num_nodes}; "
                "give the graph that it was built for"
            )
        pairs = batch.get("edge_label_index") if self.training else None
        self._judged = None if pairs is None else (pairs, batch.edge_label.shape)
        return self.embedding.weight

    def auxiliary_loss(self) -> Tensor:
        """The regulariser of the last batch; 0 if it named no pairs."""
        if self._judged is None or not self.regularization:
            return self.embedding.weight.new_zeros(())
        (users, items), shape = self._judged[0], self._judged[1]
        if len(shape) == 2:  # rows of candidates of one user each
            users = users.view(shape)[:, 0]
        squares = [self.embedding(ids).square().sum() for ids in (users, items)]
        return self.regularization / (2 * shape[0]) * sum(squares)
