"""The contract that every graphkit model follows."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.config import Configurable
from graphkit.core.validate import unknown_name
from graphkit.models.readout import default_readout
from graphkit.ops import SparseMatrix

State = Tensor | SparseMatrix

M = TypeVar("M", bound="LayeredModel")


class LayeredModel(Configurable, nn.Module, ABC):
    r"""A network that can be run layer by layer.

    .. math::
        h_0 = \mathrm{encode}(G), \qquad h_{i+1} = \mathrm{step}_i(h_0, \dots, h_i; G), \qquad
        y = \mathrm{decode}(h_L; G)

    ``forward`` is their composition. Whatever works on layers (forward-forward training, probes, oversmoothing
    curves) uses these three methods and never a concrete class.

    Subclasses fill ``self.layers`` (one entry per step) and write :meth:`encode`, :meth:`step`, :meth:`decode` and
    :meth:`reset_parameters`; the constructor keeps each argument under its own name.

    Attributes:
        layers: The trainable parts, one per step.
        looks_back: Whether a step reads earlier states than the last one. Where none does, layer-wise training keeps a
            single state, whatever the depth.
        extra: How many channels each layer takes besides the state below it; see :meth:`widen` (empty: none).
        reach: How many hops of edges one step reads, when not training; ``None``: perhaps all. With it, a layer can be
            computed for some nodes at a time; see :func:`graphkit.samplers.layerwise`.
    """

    layers: nn.ModuleList
    looks_back: bool = True
    extra: Sequence[int] = ()
    reach: int | None = None

    @abstractmethod
    def encode(self, batch: Data) -> State:
        """The first state :math:`h_0`, from the batch's features."""

    @abstractmethod
    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        r"""State :math:`h_{i+1}`, from the states :math:`h_0, \dots, h_i` so far."""

    def node_states(self, h: Tensor, batch: Data) -> Tensor:
        """The states of nodes ``[num_nodes, channels]`` within a state that has more rows (default: all of it)."""
        return h

    @abstractmethod
    def decode(self, h: Tensor, batch: Data) -> Tensor:
        """Outputs ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout."""

    def forward(self, batch: Data) -> Tensor:
        """Outputs for a PyG ``Data`` or ``Batch``."""
        history: list[Any] = [self.encode(batch)]
        for i in range(len(self.layers)):
            history.append(self.step(i, history, batch))
        return self.decode(history[-1], batch)

    def aggregation(self, batch: Data, size: int, dtype: torch.dtype) -> SparseMatrix | None:
        r"""The constant matrix :math:`P` of layers that average first: ``step(i, ...) = update(i, P @ h)``.

        Training that repeats one layer on the same input multiplies with :math:`P` once. ``None``, the default, says
        that the layers of this model are not of that kind (or not now: while dropout is on). A model with such a matrix
        hands the features on unchanged in :meth:`encode`.

        Args:
            batch: The graph.
            size: Its number of nodes.
            dtype: The dtype of the states.
        """
        return None

    def neighborhood(self, i: int, batch: Data, size: int, dtype: torch.dtype) -> SparseMatrix | None:
        r"""The constant matrix :math:`P` of a layer that sees own states, too: ``step(i, ...) = update(i, P @ h, h)``.

        With it, a layer computes some nodes at the cost of these nodes, however many neighbours they have. The default
        is the matrix of :meth:`aggregation`.

        Args:
            i: The layer.
            batch: The graph.
            size: Its number of nodes.
            dtype: The dtype of the states.
        """
        return self.aggregation(batch, size, dtype)

    def update(self, i: int, aggregated: Any, own: Tensor | None = None) -> Tensor:
        """State ``i + 1`` from the aggregated states, or from some rows of them; see :meth:`aggregation`.

        Args:
            i: The layer.
            aggregated: A tensor ``[..., channels]``, or anything that can be multiplied with a matrix from the right.
            own: The same rows of the states themselves; see :meth:`neighborhood` (default: not read).

        Raises:
            TypeError: If the model has no such layers.
        """
        raise TypeError(f"{type(self).__name__} has no layers that average first")

    def widen(self, extra: Sequence[int]) -> None:
        """Give layer ``i`` room for ``extra[i]`` more input channels than the state below it has.

        Strategies call it that show a layer more than this state, such as labels. A layer whose width changes is
        replaced by a new one.

        Raises:
            TypeError: If layers are to be widened that cannot be (the default).
        """
        if any(extra):
            raise TypeError(
                f"the layers of {type(self).__name__} read the states below them and nothing else, but this way of "
                "training shows them more; use a stack of layers such as GCN, or another strategy"
            )

    def required_transform(self) -> BaseTransform | None:
        """The structure that this model wants precomputed; the trainer applies it once (default: none)."""
        return None

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw new initial weights."""

    @classmethod
    def from_task(cls: type[M], task: Any, **arguments: Any) -> M:
        """Build the model with the sizes that a task needs.

        Fills ``in_channels``, ``out_channels`` and, for a graph task, ``readout`` (``"mask"`` where the answer is read
        at the node that ``readout_mask`` marks, else ``"mean"`` unless the model has a default of its own), where they
        are arguments of the model and not given.

        Args:
            task: A :class:`~graphkit.Task`.
            **arguments: The model's other arguments.

        Raises:
            ValueError: If an argument does not exist; the message lists those that do.
        """
        known = inspect.signature(cls.__init__).parameters
        unknown = [name for name in arguments if name not in known]
        if unknown:
            choices = [name for name in known if name != "self"]
            raise ValueError(unknown_name(unknown[0], choices, f"argument of {cls.__name__}"))
        sizes: dict[str, Any] = {"in_channels": task.num_features, "out_channels": task.num_outputs}
        readout = default_readout(task)
        if readout == "mask" or (readout and "readout" in known and known["readout"].default is None):
            sizes["readout"] = readout
        return cls(**{name: value for name, value in sizes.items() if name in known} | arguments)


def required_by(model: nn.Module) -> BaseTransform | None:
    """What a model wants precomputed in each graph; ``None`` for modules that are no :class:`LayeredModel`."""
    return model.required_transform() if isinstance(model, LayeredModel) else None
