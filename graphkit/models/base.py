"""The contract that every graphkit model follows."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.fx.proxy import TraceError
from torch_geometric.data import Data
from torch_geometric.nn import inits
from torch_geometric.transforms import BaseTransform

from graphkit.core.config import Configurable
from graphkit.core.deprecation import RenamedAttribute
from graphkit.core.graph_input import check_edges
from graphkit.core.overriding import has_hooks, overridden
from graphkit.core.reads import Reads
from graphkit.core.registry import Registry
from graphkit.core.validate import check_hooks, checked_edge_attr, unknown_name
from graphkit.models.call import CalledWithBatch
from graphkit.models.readout import ask_graphs, read_out
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import check_width, explain_dtype
from graphkit.ops import SparseMatrix
from graphkit.transforms import SparseFeatures

State = Tensor | SparseMatrix

M = TypeVar("M", bound="LayeredModel")


class _RefusedMasks(Layer):
    """Where PyG's explainers put edge masks, of a model that could not use them."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why

    def forward(self) -> None:  # type: ignore[override]
        if self._explain:
            self.explain = self._edge_mask = None  # as explainers leave it when all went well
            raise ValueError(
                f"{self.why}, and edge masks are for messages along edges; explain features of nodes "
                "(edge_mask_type=None), or another model"
            )


