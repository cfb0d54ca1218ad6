"""Exact outputs of all nodes of a large graph, one layer at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import BaseTransform

from graphkit.algorithms.sampling.subgraphs import subgraph_source
from graphkit.core.evaluating import evaluating
from graphkit.models import LayeredModel
from graphkit.samplers.base import subgraph_maker
from graphkit.tasks import Task
from graphkit.tasks.checks import as_graphs, check_graphs, check_names
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
    if not isinstance(model, LayeredModel) or model.num_hops is None:
        raise TypeError(
            f"layerwise_inference: the layers of this {type(model).__name__} may read the whole graph, so they cannot "
            "be run for some nodes at a time; use a model such as GCN, GIN or MPNN, or evaluate='whole' or 'sampled'"
        )
    if chunk_size < 1:
        raise ValueError(f"layerwise_inference: chunk_size={chunk_size}, must be at least 1")
    with evaluating(model):
        return _Run(model, data, chunk_size).outputs()


def unlabelled_batches(
    task: Task, graphs: Data | Sequence[Data], transform: BaseTransform | None, batch_size: int | None
) -> Iterable[Data]:
    """Graphs without labels as batches that a model of this task reads, after the transform that it wants.

    Raises:
        TypeError: If they are no graphs.
        ValueError: If one is damaged, or has another number of features than the task.
    """
    graphs = graphs.to_data_list() if isinstance(graphs, Batch) else graphs
    graphs = as_graphs([graphs] if isinstance(graphs, Data) else graphs, "predict")
    check_graphs(graphs, "predict")
    if not task.joins_graphs:
        check_names(graphs, "predict")
    if transform is not None and task.sampler is None:  # a sampled task applies it to its subgraphs
        graphs = [transform(graph) for graph in graphs]
    wanted = 0 if task.graphs[0].x is None else task.graphs[0].x.size(1)
    for position, graph in enumerate(graphs):
        for key in ("edge_weight", "edge_attr"):
            if (graph.get(key) is None) != (task.graphs[0].get(key) is None):
                has = "has no" if graph.get(key) is None else "has"
                raise ValueError(f"predict: graph {position} {has} {key}, unlike the graphs of task {task.name!r}")
        width = 0 if graph.x is None else graph.x.size(1)
        if width != wanted:
            raise ValueError(
                f"predict: graph {position} has {width} features, but the model was trained on {wanted}; "
                f"prepare it as the graphs of task {task.name!r} were"
            )
    return task.loader.unlabelled(graphs, batch_size)


class _Run:
    def __init__(self, model: LayeredModel, data: Data, chunk_size: int) -> None:
        data = copy.copy(data)
        for key in PAIRS:  # which are judged and not read
            data.pop(key, None)
        self.model, self.data = model, data
        self.chunks = torch.arange(data.num_nodes).split(chunk_size)
        self.source = subgraph_source(data.edge_index, data.num_nodes)
        self.part_of = subgraph_maker(data, "layerwise_inference")
        self.device = next((p.device for p in model.parameters()), data.edge_index.device)

    def outputs(self) -> Tensor:
        model = self.model
        history = [self._per_chunk(lambda _, part: model.encode(part))]
        for i in range(len(model.layers)):
            new = self._averaged(i, history[-1])
            if new is None:
                new = self._per_chunk(partial(model.step, i), history, cast(int, model.num_hops))
            history = [*history, new] if model.uses_history else [new]
        return self._per_chunk(lambda states, part: model.decode(states[-1], part), history[-1:])

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
