"""What layer-wise strategies share: the parameters of each layer, the states below it, and a cache of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.models import LayeredModel
from graphkit.models.base import State
from graphkit.ops import SparseMatrix, SparsityPattern
from graphkit.tasks import Task
from graphkit.tasks.loaders.pairs import PAIRS
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import OptimizerFactory, Phase, Strategy
from graphkit.training.strategies.inputs import Chain


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
    for_pairs: bool = False  # whether it can judge pairs of nodes
    for_joined_graphs: bool = True  # whether a batch may join many graphs

    def configure_model(self, model: nn.Module, task: Task, engine: Engine) -> None:
        name = type(self).__name__
        if not isinstance(model, LayeredModel):
            raise TypeError(
                f"{name} trains layer by layer and needs a LayeredModel, got {type(model).__name__}; use Backprop, or "
                "write the model as encode, step and decode"
            )
        if (task.judges_pairs and not self.for_pairs) or (task.joins_graphs and not self.for_joined_graphs):
            raise ValueError(f"{name} does not train on {task.kind} tasks, of which {task.name!r} is one; use Backprop")
        if task.sampler is not None and task.sampler.evaluate == "layerwise":
            raise ValueError(
                f"{name} predicts in a way of its own, but {type(task.sampler).__name__} has evaluate='layerwise'; use "
                "evaluate='whole' or 'sampled', or Backprop"
            )
        if task.sampler is not None and task.judges_pairs and task.sampler.default_batch_size is None:
            raise ValueError(
                f"{name} gives links and other pairs a mean of their own, but {type(task.sampler).__name__} weighs "
                "each pair; use a sampler of roots such as NeighborSampler, or Backprop"
            )
        self.model, self.task, self.engine = model, task, engine
        batch = self._example()
        extra = self.extra_channels(batch)
        model.add_inputs(extra)
        if any(extra):
            self.find_parameters(batch)  # layers that take their width from the first batch have seen it now

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self._cache: dict[Any, tuple[Any, ...]] = {}
        self._latest: Data | None = None
        self.find_parameters(self._example())

    def extra_channels(self, batch: Data) -> list[int]:
        """How many channels each layer reads besides the state below it; ``batch`` is an example."""
        return [0] * self.num_layers

    def _example(self) -> Data:
        return self.engine.to_device(self.task.loader.example())

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
        return [make(self.parameters_by_layer[i].items()) for i in layers]

    # Parameters of each layer ------------------------------------------------------------------------------------

    def find_parameters(self, batch: Data) -> None:
        """Set ``parameters_by_layer``, ``rest`` (those of no layer), ``widths`` and ``encodes``."""
        model, owner = self.model, dict[str, int]()
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.parameters_by_layer: list[dict[str, nn.Parameter]] = []
        self.widths: list[int] = []
        with evaluating(model), torch.enable_grad():
            h: Any = model.encode(batch)
            self.encodes = h.requires_grad
            history: list[Any] = []
            for i in range(self.num_layers):
                history.append(pad_columns(h, model.added_inputs[i] if model.added_inputs else 0))
                out = model.step(i, history, batch)
                grads = _gradients(out, list(named.values()))
                self.parameters_by_layer.append(
                    {name: p for (name, p), grad in zip(named.items(), grads) if grad is not None}
                )
                if not self.parameters_by_layer[i]:
                    raise ValueError(
                        f"{type(self).__name__} trains layers apart, but layer {i + 1} of {type(model).__name__}, an "
                        f"{type(model.layers[i]).__name__}, has no weights; use Backprop"
                    )
                for name in self.parameters_by_layer[i]:
                    if owner.setdefault(name, i) != i:
                        raise ValueError(
                            f"{type(self).__name__} trains layers apart, but layers {owner[name] + 1} and {i + 1} of "
                            f"{type(model).__name__} share {name!r}; use Backprop, or a single layer"
                        )
                history = [detached(state) for state in history] if model.uses_history else []
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
            return (values @ weight[self.task.target_index(batch, "train") if rows is None else rows]).mean()
        return values.mean() if values.numel() else values.sum()

    # States --------------------------------------------------------------------------------------------------------

    def normalize_input(self, h: Any) -> Any:
        """The state as the next layer reads it, e.g. with rows of length 1 (default: as it is)."""
        return h

    def states_below(
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
            history = [self.normalize_input(self.model.encode(batch))]
            for i in range(upto):
                out = self.engine.forward(self.model.step, i, history, batch)
                if visit is not None:
                    visit(i, self.model.node_states(out, batch))
                out = self.normalize_input(out if extra is None else torch.cat([out, extra], dim=1))
                history = [*history, out] if self.model.uses_history else [out]
        return history

    def local(self, i: int, batch: Data, history: list[State], rows: Tensor | None = None) -> Callable[[], Tensor]:
        """A function that gives (some rows of) the output of layer ``i`` for the weights that it has when called."""
        model = self.model

        def step(history: list[State]) -> Tensor:
            return select_rows(model.node_states(model.step(i, history, batch), batch), rows)

        if i == 0 and self.encodes:
            return lambda: step([self.normalize_input(model.encode(batch))])
        h: Any = history[-1]
        dense = isinstance(h, Tensor)
        graph = batch, h.shape[0], h.dtype
        matrix = model.propagation(i, *graph) if dense else self.propagation(*graph)
        if matrix is None:
            return lambda: step(history)
        aggregated, own = aggregate(matrix, h, rows), select_rows(h, rows) if dense else None
        return lambda: model.combine(i, aggregated, own)

    def propagation(self, batch: Data, size: int, dtype: torch.dtype) -> SparseMatrix | None:
        """The matrix that layers propagate with, where they read nothing else; see :meth:`LayeredModel.propagation`."""
        return None if self.model.combines_own else self.model.propagation(0, batch, size, dtype)

    def cached(self, key: str, batch: Data, i: int, make: Callable[[], Any], pairs: bool = False) -> Any:
        """``make()``, cached until a weight of the first ``i`` layers changes.

        Where batches hold other graphs each time, only until the next batch comes.

        Args:
            key: What it is.
            batch: The graph.
            i: The number of layers that it depends on.
            make: Makes it.
            pairs: Whether it depends on the pairs of a link task, too; batches with others may share the graph
                (default: ``False``).
        """
        if batch is not self._latest and not self.task.loader.one_graph:
            self._cache.clear()
            self._latest = batch
        weights = tuple(p._version for layer in self.parameters_by_layer[:i] for p in layer.values())
        stamp = (i, weights)
        place = (key, *(id(value) for name, value in batch if pairs or name not in PAIRS))
        if self._cache.get(place, (None,))[0] != stamp:
            self._cache.pop(place, None)  # the memory is free before it is needed again
            self._cache[place] = (stamp, make(), batch)
        return self._cache[place][1]


def normalize_rows(h: Any) -> Any:
    """Rows divided by their length plus 1e-8; works on sparse matrices too."""
    scale = inverse_lengths(h)
    return h.scale(left=scale) if isinstance(h, SparseMatrix) else h * scale.unsqueeze(1)


def inverse_lengths(h: Any) -> Tensor:
    """One over (the length of each row plus 1e-8)."""
    if isinstance(h, SparseMatrix):
        length = SparseMatrix(h.pattern, h.values.square()).row_sum().sqrt()  # type: ignore[union-attr]
    else:
        length = h.norm(dim=1)
    return (length + 1e-8).reciprocal()


def aggregate(matrix: SparseMatrix, h: Any, rows: Tensor | None = None) -> Any:
    """Some rows of ``matrix @ h``: their product where ``h`` is dense, a chain of factors where it is sparse."""
    matrix = matrix if rows is None else matrix.select_rows(rows)
    return Chain(matrix, h) if isinstance(h, SparseMatrix) else matrix @ h


def pad_columns(h: Any, count: int) -> Any:
    """Append columns of zeros."""
    if count == 0:
        return h
    if isinstance(h, SparseMatrix):
        s = h.pattern
        return SparseMatrix(SparsityPattern(s.rowptr, s.col, s.perm, s.num_cols + count), h.values)
    return F.pad(h, (0, count))


def detached(h: Any) -> Any:
    """The state without its graph."""
    return h.detach() if isinstance(h, Tensor) else h


def select_rows(h: Tensor, rows: Tensor | None) -> Tensor:
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