class LayeredModel(Configurable, CalledWithBatch, ABC):
    r"""A network that can be run layer by layer.

    .. math::
        h_0 = \mathrm{encode}(G), \qquad h_{i+1} = \mathrm{step}_i(h_0, \dots, h_i; G), \qquad
        y = \mathrm{decode}(h_L; G)

    ``forward`` is their composition, called as ``model(batch)`` or, as PyG's tools and explainers do, ``model(x,
    edge_index, edge_weight, edge_attr, batch)``. Whatever works on layers (forward-forward training, probes,
    oversmoothing curves) uses these three methods and never a concrete class; a subclass that composes them in a way of
    its own is refused there.

    Subclasses fill ``self.layers`` (one entry per step) and write :meth:`step`; :meth:`encode` where the first state is
    more than the features, and :meth:`decode` where outputs are more than a readout and a ``head``. The constructor
    begins with :meth:`keep_arguments`; its usual arguments, and shapes, need no line in the subclass's docstring.

    Usual arguments:
        in_channels: The number of node features; -1 takes it from the first batch.
        hidden_channels: The width of hidden states.
        num_layers: The number of layers.
        out_channels: The number of outputs (default: ``hidden_channels``).
        dropout: The probability of dropping an entry before each layer.
        input_dropout: The probability of dropping a feature.
        act: The activation, by PyG's names.
        readout: ``None`` for one output per node; for one per graph the name of an aggregation, graphkit's or PyG's, or
            ``"mask"`` to read the node that ``readout_mask`` marks (default: ``None``).
        readout_kwargs: Further arguments of the readout (default: none).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and ``edge_index``
        - **output:** ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout

    Attributes:
        layers: The parts, one per step, with weights or without.
        reads: What the model reads of a graph; an instance says less where its arguments decide. The trainer warns of
            what a task has and the model does not read, and a task without the node features that it reads is refused.
        sparse_features: Whether bag-of-words features are to be kept sparse up to the first layer, by
            :class:`~graphkit.transforms.SparseFeatures`.
        uses_history: Whether a step reads earlier states than the last one. Where none does, layer-wise training keeps
            a single state, whatever the depth.
        added_inputs: How many channels each layer takes besides the state below it, see :meth:`add_inputs`.
        combines_own: Whether :meth:`combine` reads a node's own state beside what is propagated to it.
        no_edge_masks: Why edges cannot have the masks of PyG's explainers, of a model that sends no messages along them
            but reads them (default: ``None``).
        num_hops: How many hops of edges one step reads, when not training; ``None``: perhaps all. With it, a layer can
            be computed for some nodes at a time; see :func:`graphkit.training.layerwise_inference`.
    """

    layers: nn.ModuleList
    reads: Reads = Reads()
    sparse_features: bool = False
    uses_history: bool = True
    added_inputs: Sequence[int] = ()
    combines_own: bool = True
    num_hops: int | None = None
    no_edge_masks: str | None = None

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the constructor's arguments

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_hooks(cls)

    def keep_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Keep each argument of the constructor under its own name, but modules; ``out_channels`` becomes a number.

        Args:
            arguments: ``locals()``, as the first thing that the constructor does after ``super().__init__()``.
        """
        for name, value in arguments.items():
            if name not in ("self", "__class__") and not isinstance(value, nn.Module):
                setattr(self, name, value)
        if arguments.get("out_channels", 0) is None:
            self.out_channels = arguments["hidden_channels"]
        if self.no_edge_masks:
            self.edge_masks = _RefusedMasks(f"{type(self).__name__}: {self.no_edge_masks}")

    def features(self, batch: Data, dense: bool = False) -> Any:
        """The batch's features ``[num_nodes, in_channels]``, as a sparse matrix where they are sparse.

        Args:
            batch: The graph.
            dense: Make sparse features dense (default: ``False``).

        Raises:
            ValueError: If the batch has none.
        """
        x = batch.get("x")
        if x is None:
            raise ValueError(
                f"{type(self).__name__} reads node features, but the batch has no x; add some, e.g. with "
                "gk.features.RandomWalkPE, or take a model that reads none"
            )
        if isinstance(x, Proxy) or not x.is_sparse_csr:
            return x
        return x.to_dense() if dense else SparseMatrix.from_tensor(x)

    def encode(self, batch: Data) -> State:
        """The first state :math:`h_0` (default: the batch's features)."""
        return self.features(batch)

    @abstractmethod
    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        r"""State :math:`h_{i+1}`, from the states :math:`h_0, \dots, h_i` so far."""

    def node_states(self, h: Tensor, batch: Data) -> Tensor:
        """The states of nodes ``[num_nodes, channels]`` within a state that has more rows (default: all of it)."""
        return h

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        """Outputs ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout.

        By default what the model's ``readout`` makes of the states, by its ``pool``, and its ``head`` of that, each of
        them where it is there.
        """
        readout, pool, head = (getattr(self, name, None) for name in ("readout", "pool", "head"))
        out = read_out(readout, pool, h, batch)
        return out if head is None else head(out)

    def outputs(self, batch: Data) -> Tensor:
        """The composition of :meth:`encode`, all steps and :meth:`decode`."""
        if self.no_edge_masks:
            self.edge_masks()
        ask_graphs(getattr(self, "pool", None), batch)
        try:
            return self.decode(self.layer_states(batch)[-1], batch)
        except (RuntimeError, IndexError, TypeError, TraceError):
            self._explain(batch)
            raise

    def layer_states(self, batch: Data, upto: int | None = None) -> list[Any]:
        r"""The states :math:`h_0, \dots, h_L`: what :meth:`encode` gives, and what each step makes of those before.

        Args:
            batch: The graph, or several.
            upto: The number of layers (default: all).
        """
        history: list[Any] = [self.encode(batch)]
        for i in range(len(self.layers) if upto is None else upto):
            history.append(self.step(i, history, batch))
        return history

    def _explain(self, batch: Data) -> None:
        """Say why torch has refused a batch, if it is what the batch holds."""
        if isinstance(batch.get("x"), Proxy):
            raise TypeError(
                f"{type(self).__name__} cannot be followed by torch.fx, and so not by to_hetero: what it does depends "
                "on the contents of the graph; write a module of layers that take pairs, such as GINConv"
            )
        if batch.get("x") is not None:
            check_width(self, batch.x)
            explain_dtype(self, batch.x, batch.get("edge_weight"))
        index, count = batch.get("batch"), batch.num_nodes
        if isinstance(index, Tensor) and isinstance(count, int) and index.numel() != count:
            raise ValueError(
                f"{type(self).__name__}: batch has shape {list(index.shape)}, expected one per node, [{count}]"
            )
        if self.reads.edge_index:
            check_edges(batch, type(self).__name__)

    def propagation(self, i: int, batch: Data, size: int, dtype: torch.dtype) -> SparseMatrix | None:
        r"""The constant matrix :math:`P` of a layer that propagates first: ``step(i, ...) = combine(i, P @ h, h)``.

        With it, training that repeats one layer on the same input multiplies with :math:`P` once, and some nodes can be
        computed at the cost of these nodes, however many neighbours they have. ``None``, the default, says that the
        layer is not of that kind (or not now: while dropout is on). Where ``combines_own`` is ``False``, all layers
        have the same matrix, and :meth:`encode` hands the features on unchanged.

        Args:
            i: The layer.
            batch: The graph.
            size: Its number of nodes.
            dtype: The dtype of the states.
        """
        return None

    def combine(self, i: int, propagated: Any, own: Tensor | None = None) -> Tensor:
        """State ``i + 1`` from the propagated states, or from some rows of them; see :meth:`propagation`.

        Args:
            i: The layer.
            propagated: A tensor ``[..., channels]``, or anything that can be multiplied with a matrix from the right.
            own: The same rows of the states themselves (default: not read).

        Raises:
            TypeError: If the model has no such layers.
        """
        raise TypeError(f"{type(self).__name__} has no layers that propagate first")

    def add_inputs(self, counts: Sequence[int]) -> None:
        """Give layer ``i`` room for ``counts[i]`` more input channels than the state below it has.

        Strategies call it that show a layer more than this state, such as labels. A layer whose width changes is
        replaced by a new one.

        Args:
            counts: The number of further channels of each layer.

        Raises:
            TypeError: If layers are to take more that cannot (the default).
        """
        if any(counts):
            raise TypeError(
                f"the layers of {type(self).__name__} read the states below them and nothing else, but this way of "
                "training shows them more; use a stack of layers such as GCN, or another strategy"
            )

    widen = RenamedAttribute("add_inputs")
    extra = RenamedAttribute("added_inputs")
    looks_back = RenamedAttribute("uses_history")
    reach = RenamedAttribute("num_hops")
    neighborhood = RenamedAttribute("propagation")
    reads_features = RenamedAttribute("reads.x")
    update = RenamedAttribute("combine")

    @classmethod
    def check_task(cls, task: Any) -> None:
        """Refuse a task that lacks what the model reads.

        Raises:
            ValueError: If the model reads node features and the task has none.
        """
        if cls.reads.x and task.num_features == 0:
            raise ValueError(
                f"{cls.__name__} reads node features, but task {task.name!r} has none (no data.x); add some, e.g. "
                "task.transform(torch_geometric.transforms.Constant())"
            )

    def required_transform(self) -> BaseTransform | None:
        """What this model wants precomputed; the trainer applies it once (default: see ``sparse_features``)."""
        return SparseFeatures() if self.sparse_features else None

    def reset_parameters(self) -> None:
        """Draw new initial weights for all parts, in the order in which the constructor made them."""
        for part in self.children():
            inits.reset(part)

    @classmethod
    def from_task(cls: type[M], task: Any, **arguments: Any) -> M:
        """Build the model with the sizes that a task needs.

        Fills ``in_channels``, ``out_channels``, for a task of one graph ``num_nodes`` and, for a graph task,
        ``readout`` (``"mask"`` where the answer is read at the node that ``readout_mask`` marks, else ``"mean"`` unless
        the model has a default of its own), where they are arguments of the model and not given.

        Args:
            task: A :class:`~graphkit.Task`.
            **arguments: The model's other arguments.

        Raises:
            ValueError: If an argument does not exist, with those that do, or the task lacks what the model reads.
        """
        cls.check_task(task)
        known = inspect.signature(cls.__init__).parameters
        unknown = [name for name in arguments if name not in known]
        if unknown:
            choices = [name for name in known if name != "self"]
            raise ValueError(unknown_name(unknown[0], choices, f"argument of {cls.__name__}"))
        sizes: dict[str, Any] = {"in_channels": task.num_features, "out_channels": task.num_outputs}
        if len(task.graphs) == 1:
            sizes["num_nodes"] = task.graphs[0].num_nodes
        readout = task.readout
        if readout == "mask" or (readout and "readout" in known and known["readout"].default is None):
            sizes["readout"] = readout
        return cls(**{name: value for name, value in sizes.items() if name in known} | arguments)


registry: Registry[LayeredModel] = Registry("model", LayeredModel, "graphkit.models")


_COMPOSITION = ("forward", "outputs", "layer_states")


def runs_by_layers(model: nn.Module) -> TypeGuard[LayeredModel]:
    """Whether a model's outputs are those of its layers one by one, and nobody has put anything around that."""
    return isinstance(model, LayeredModel) and not overridden(model, *_COMPOSITION) and not has_hooks(model)


def check_composition(model: LayeredModel, place: str, remedy: str) -> None:
    """Refuse a model whose own methods would be passed by where its layers are run one by one, and warn of hooks.

    Args:
        model: The model.
        place: Who runs the layers.
        remedy: What to use instead.

    Raises:
        TypeError: If the model composes its layers in a way of its own.
    """
    text = f"{place} runs the layers of {type(model).__name__} one by one, so"
    if own := overridden(model, *_COMPOSITION):
        raise TypeError(
            f"{text} its own {own} would have no effect; override encode, step or decode instead, or use {remedy}"
        )
    if has_hooks(model):
        warnings.warn(f"{text} hooks on the model have no effect; put them on its layers", stacklevel=3)


def required_by(model: nn.Module) -> BaseTransform | None:
    """What a model wants precomputed in each graph; ``None`` for modules that are no :class:`LayeredModel`."""
    return model.required_transform() if isinstance(model, LayeredModel) else None


def edge_attr_of(model: Any, batch: Data) -> Tensor:
    """The features of edges ``[num_edges, edge_dim]`` that a model asks for, or codes where it has ``edge_types``.

    Args:
        model: The model, with ``edge_dim``, or else ``edge_types``.
        batch: The batch.

    Raises:
        ValueError: If there are none, or of another size.
    """
    name, edge_attr = type(model).__name__, batch.get("edge_attr")
    if edge_attr is None:
        wanted = "edge_types" if model.edge_dim is None else "edge_dim"
        raise ValueError(f"{name}: the batch has no edge_attr, which {wanted}={getattr(model, wanted)} asks for")
    if model.edge_dim is None:
        return edge_attr
    try:
        return checked_edge_attr(edge_attr, batch.edge_index.size(1), model.edge_dim, name)
    except ValueError:
        check_edges(batch, name)  # which may be what is wrong
        raise
