"""What layer-wise strategies share: the parameters of each layer, the states below it, and a cache of both."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphkit.core.evaluating import evaluating
from graphkit.models import LayeredModel
from graphkit.models.base import State
from graphkit.ops import SparseMatrix
from graphkit.tasks import Task
from graphkit.tasks.loaders.pairs import PAIRS
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import OptimizerFactory, Phase, Strategy
from graphkit.training.strategies.inputs import aggregate, normalize_rows, pad_columns

Append = Literal["none", "input", "all"]  # the layers whose inputs label features are joined to
_GRAPHS = 4  # whose states are cached: those of the stages, or the latest that were predicted


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

    def cannot(self) -> dict[str, str]:
        return {
            "modules": "trains layer by layer and needs a LayeredModel, got {model}; use Backprop, or write the model "
            "as encode, step and decode",
            "scorers of pairs": "trains layers on states of nodes, but {model} scores pairs by a decoder that would "
            "stay as it is; use Backprop, or its encoder alone",
            **dict.fromkeys(
                ("links", "edges", "rankings"), "does not train on {kind} tasks, of which {task} is one; use Backprop"
            ),
            "layer-wise evaluation": "predicts in a way of its own, but {sampler} has evaluate='layerwise'; use "
            "evaluate='whole' or 'sampled', or Backprop",
            "no layers": "trains layers apart, but {model} has no layers; use Backprop",
        }

    def untrained(self) -> list[str]:
        return list(self.rest)

    def configure_model(self, model: nn.Module, task: Task, engine: Engine) -> None:
        name = type(self).__name__
        assert isinstance(model, LayeredModel)  # others were refused
        if engine.is_half:
            raise ValueError(
                f"{name} judges what layers hand on, which must not have 16 bits; use precision='bf16-mixed' in place "
                "of 'bf16-true', or Backprop"
            )
        self.model, self.task, self.engine = model, task, engine
        batch = self._example()
        extra = self.extra_channels(batch)
        model.add_inputs(extra)
        if any(extra):
            self.find_parameters(batch)  # layers that take their width from the first batch have seen it now

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self._cache: dict[tuple[int, ...], dict[Any, tuple[Any, ...]]] = {}
        self._latest: Data | None = None
        self.find_parameters(self._example())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cache": {}, "_latest": None}  # known by the ids of objects, so nothing to a copy

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
        if not self.greedy and upto_layer not in (None, self.num_layers):
            raise ValueError(f"{type(self).__name__} trains all layers together and cannot predict from a part of them")
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
                if not isinstance(out, Tensor):
                    raise TypeError(f"step {i} of {type(model).__name__} returned a {type(out).__name__}, not a tensor")
                grads = _gradients(out, list(named.values()))
                self.parameters_by_layer.append(
                    {name: p for (name, p), grad in zip(named.items(), grads) if grad is not None}
                )
                if not self.parameters_by_layer[i]:
                    frozen = any(True for _ in model.layers[i].parameters())
                    raise ValueError(
                        f"{type(self).__name__} trains layers apart, but layer {i + 1} of {type(model).__name__}, an "
                        f"{type(model.layers[i]).__name__}, has no weights{' to train' * frozen}; use Backprop"
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
                history = self.extended(history, out)
        return history

    def extended(self, history: list[State], out: State) -> list[State]:
        """What the layer after the one with this output reads, without gradients."""
        return [detached(state) for state in ([*history, out] if self.model.uses_history else [out])]

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
        entries = self._cache.setdefault(tuple(id(value) for name, value in batch if name not in PAIRS), {})
        if len(self._cache) > _GRAPHS:
            del self._cache[next(iter(self._cache))]
        place = (key, id(batch["edge_label_index"]) if pairs and "edge_label_index" in batch else None)
        if entries.get(place, (None,))[0] != stamp:
            entries.pop(place, None)  # the memory is free before it is needed again
            entries[place] = (stamp, make(), batch)
        return entries[place][1]


class LabelInput(Layerwise):
    """Layer-wise training on states of length 1, in which labels are a part of the input; pairs of nodes need none.

    What is drawn once stays with the weights: the features of virtual nodes (``virtual_x``), and what subclasses add.
    """

    about_classes: tuple[str, ...] = ()  # arguments that mean nothing where pairs are judged
    append_label: str

    def idle(self, task: Task) -> dict[str, str]:
        return dict.fromkeys(self.about_classes, "where classes are judged") if task.judges_pairs else {}

    def cannot(self) -> dict[str, str]:
        layerwise = super().cannot()
        del layerwise["links"]
        return {
            "no features": "shows labels beside the features of nodes, but task {task} has none (no data.x); add some, "
            "e.g. task.transform(torch_geometric.transforms.Constant())",
            "one class": "compares classes with one another, but task {task} has a single one; use Backprop",
            "no classes": "compares classes with one another, but task {task} is a {target} task; use Backprop, "
            "TargetProjection, or ScalableFF(goodness='linear')",
            **layerwise,
            "weighed pairs": "gives links and other pairs a mean of their own, but {sampler} weighs each pair; use a "
            "sampler of roots such as NeighborSampler, or Backprop",
        }

    def configure_model(self, model: nn.Module, task: Task, engine: Engine) -> None:
        self.num_classes = 0 if task.judges_pairs else task.num_classes  # that are shown to layers
        super().configure_model(model, task, engine)

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        self._drawn: dict[str, Tensor] = {}

    def extra_channels(self, batch: Data) -> list[int]:
        later = self.num_classes if self.append_label == "all" else 0
        first = later if self.append_label == "none" else self.num_classes
        return [first] + [later] * (self.num_layers - 1)

    def normalize_input(self, h: Any) -> Any:
        return normalize_rows(h)

    def state_dict(self) -> dict[str, Any]:
        return dict(self._drawn)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if any(not torch.equal(state[name], value) for name, value in self._drawn.items()):
            self._drawn = {name: state[name].to(value) for name, value in self._drawn.items()}
            self._cache.clear()

    def layer_states(self, batch: Data) -> list[Any]:
        if self.num_classes or any(self.model.added_inputs):
            raise TypeError(
                f"embed: {type(self).__name__} shows layers more than the states below them, such as labels, so a node "
                "has several states; train by Backprop, TargetProjection or ScalableFF"
            )
        outputs: list[Any] = self.states_below(batch, 0)
        self.states_below(batch, self.num_layers, visit=lambda _, out: outputs.append(out))
        return outputs

    def classes(self, batch: Data) -> Tensor:
        """The classes of all nodes or graphs, -1 where hidden."""
        return self.task.target.class_ids(batch.y)

    def with_training_nodes(self, batch: Data) -> Data:
        """A new graph as a component of the one trained on, so that virtual nodes are what they were; others as is."""
        if not self.num_classes or batch.train_index.numel() or "root_index" in batch:
            return batch
        if self.task.stands_for:
            raise ValueError(
                f"{type(self).__name__} predicts a new graph as a component of the one trained on, which a run folder "
                "does not hold; use load_run(run_dir, task=task) with the task that was trained on"
            )
        known = copy.copy(self._example())
        known.test_index = known.test_index[:0]  # hypotheses are about new nodes alone
        keys = [key for key, _ in batch if key in known and key not in ("batch", "ptr", "num_nodes")]
        both = [Data(**{key: graph[key] for key in keys}, num_nodes=graph.num_nodes) for graph in (batch, known)]
        return Batch.from_data_list(both)

    def draw_virtual_nodes(self) -> None:
        """Draw the features of a node per class."""
        x = self._example().x
        self._drawn["virtual_x"] = torch.randn(self.num_classes, x.size(1)).to(x)


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
