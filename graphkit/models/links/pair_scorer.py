"""The common shape of models that score pairs of nodes: any encoder of nodes, and something on top."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.reads import Reads, reads_of
from graphkit.models.adapter import PyGModel
from graphkit.models.base import LayeredModel, State, registry, required_by, runs_by_layers

P = TypeVar("P", bound="PairScorer")


class PairScorer(LayeredModel):
    r"""Node embeddings of any model, and scores of the pairs of a link task; a subclass says how these come about.

    The layers are the encoder's; none if it cannot be run layer by layer.

    Args:
        encoder: A model for nodes: graphkit's, PyG's or any other that :class:`PyGModel` can call and that has no
            weights or ``reset_parameters``. :meth:`from_task` also takes the name of a graphkit model, or its
            ``class_path`` and ``init_args``.
        embedding_channels: The width of the embeddings (default: the encoder's ``out_channels``).

    Shapes:
        - **input:** a PyG ``Data`` with what the encoder needs and ``edge_label_index`` ``[2, num_pairs]``
        - **output:** ``[num_pairs, 1]``

    Raises:
        TypeError: If the encoder has weights but no ``reset_parameters``.
        ValueError: If the width of the embeddings is unknown; or (when called) if the batch names no pairs.
    """

    checks = Checks(skip="it reads pairs of nodes, which the graphs of the checks do not have; see tests/models")

    reads = Reads(edge_weight=True, edge_attr=True, edge_label_index=True)  # what the encoder reads, and pairs

    def __init__(self, encoder: Any, embedding_channels: Count | None = None) -> None:
        super().__init__()
        self.keep_arguments(locals())
        name = type(self).__name__
        module = encoder.module if isinstance(encoder, PyGModel) else encoder
        if not hasattr(module, "reset_parameters") and any(True for _ in module.parameters()):
            raise TypeError(f"{name}: the encoder {type(module).__name__} needs a method reset_parameters")
        width = getattr(module, "out_channels", None) if embedding_channels is None else embedding_channels
        if width is None:
            raise ValueError(f"{name}: {type(module).__name__} has no out_channels; give embedding_channels")
        self.encoder = encoder if isinstance(encoder, LayeredModel | PyGModel) else PyGModel(encoder)
        self._width: int = width
        self.reads = replace(reads_of(self.encoder), edge_label_index=True)

    @classmethod
    def check_task(cls, task: Any) -> None:
        """Refuse rankings, which need more than single pairs; the encoder refuses other tasks.

        Raises:
            ValueError: If the task ranks items.
        """
        if task.ranks:
            raise ValueError(
                f"{cls.__name__} scores single pairs, but task {task.name!r} ranks all items by embeddings of nodes; "
                "use its encoder alone"
            )

    @classmethod
    def from_task(cls: type[P], task: Any, encoder: Any = "GCN", **arguments: Any) -> P:
        """Build the model with the sizes that a task needs.

        Args:
            task: A link task or an edge task.
            encoder: A model, the name of one, or its ``class_path`` and ``init_args`` (default: ``"GCN"``).
            **arguments: The model's other arguments.

        Raises:
            ValueError: If an argument or a name does not exist.
        """
        if not isinstance(encoder, nn.Module):
            part = encoder if isinstance(encoder, Mapping) else {"class_path": encoder}
            encoder = registry.get(part["class_path"]).from_task(
                task, **{"out_channels": None} | (part.get("init_args") or {})
            )
        return super().from_task(task, encoder=encoder, **arguments)

    @property
    def layers(self) -> nn.ModuleList:  # type: ignore[override]
        """The encoder's layers; none if it cannot be run layer by layer."""
        return self.encoder.layers if runs_by_layers(self.encoder) else nn.ModuleList()

    def encode(self, batch: Data) -> State:
        return self.encoder.encode(batch) if runs_by_layers(self.encoder) else self.encoder(batch)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.encoder.step(i, history, batch)  # type: ignore[operator]

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        name, pairs = type(self).__name__, batch.get("edge_label_index")
        if pairs is None:
            raise ValueError(f"{name} scores pairs of nodes, but the batch has no edge_label_index; use a LinkTask")
        if runs_by_layers(self.encoder):
            h = self.encoder.decode(h, batch)
        if h.size(0) != batch.num_nodes:
            raise ValueError(
                f"{name}: the encoder gave {h.size(0)} rows for {batch.num_nodes} nodes; it must be a model without "
                "readout"
            )
        return self.score(h, pairs, batch)

    @abstractmethod
    def score(self, h: Tensor, pairs: Tensor, batch: Data) -> Tensor:
        """The scores ``[num_pairs, 1]`` of pairs of nodes with the embeddings ``h``."""

    def required_transform(self) -> BaseTransform | None:
        return required_by(self.encoder)

    def reset_parameters(self) -> None:
        module = self.encoder.module if isinstance(self.encoder, PyGModel) else self.encoder
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()  # type: ignore[operator]
