"""What all layer-wise strategies share: who owns which weights, states on their way up, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch_geometric.data import Data

from graphkit.models import LayeredModel
from graphkit.models.base import State
from graphkit.ops import SparseMatrix, Structure
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import OptimizerFactory, Phase, Strategy
from graphkit.training.strategies.inputs import Chain

PAIRS = ("edge_label_index", "edge_label")


class Layerwise(Strategy):
    """Training of each layer by a loss of its own; no gradient crosses from a layer to the one below.

    A layer's weights are those that its step reads, found by asking autograd; weights of ``encode`` belong to the first
    layer. Every layer has an optimizer of its own. In a greedy schedule there is a phase per layer, and finished layers
    are run in evaluation mode and never touched again; in a sweep all layers take a step per batch.

    What does not change while a layer trains (the states below it, products with the adjacency matrix) is computed once
    for each graph that training comes back to, and again as soon as a weight below has changed.
    """

    model: LayeredModel
    greedy: bool = True
    kinds: tuple[str, ...] = ("node", "graph")
    about_classes: tuple[str, ...] = ()  # arguments that mean nothing to a link task

    def adapt(self, model: nn.Module, task: Task, engine: Engine) -> None:
        name = type(self).__name__
        if not isinstance(model, LayeredModel):
            raise TypeError(
                f"{name} trains layer by layer and needs a LayeredModel, got {type(model).__name__}; use Backprop, or "
                "write the model as encode, step and decode"
            )
        if task.kind not in self.kinds:
            raise ValueError(
                f"{name} trains on {' and '.join(self.kinds)} tasks, but {task.name!r} is a {task.kind} task; use "
                "Backprop"
            )
        if task.sampler is not None and task.sampler.evaluate == "layerwise":
            raise ValueError(
                f"{name} predicts in a way of its own, but {type(task.sampler).__name__} has evaluate='layerwise'; use "
                "evaluate='whole' or 'sampled', or Backprop"
            )
        self.model, self.task, self.engine = model, task, engine
        batch = self._example()
        extra = self.extra_channels(batch)
        model.widen(extra)
        if any(extra):
            self.find_owners(batch)  # layers that take their width from the first batch have seen it now

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self._kept: dict[Any, tuple[Any, ...]] = {}
        self._latest: Data | None = None
        self.find_owners(self._example())

    def extra_channels(self, batch: Data) -> list[int]:
        """How many channels each layer reads besides the state below it; ``batch`` is an example."""
        return [0] * self.num_layers

    def _example(self) -> Data:
        batch = self.task.example if self.task.sampler is not None else next(iter(self.task.batches("val")))
        return self.engine.to_device(batch)

    @property
    def num_layers(self) -> int:
        """The number of layers."""
        return len(self.model.layers)

    def last_layer(self, upto_layer: int | None) -> int:
        """The number of the last of the first ``upto_layer`` layers (``None``: all)."""
        return (self.num_layers if upto_layer is None else upto_layer) - 1

    def phases(self) -> list[Phase]:
        if not self.greedy:
            return [Phase("all layers")]
        return [Phase(f"layer {i + 1}", upto_layer=i + 1) for i in range(self.num_layers)]

    def optimizers(self, phase: Phase, make: OptimizerFactory) -> list[torch.optim.Optimizer]:
        layers = range(self.num_layers) if phase.upto_layer is None else [phase.upto_layer - 1]
        return [make(self.own[i].items()) for i in layers]

    # Owners of weights ---------------------------------------------------------------------------------------------

    def find_owners(self, batch: Data) -> None:
        """Set ``own`` (the parameters of each layer by name), ``rest`` (those of none), ``widths`` and ``encodes``."""
        model, owner = self.model, dict[str, int]()
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.own: list[dict[str, nn.Parameter]] = []
        self.widths: list[int] = []
        with evaluating(model), torch.enable_grad():
            h: Any = model.encode(batch)
            self.encodes = h.requires_grad
            history: list[Any] = []
            for i in range(self.num_layers):
                history.append(pad_columns(h, model.extra[i] if model.extra else 0))
                out = model.step(i, history, batch)
                grads = _gradients(out, list(named.values()))
                self.own.append({name: p for (name, p), grad in zip(named.items(), grads) if grad is not None})
                for name in self.own[i]:
                    if owner.setdefault(name, i) != i:
                        raise ValueError(
                            f"{type(self).__name__} trains layers apart, but layers {owner[name] + 1} and {i + 1} of "
                            f"{type(model).__name__} share {name!r}; use Backprop, or a single layer"
                        )
                history = [detached(state) for state in history] if model.looks_back else []
                h = out.detach()
                self.widths.append(h.size(1))
        self.rest = {name: p for name, p in named.items() if name not in owner}

    # Rows ----------------------------------------------------------------------------------------------------------

    def mean(self, values: Tensor, batch: Data, rows: Tensor | None = None) -> Tensor:
        """The mean over values ``[..., n]`` of some nodes, which count as much as a sampled batch says.

        Args:
            values: The values; the mean of none is 0.
            batch: The batch.
            rows: The nodes (default: those that count while training).
        """
        weight = batch.get("node_weight")
        if weight is not None:
            return (values @ weight[judged(batch, "train") if rows is None else rows]).mean()
        return values.mean() if values.numel() else values.sum()

    # States --------------------------------------------------------------------------------------------------------

    def shown(self, h: Any) -> Any:
        """How a state is shown to the next layer (default: as it is)."""
        return h

    def climb(
        self,
        batch: Data,
        upto: int,
        extra: Tensor | None = None,
        visit: Callable[[int, Tensor], None] | None = None,
    ) -> list[State]:
        """The states that layer ``upto`` sees: no gradients, finished layers in evaluation mode.

        Args:
            batch: The graph.
            upto: The number of layers to run.
            extra: Columns that are joined to the output of each layer before the next one sees it (default: none).
            visit: Called with each layer's number and output (default: not).
        """
        with torch.no_grad(), evaluating(self.model):
            history = [self.shown(self.model.encode(batch))]
            for i in range(upto):
                out = self.engine.forward(self.model.step, i, history, batch)
                if visit is not None:
                    visit(i, self.model.node_states(out, batch))
                out = self.shown(out if extra is None else torch.cat([out, extra], dim=1))
                history = [*history, out] if self.model.looks_back else [out]
        return history

    def local(self, i: int, batch: Data, history: list[State], rows: Tensor | None = None) -> Callable[[], Tensor]:
        """A function that gives (some rows of) the output of layer ``i`` for the weights that it has when called."""
        model = self.model

        def step(history: list[State]) -> Tensor:
            return taken(model.node_states(model.step(i, history, batch), batch), rows)

        if i == 0 and self.encodes:
            return lambda: step([self.shown(model.encode(batch))])
        h: Any = history[-1]
        dense = isinstance(h, Tensor)
        graph = batch, h.shape[0], h.dtype
        matrix = model.neighborhood(i, *graph) if dense else model.aggregation(*graph)
        if matrix is None:
            return lambda: step(history)
        aggregated, own = aggregate(matrix, h, rows), taken(h, rows) if dense else None
        return lambda: model.update(i, aggregated, own)

    def kept(self, key: str, batch: Data, i: int, make: Callable[[], Any], pairs: bool = False) -> Any:
        """``make()``, kept until a weight of the first ``i`` layers changes.

        It is kept for the one graph of a node or link task; where batches hold other graphs each time, until the next
        batch comes.

        Args:
            key: What it is.
            batch: The graph.
            i: The number of layers that it depends on.
            make: Makes it.
            pairs: Whether it depends on the pairs of a link task, too; batches with others may share the graph
                (default: ``False``).
        """
        if batch is not self._latest and (self.task.kind == "graph" or self.task.sampler is not None):
            self._kept.clear()
            self._latest = batch
        weights = tuple(p._version for own in self.own[:i] for p in own.values())
        stamp = (i, weights)
        place: tuple[Any, ...] = (key, id(batch))
        if self.task.kind == "link":
            place = (key, *(id(value) for name, value in batch if pairs or name not in PAIRS))
        if self._kept.get(place, (None,))[0] != stamp:
            self._kept.pop(place, None)  # the memory is free before it is needed again
            self._kept[place] = (stamp, make(), batch)
        return self._kept[place][1]


def normalize_rows(h: Any) -> Any:
    """Rows divided by their length plus 1e-8; works on sparse matrices too."""
    scale = inverse_lengths(h)
    return h.scale(left=scale) if isinstance(h, SparseMatrix) else h * scale.unsqueeze(1)


def inverse_lengths(h: Any) -> Tensor:
    """One over (the length of each row plus 1e-8)."""
    if isinstance(h, SparseMatrix):
        length = SparseMatrix(h.structure, h.values.square()).row_sum().sqrt()  # type: ignore[union-attr]
    else:
        length = h.norm(dim=1)
    return (length + 1e-8).reciprocal()


class SquaredLengths(torch.autograd.Function):
    """The sum of squares of each row, with a gradient that takes a single pass over the rows."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        return torch.linalg.vector_norm(h, dim=-1).square()  # needs no copy of h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        return h * (2 * grad).unsqueeze(-1)


