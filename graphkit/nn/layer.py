"""What graph convolutions have in common: PyG's message passing, by products of sparse matrices where they will do."""

from __future__ import annotations

import inspect
import warnings
from abc import abstractmethod
from collections import OrderedDict
from typing import Any, NoReturn, TypeVar, cast

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing, inits
from torch_geometric.utils import is_sparse

from graphkit.core.constraints import Checked
from graphkit.core.overriding import as_written, has_hooks
from graphkit.core.validate import unknown_name
from graphkit.ops import SparseMatrix, SparsityPattern, gcn_norm, sparsity_pattern

T = TypeVar("T")
_PARTS = (Tensor, nn.Module)
_COLLECTIONS = (dict, OrderedDict, list, set)
_OF_PYG = [name for name in inspect.signature(MessagePassing.__init__).parameters if name != "self"]


class Layer(Checked, MessagePassing):
    """A layer from the features of nodes to features of nodes, along edges.

    It is a PyG ``MessagePassing`` that multiplies with the sparse matrix of the graph. Messages are sent one by one,
    with the same result, only where something asks for them: PyG's explain mode with its edge masks, a registered hook,
    ``decomposed_layers``, another ``aggr`` than the sum, or ``message``, ``aggregate`` or ``update`` of a subclass.

    Usual arguments:
        in_channels: Size of each input row; -1 takes it from the first input.
        out_channels: Size of each output row.
        bias: Whether there is an additive bias.
        cached: As in PyG; the propagation is cached with the graph and compared with its contents in any case, so that
            another graph never meets what belongs to the first one (default: ``False``).
        add_self_loops: Whether to add missing self-loops.
        kwargs: Further arguments of PyG's ``MessagePassing``: ``flow``, ``node_dim``, ``aggr``, ``decomposed_layers``.

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix`);
          ``edge_index`` ``[2, num_edges]`` (a tensor, a PyG ``EdgeIndex``, or a sparse tensor ``adj_t`` whose rows are
          targets and whose values are weights); ``edge_weight`` ``[num_edges]`` (optional, differentiable)
        - **output:** ``[*, num_nodes, out_channels]``

    Raises:
        TypeError: If an argument has the wrong type, or ``edge_index`` is not integer.
        IndexError: If ``edge_index`` names a node that does not exist.
        ValueError: If an argument is out of range or sizes do not fit.
    """

    bipartite: bool = False  # whether features may be a pair, of sources and of targets
    takes_sparse = True  # whether features may be a sparse matrix
    takes_static = True  # whether features may be those of static graphs, of three axes or more
    takes_states = False  # whether features may be a list, of states of the same nodes
    takes_patterns = True  # whether edges may be a SparsityPattern
    takes_joined = False  # whether several aggregations may put their results side by side
    cached = False
    fast_aggr: tuple[Any, ...] = ("add", "sum", None)  # what products of matrices stand for
    _own_messages = False
    _begun: dict[Any, Any]  # a layer of the class for each of its arguments, without anything of its own
    _cached_edge_index: tuple[Tensor, Tensor | None] | None = None  # as PyG names them; nothing is read from them
    _cached_adj_t: None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._begun = {}
        if not cls.__module__.startswith("graphkit."):
            cls._own_messages |= not {"message", "aggregate", "update", "propagate"}.isdisjoint(vars(cls))
            if "message_and_aggregate" in vars(cls) and not cls._own_messages:
                _refuse_unused(cls, "message_and_aggregate")
            if "edge_update" in vars(cls) and "forward" not in vars(cls):
                _refuse_unused(cls, "edge_update")

    def __init__(self, aggr: Any = "add", **kwargs: Any) -> None:
        for name in (name for name in kwargs if name not in _OF_PYG):
            taken = [each for each in inspect.signature(type(self)).parameters if each != "kwargs"]
            raise TypeError(f"{type(self).__name__}: {unknown_name(name, [*taken, *_OF_PYG], 'argument')}")
        following = super().__init__  # of another base, where a subclass has one
        plain = all(type(value) in (str, int, type(None)) for value in (aggr, *kwargs.values()))
        if not plain or following.__func__ is not MessagePassing.__init__:
            following(aggr, **kwargs)
            return
        key = aggr, *kwargs.items(), torch.get_deterministic_debug_mode()
        if key not in self._begun:  # PyG looks at all methods for each new layer, which takes a millisecond
            begun = object.__new__(type(self))
            MessagePassing.__init__(begun, aggr, **kwargs)
            self._begun[key] = begun
        begun = self._begun[key]
        self.__dict__.update(_twin(begun).__dict__, inspector=_twin(begun.inspector))

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any module; what is no part of it (PyG sets some thirty) needs no look at what tensors it may be."""
        own = self.__dict__
        is_part = "_modules" not in own or isinstance(value, _PARTS)
        if is_part or name in own["_modules"] or name in own["_parameters"] or name in own["_buffers"]:
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_jittable_templates(self, raise_on_error: bool = False) -> None:
        """Write no code for TorchScript: PyG would, into a temporary file for each class."""

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """One convolution; see the class for shapes."""

    def reset_parameters(self) -> None:
        """Draw new weights of all parts, in the order in which the constructor made them, and zeros for ``bias``."""
        for part in self.children():
            inits.reset(part)
        inits.zeros(self._parameters.get("bias"))
        self._cached_edge_index = None

    def __prepare_scriptable__(self) -> nn.Module:
        """Refuse ``torch.jit.script``, which reads no such code."""
        raise TypeError(
            f"{type(self).__name__} cannot be scripted; use torch.compile, torch.export, or torch.jit.trace"
        )

    def register_message_and_aggregate_forward_pre_hook(self, hook: Any) -> Any:
        """Refuse a hook that would never be called."""
        _refuse_unused(type(self), "message_and_aggregate")

    def register_message_and_aggregate_forward_hook(self, hook: Any) -> Any:
        """Refuse a hook that would never be called."""
        _refuse_unused(type(self), "message_and_aggregate")

    def register_edge_update_forward_pre_hook(self, hook: Any) -> Any:
        """Refuse a hook that would never be called."""
        _refuse_unused(type(self), "edge_update")

    def register_edge_update_forward_hook(self, hook: Any) -> Any:
        """Refuse a hook that would never be called."""
        _refuse_unused(type(self), "edge_update")

    @property
    def sends_messages(self) -> bool:
        """Whether something asks for messages, so that products of matrices will not do."""
        return self._wants_messages or self._hooks_aggregation

    @property
    def _hooks_aggregation(self) -> bool:
        aggregation = self._modules.get("aggr_module")
        return aggregation is not None and has_hooks(aggregation)

    @property
    def _wants_messages(self) -> bool:
        own = self.__dict__
        return bool(
            self._explain
            or self._own_messages
            or self._decomposed_layers > 1
            or self.aggr not in self.fast_aggr
            or self._propagate_forward_pre_hooks
            or self._propagate_forward_hooks
            or self._message_forward_pre_hooks
            or self._message_forward_hooks
            or self._aggregate_forward_pre_hooks
            or self._aggregate_forward_hooks
            or "message" in own
            or "aggregate" in own
            or "update" in own
        )

    def refuse_messages(self, why: str) -> None:
        """Refuse what asks a layer for its messages that sends none itself; edge masks are seen to by its parts.

        Tools that summarise a network put hooks on everything in it, so those on the aggregation are warned of.

        Raises:
            ValueError: If there are hooks or other things that would have no effect.
        """
        if self._hooks_aggregation:
            warnings.warn(f"{type(self).__name__} {why}, so hooks on its aggr_module have no effect", stacklevel=3)
        if self._wants_messages and not self._explain:
            raise ValueError(
                f"{type(self).__name__} {why}; hooks on messages, decomposed_layers, aggr and methods such as message "
                "would have no effect"
            )

    def sizes(self, source: Any, target: Any, size: tuple[int, int] | None = None) -> tuple[int, int]:
        """The numbers of sources and of targets, from PyG's ``size`` where there are no features of targets."""
        if target is not None:
            return source.shape[0], target.shape[0]
        if size is None:
            raise ValueError(
                f"{type(self).__name__}: features of targets are None; pass size=(num_sources, num_targets)"
            )
        return size if self.flow == "source_to_target" else size[::-1]

    def edges(self, graph: Tensor | SparsityPattern, size: int | tuple[int, int]) -> Tensor | SparsityPattern:
        """The edges in the direction of the layer's flow.

        Raises:
            ValueError: If a sparse adjacency matrix is to be read against its direction, which PyG refuses, too.
        """
        if self.flow == "source_to_target":
            return graph
        if is_sparse(graph):
            raise ValueError(
                f"{type(self).__name__}: flow='target_to_source' does not go with a sparse adjacency matrix; pass the "
                "transposed one, adj_t.t(), with the usual flow"
            )
        return sparsity_pattern(graph, size[::-1] if isinstance(size, tuple) else size).T

    def along(self, matrix: SparseMatrix) -> SparseMatrix:
        """What to multiply features with: the matrix, or messages along its entries where something asks for them."""
        if self.cached:
            self._cached_edge_index = matrix.edges[:2]
        return cast(SparseMatrix, Messages(self, matrix)) if self.sends_messages else matrix

    def normalized(self, x: Any, edge_index: Any, edge_weight: Tensor | None, **norm: Any) -> SparseMatrix:
        """The normalised adjacency matrix, to multiply features like ``x`` with; ``norm`` is as in :func:`gcn_norm`."""
        edges, size = self.edges(edge_index, x.shape[0]), x.shape[0]
        return self.along(gcn_norm(edges, edge_weight, size=size, dtype=x.dtype, **norm))

    def send(
        self,
        edge_index: Tensor,
        size: tuple[int, int],
        edge_weight: Tensor | None = None,
        edge_id: Tensor | None = None,
        **features: Tensor | None,
    ) -> Tensor:
        """The sums of messages along edges from sources to targets, of features ``[num_nodes, *, channels]``."""
        if self.flow == "target_to_source":  # which propagate expects
            edge_index, size = edge_index.flip(0), size[::-1]
        moved = {name: None if x is None else x.movedim(0, self.node_dim) for name, x in features.items()}
        out = self.propagate(edge_index, size=size, edge_weight=edge_weight, edge_id=edge_id, **moved)
        return out.movedim(self.node_dim, 0).clone()  # a hook may keep what a layer then adds to

    def message(self, x_j: Tensor, edge_weight: Tensor | None) -> Tensor:
        """The source's features times the weight of the edge."""
        return x_j if edge_weight is None else edge_weight.unsqueeze(-1) * x_j

    def explain_message(self, inputs: Tensor, edge_id: Tensor | None) -> Tensor:
        """The messages times PyG's mask of edges; loops that the layer has added have none."""
        mask = self._mask(edge_id, inputs.shape[self.node_dim])
        return inputs * mask.view([-1 if dim == self.node_dim % inputs.dim() else 1 for dim in range(inputs.dim())])

    def masked(self, matrix: SparseMatrix) -> SparseMatrix:
        """In explain mode, the matrix with its values times the mask of edges, for layers that hand matrices on."""
        self.refuse_messages("hands a matrix on")
        if not self._explain:
            return matrix
        pattern = matrix.pattern
        mask = pattern.to_csr(self._mask(pattern.edge_id, pattern.num_edges))
        return SparseMatrix(pattern, mask if matrix.values is None else mask * matrix.values)

    def with_mask(self, tensors: list[Tensor]) -> list[Tensor]:
        """What a result depends on: these tensors, and in explain mode PyG's mask, which may be a parameter already."""
        mask = self._edge_mask if self._explain else None
        return tensors if mask is None or any(mask is tensor for tensor in tensors) else [*tensors, mask]

    def _mask(self, edge_id: Tensor | None, num_edges: int) -> Tensor:
        """The mask of each edge; 1 for loops that the layer has added."""
        mask = self._edge_mask
        if mask is None:
            raise ValueError(
                f"{type(self).__name__} is in explain mode without an edge mask; use "
                "torch_geometric.explain.algorithm.utils.set_masks, or explain = None"
            )
        mask = mask.sigmoid() if self._apply_sigmoid else mask
        known = mask.size(0)
        fits = known == num_edges if edge_id is None else num_edges == 0 or known > int(edge_id.max())
        if not fits:
            raise ValueError(
                f"{type(self).__name__} has an edge mask for {known} edges, but was called with {num_edges}; "
                "masks are for the edges that the model is called with"
            )
        return mask if edge_id is None else mask[edge_id.clamp(min=0)].masked_fill(edge_id < 0, 1.0)


