"""Exact outputs and states of all nodes of a graph, of a large one layer by layer in chunks."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.algorithms.sampling.subgraphs import subgraph_source
from graphkit.core.evaluating import evaluating
from graphkit.models import LayeredModel
from graphkit.models.base import check_composition
from graphkit.samplers.base import subgraph_maker
from graphkit.tasks.loaders.pairs import PAIRS


@torch.no_grad()
def layerwise_inference(model: nn.Module, data: Data, chunk_size: int = 8192) -> Tensor:
    r"""The outputs of a model for all nodes of a graph, equal to ``model(data)``, in little memory.

    Each layer is computed for all nodes before the next one begins, in chunks of nodes with the neighbours that the
    layer reads. Every state is computed once, whatever the depth, and nothing but states is kept. Where a layer
    propagates with a constant matrix (:meth:`~graphkit.models.LayeredModel.propagation`), a chunk is a product with
    some of its rows, and no neighbour is computed twice.

    Args:
        model: A :class:`~graphkit.models.LayeredModel` without readout whose layers say how far they reach
            (``model.num_hops``); it is run in evaluation mode.
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
        >>> torch.allclose(layerwise_inference(model, data, chunk_size=2), model(data), atol=1e-6)
        True
    """
    layered = check_layers(model)
    if chunk_size < 1:
        raise ValueError(f"layerwise_inference: chunk_size={chunk_size}, must be at least 1")
    with evaluating(model):
        return _Run(layered, data, chunk_size).outputs()


def check_layers(model: nn.Module) -> LayeredModel:
    """The model, if it can be run layer by layer for some nodes at a time.

    Raises:
        TypeError: If it cannot; the message says what to use instead.
    """
    name = type(model).__name__
    if not isinstance(model, LayeredModel) or model.num_hops is None:
        raise TypeError(
            f"layerwise_inference: the layers of this {name} may read the whole graph, so they cannot be run for some "
            "nodes at a time; use a model such as GCN, GIN or MPNN, or evaluate='whole' or 'sampled'"
        )
    check_composition(model, "layerwise_inference", "evaluate='whole' or 'sampled'")
    return model


def layer_states(model: LayeredModel, batch: Data) -> list[Any]:
    """The states of all nodes, from what ``encode`` gives to what ``decode`` reads, in evaluation mode.

    A batch with ``chunk_size`` is a large graph, whose layers are computed one by one for so many nodes at a time.
    """
    with evaluating(model):
        if "chunk_size" in batch:
            return _Run(model, batch, batch.chunk_size).states()
        return [model.node_states(h, batch) for h in model.layer_states(batch)]


class _Run:
    def __init__(self, model: LayeredModel, data: Data, chunk_size: int) -> None:
        data = copy.copy(data)
        for key in PAIRS:  # which are judged and not read
            data.pop(key, None)
        self.model, self.data = model, data
        self.chunks = torch.arange(data.num_nodes).split(chunk_size)
        self.source = subgraph_source(data)
        self.part_of = subgraph_maker(data, "layerwise_inference")
        self.device = next((p.device for p in model.parameters()), data.edge_index.device)

    def outputs(self) -> Tensor:
        for state in self._states():  # one at a time, unless a layer reads earlier ones
            last = state
        return self._per_chunk(lambda states, part: self.model.decode(states[-1], part), [last])

    def states(self) -> list[Tensor]:
        return list(self._states())

    def _states(self) -> Iterator[Tensor]:
        model = self.model
        history = [self._per_chunk(lambda _, part: model.encode(part))]
        yield history[-1]
        for i in range(len(model.layers)):
            new = self._averaged(i, history[-1])
            if new is None:
                new = self._per_chunk(partial(model.step, i), history, cast(int, model.num_hops))
            history = [*history, new] if model.uses_history else [new]
            yield new

    def _averaged(self, i: int, h: Tensor) -> Tensor | None:
        """The next state, where the layer propagates with a constant matrix."""
        matrix = self.model.propagation(i, self.data, self.data.num_nodes, h.dtype)
        if matrix is None:
            return None
        parts = ((matrix.select_rows(ids) @ h, h[ids]) for ids in self.chunks)
        return self._joined(self.model.combine(i, *(rows.to(self.device) for rows in part)) for part in parts)

    def _per_chunk(self, run: Any, history: Sequence[Tensor] = (), num_hops: int = 0) -> Tensor:
        """``run(states, part)`` for the nodes of each chunk, with what is so many hops around them."""

        def rows(chunk: Tensor) -> Tensor:
            subgraph = self.source.neighbors(chunk, [-1] * num_hops)
            part = self.part_of(subgraph).to(self.device)
            out = run([h[subgraph.nodes].to(self.device) for h in history], part)
            out = out if isinstance(out, Tensor) else out.to_dense()  # sparse features
            return out[: chunk.numel()]

        return self._joined(map(rows, self.chunks))

    def _joined(self, rows: Iterable[Tensor]) -> Tensor:
        """The rows of all chunks as one tensor where the graph is; never twice in memory."""
        out: Tensor | None = None
        for chunk, part in zip(self.chunks, rows, strict=True):
            if out is None:
                out = part.new_empty(self.data.num_nodes, part.size(1), device=self.data.edge_index.device)
            out[chunk] = part.to(out.device)
        return cast(Tensor, out)
