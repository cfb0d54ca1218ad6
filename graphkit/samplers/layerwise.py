"""Exact outputs of all nodes of a large graph, one layer at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.algorithms.subgraphs import SubgraphSource, subgraph_source
from graphkit.models import LayeredModel
from graphkit.samplers.base import cut_out, kinds_of_attributes


@torch.no_grad()
def layerwise(model: nn.Module, data: Data, chunk_size: int = 8192) -> Tensor:
    r"""The outputs of a model for all nodes of a graph, equal to ``model(data)``, in little memory.

    Each layer is computed for all nodes before the next one begins, in chunks of nodes with the neighbours that the
    layer reads. Every state is computed once, whatever the depth, and nothing but states is kept. Where the layers
    average with a constant matrix (:meth:`~graphkit.models.LayeredModel.aggregation`), a chunk is a product with some
    of its rows.

    Args:
        model: A :class:`~graphkit.models.LayeredModel` without readout whose layers say how far they reach
            (``model.reach``); it is run in evaluation mode.
        data: The graph; it may stay on the CPU, chunks go where the model is.
        chunk_size: The number of nodes per chunk (default: 8192).

    Returns:
        Outputs ``[num_nodes, out_channels]``, where ``data`` is.

    Raises:
        TypeError: If the model cannot be run for some nodes at a time; the message says what to use instead.
        ValueError: If ``chunk_size`` is smaller than 1.

    Example:
        >>> from graphkit.models import GCN
        >>> data = Data(x=torch.randn(5, 4), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))
        >>> model = GCN(4, 8, out_channels=2).eval()
        >>> torch.allclose(layerwise(model, data, chunk_size=2), model(data), atol=1e-6)
        True
    """
    if not isinstance(model, LayeredModel) or model.reach is None:
        raise TypeError(
            f"layerwise: the layers of this {type(model).__name__} may read the whole graph, so they cannot be run for "
            "some nodes at a time; use a model such as GCN, GIN or MPNN, or evaluate='whole' or 'sampled'"
        )
    if chunk_size < 1:
        raise ValueError(f"layerwise: chunk_size={chunk_size}, must be at least 1")
    was_training = model.training
    model.eval()
    try:
        return _Run(model, data, chunk_size).outputs()
    finally:
        model.train(was_training)


class _Run:
    def __init__(self, model: LayeredModel, data: Data, chunk_size: int) -> None:
        self.model, self.data = model, data
        self.chunks = torch.arange(data.num_nodes).split(chunk_size)
        self.source: SubgraphSource = subgraph_source(data.edge_index, data.num_nodes)
        self.kinds = kinds_of_attributes(data, "layerwise")
        self.device = next((p.device for p in model.parameters()), data.edge_index.device)

    def outputs(self) -> Tensor:
        model = self.model
        history = [self._per_chunk(lambda part, ids: model.encode(part), 0)]
        for i in range(len(model.layers)):
            matrix = model.aggregation(self.data, self.data.num_nodes, history[-1].dtype)
            if matrix is not None:
                rows = [matrix.select_rows(ids) @ history[-1] for ids in self.chunks]
                new = torch.cat([model.update(i, part.to(self.device)).to(part.device) for part in rows])
            else:
                new = self._per_chunk(lambda part, ids, i=i: model.step(i, self._states(history, ids), part), model.reach)
            history = [*history, new] if model.looks_back else [new]
        return self._per_chunk(lambda part, ids: model.decode(self._states(history, ids)[-1], part), 0)

    def _per_chunk(self, run: Any, reach: Any) -> Tensor:
        """``run(part, ids)`` for the nodes of each chunk, with what is so many hops around them."""
        rows = []
        for chunk in self.chunks:
            found = self.source.neighbors(chunk, [-1] * reach)
            part = cut_out(self.data, self.kinds, found).to(self.device)
            out = run(part, found.nodes)
            out = out if isinstance(out, Tensor) else out.to_dense()  # sparse features
            rows.append(out[: chunk.numel()].to(self.data.edge_index.device))
        return torch.cat(rows)

    def _states(self, history: list[Tensor], ids: Tensor) -> list[Any]:
        return [h[ids].to(self.device) for h in history]
