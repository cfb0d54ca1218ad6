"""What a model remembers of nodes from one batch to the next."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.caching import of_tensor
from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count


class NodeMemory(Checked, nn.Module):
    """A row per node of one graph, zeros at first: buffers, which move and are saved with the weights.

    Args:
        num_nodes: The number of nodes.
        channels: The size of rows.

    Shapes:
        - **rows:** ``[num_nodes, channels]``

    Attributes:
        rows: The rows.
        known: Which of them have been written.

    Example:
        >>> memory = NodeMemory(3, 2)
        >>> memory.write(torch.tensor([2]), torch.ones(1, 2))
        >>> memory.rows.tolist(), memory.known.tolist()
        ([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]], [False, False, True])
    """

    checks = Checks(skip="it reads no graph")
    rows: Tensor
    known: Tensor

    def __init__(self, num_nodes: Count, channels: Count) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(num_nodes, channels))
        self.register_buffer("known", torch.zeros(num_nodes, dtype=torch.bool))

    def reset_parameters(self) -> None:
        """Forget everything."""
        self.rows.zero_()
        self.known.zero_()

    def ids(self, batch: Data) -> Tensor | None:
        """Which nodes a batch has, ``n_id`` of samplers or all in order; ``None`` for nodes of other graphs."""
        ids, size = batch.get("n_id"), self.rows.size(0)
        if ids is None:
            return torch.arange(size, device=self.rows.device) if batch.num_nodes == size else None
        if ids.numel() and (highest := of_tensor(ids, "highest", lambda: int(ids.max()))) >= size:
            raise ValueError(
                f"the batch has node {highest}, but num_nodes={size}; make the model for the graph that batches are "
                "of, as from_task does"
            )
        return ids

    def write(self, ids: Tensor, rows: Tensor) -> None:
        """Remember rows of some nodes."""
        self.rows[ids] = rows.detach().to(self.rows.dtype)
        self.known[ids] = True

    def extra_repr(self) -> str:
        return f"{self.rows.size(0)}, {self.rows.size(1)}"
