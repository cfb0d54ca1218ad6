"""The contract that every graphkit model follows."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, TypeVar

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.config import Configurable
from graphkit.core.validate import unknown_name
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
        shares_parameters: Whether the steps share parameters, so that they cannot be trained apart.
    """

    layers: nn.ModuleList
    shares_parameters: bool = False

    @abstractmethod
    def encode(self, batch: Data) -> State:
        """The first state :math:`h_0`, from the batch's features."""

    @abstractmethod
    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        r"""State :math:`h_{i+1}`, from the states :math:`h_0, \dots, h_i` so far."""

    @abstractmethod
    def decode(self, h: Tensor, batch: Data) -> Tensor:
        """Outputs ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout."""

    def forward(self, batch: Data) -> Tensor:
        """Outputs for a PyG ``Data`` or ``Batch``."""
        history: list[Any] = [self.encode(batch)]
        for i in range(len(self.layers)):
            history.append(self.step(i, history, batch))
        return self.decode(history[-1], batch)

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
        if task.kind == "graph" and task.graphs[0].get("readout_mask") is not None:
            sizes["readout"] = "mask"
        elif task.kind == "graph" and "readout" in known and known["readout"].default is None:
            sizes["readout"] = "mean"
        return cls(**{name: value for name, value in sizes.items() if name in known} | arguments)