def aggregate(matrix: SparseMatrix, h: Any, rows: Tensor | None = None) -> Any:
    """Some rows of ``matrix @ h``: their product where ``h`` is dense, a chain of factors where it is sparse."""
    matrix = matrix if rows is None else matrix.select_rows(rows)
    return Chain(matrix, h) if isinstance(h, SparseMatrix) else matrix @ h


def pad_columns(h: Any, count: int) -> Any:
    """Append columns of zeros."""
    if count == 0:
        return h
    if isinstance(h, SparseMatrix):
        s = h.structure
        return SparseMatrix(Structure(s.rowptr, s.col, s.perm, s.num_cols + count), h.values)
    return F.pad(h, (0, count))


def judged(batch: Data, stage: str) -> Tensor:
    """The nodes of a node task that count at a stage: the roots of a subgraph, or a part of the split."""
    return batch.root_index if "root_index" in batch else batch[f"{stage}_index"]


def per_answer(h: Tensor, batch: Data, task: Task) -> Tensor:
    """One row per answer of a task: nodes, the marked nodes of graphs, or the mean over the nodes of each graph."""
    if task.kind == "node":
        return h
    if batch.get("readout_mask") is not None:
        return h[batch.readout_mask]
    sums = h.new_zeros(batch.num_graphs, h.size(1)).index_add(0, batch.batch, h)
    return sums / torch.bincount(batch.batch, minlength=batch.num_graphs).unsqueeze(1)


def detached(h: Any) -> Any:
    """The state without its graph."""
    return h.detach() if isinstance(h, Tensor) else h


def taken(h: Tensor, rows: Tensor | None) -> Tensor:
    """Some rows, or all of them."""
    return h if rows is None else h[rows]


def _gradients(out: Tensor, parameters: list[nn.Parameter]) -> list[Tensor | None]:
    if not out.requires_grad:
        return [None] * len(parameters)
    return list(torch.autograd.grad(out.sum(), parameters, allow_unused=True))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, for a while."""
    if not model.training:  # nothing to set in any of its parts
        yield
        return
    model.train(False)
    try:
        yield
    finally:
        model.train(True)