def _twin(thing: T) -> T:
    """A copy of a module without parameters, or of another object, with collections and parts of its own."""
    twin = object.__new__(type(thing))
    own = vars(twin)
    own.update({name: value.copy() if type(value) in _COLLECTIONS else value for name, value in vars(thing).items()})
    for name, part in own.get("_modules", {}).items():
        own["_modules"][name] = _twin(part)
    return twin


def propagates_first(layer: nn.Module) -> bool:
    """Whether a layer's result is what it combines after a product with its matrix, whose messages nobody wants."""
    return hasattr(layer, "propagation") and as_written(layer) and not getattr(layer, "sends_messages", False)


def _refuse_unused(layer: type, method: str) -> NoReturn:
    raise TypeError(
        f"{layer.__name__}: {method} never runs, as products of matrices stand in its place; override message, or "
        "register hooks for message or aggregate (of layers with attention, message has the weights as alpha)"
    )


class Messages:
    """A matrix whose products are sums of messages, sent by a layer's ``propagate``.

    Args:
        layer: The layer.
        matrix: The matrix, whose entries are the edges and whose values are their weights.
    """

    requires_grad = True  # what hooks and masks do to messages may have a gradient, so nothing is cached

    def __init__(self, layer: Layer, matrix: SparseMatrix) -> None:
        self.layer, self.matrix = layer, matrix

    def matmul(self, x: Tensor) -> Tensor:
        """The sums of messages; layers call it by name, as a matrix knows it, too."""
        edge_index, edge_weight, edge_id = self.matrix.edges
        layer = self.layer
        out = layer.send(edge_index, self.matrix.shape[::-1], x=x, edge_weight=edge_weight, edge_id=edge_id)
        if out.shape[-1] != x.shape[-1] and not layer.takes_joined:
            raise ValueError(
                f"{type(layer).__name__}: aggr={layer.aggr!r} makes {out.shape[-1]} channels of {x.shape[-1]}, but the "
                "layer goes on with as many as before; use aggr_kwargs={'mode': 'sum'}, or another that joins nothing"
            )
        return out
