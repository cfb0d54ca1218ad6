"""Mowst: a weak expert that knows no neighbours, a strong one, and how far the weak one is trusted."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Probability
from graphkit.core.reads import Reads, reads_of
from graphkit.models.adapter import PyGModel
from graphkit.models.base import LayeredModel, State, registry, required_by, runs_by_layers
from graphkit.models.convolution import GCN
from graphkit.models.graph_free import MLP
from graphkit.models.stack import NORMS
from graphkit.nn import dropout
from graphkit.nn.linear import torch_linear
from graphkit.transforms import SparseFeatures

E = TypeVar("E", bound="_Experts")


class _Experts(LayeredModel):
    r"""Two experts and a gate.

    With the logits :math:`z` of the weak expert and the strong one, and :math:`p = \operatorname{softmax}(z^w)` over
    :math:`C` classes, the confidence of a row is

    .. math::
        v = \frac{\operatorname{Var}_c(p)}{\operatorname{Var}_c(\text{one-hot})}, \qquad
        e = 1 - \frac{H(p)}{\ln C}, \qquad
        c = \sigma\big(W_2 \,\mathrm{ReLU}(W_1 [v, e] + b_1) + b_2\big) \in (0, 1)

    A single logit, of a binary target, stands for two, of which the first is 0. Training and evaluation take the same
    way; the official code applies another softmax to :math:`p` in evaluation. The mean of :math:`c` is logged while a
    strategy of backpropagation trains (``train_confidence``): near 0 the weak expert is ignored, near 1 the strong one.

    The layers are the strong expert's; none if it cannot be run layer by layer.

    Args:
        weak: The weak expert, usually an :class:`MLP`: a model of graphkit's, PyG's, or any other that has
            ``reset_parameters`` and that :class:`PyGModel` can call. :meth:`from_task` also takes the name of a
            graphkit model, or its ``class_path`` and ``init_args``.
        strong: The strong expert, likewise, with as many outputs.
        gate_channels: The width of the gate's hidden layer (default: 16).
        gate_input: ``"dispersion"`` for :math:`[v, e]`, or ``"features"`` for :math:`[v, e, x]` with the features of
            the node (default: ``"dispersion"``).
        gate_norm: ``"batch_norm"`` before the gate's ReLU, as in the official code, or ``None`` (default: ``None``).
        gate_dropout: The probability of dropping an entry of the gate's hidden layer (default: 0).

    Shapes:
        - **input:** a PyG ``Data`` with what the experts read
        - **output:** ``[num_nodes, out_channels]``, or as the experts' readouts say

    Raises:
        TypeError: If an expert has no ``reset_parameters``.
        ValueError: If (when called) the experts' outputs, or the features that a gate reads, do not fit each other.
    """

    reads = Reads(edge_weight=True, edge_attr=True)
    weak: Any
    strong: Any

    def __init__(
        self,
        weak: Any,
        strong: Any,
        gate_channels: Count = 16,
        gate_input: Literal["dispersion", "features"] = "dispersion",
        gate_norm: Literal["batch_norm"] | None = None,
        gate_dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        self.weak, self.strong = (_expert(given, type(self).__name__) for given in (weak, strong))
        width = getattr(self.weak.module if isinstance(self.weak, PyGModel) else self.weak, "in_channels", -1)
        inputs = 2 if gate_input == "dispersion" else -1 if width == -1 else 2 + width
        self.gate = _Gate(inputs, gate_channels, gate_norm, gate_dropout)
        both = [reads_of(self.weak), reads_of(self.strong)]
        self.reads = Reads(**{field.name: any(getattr(one, field.name) for one in both) for field in fields(Reads)})
        self._confidence: Tensor | None = None

    @classmethod
    def check_task(cls, task: Any) -> None:
        """Refuse a task whose outputs are no logits of classes.

        Raises:
            ValueError: As said, or if an expert refuses it.
        """
        if not task.num_classes or task.num_outputs not in (1, task.num_classes):
            raise ValueError(
                f"{cls.__name__} takes from the probabilities of classes how sure an expert is, but task {task.name!r} "
                "has no single class per row; use the strong expert alone"
            )

    @classmethod
    def from_task(cls: type[E], task: Any, weak: Any = "MLP", strong: Any = "GCN", **arguments: Any) -> E:
        """Build the model with the sizes that a task needs.

        Args:
            task: A task of nodes or graphs.
            weak: A model, the name of one, or its ``class_path`` and ``init_args`` (default: ``"MLP"``).
            strong: Likewise (default: ``"GCN"``).
            **arguments: The model's other arguments.

        Raises:
            ValueError: If an argument or a name does not exist.
        """
        cls.check_task(task)
        experts = {name: _from_task(task, given) for name, given in (("weak", weak), ("strong", strong))}
        return super().from_task(task, **experts, **arguments)

    @property
    def layers(self) -> nn.ModuleList:  # type: ignore[override]
        """The strong expert's layers; none if it cannot be run layer by layer."""
        return self.strong.layers if runs_by_layers(self.strong) else nn.ModuleList()

    def encode(self, batch: Data) -> State:
        return self.strong.encode(batch) if runs_by_layers(self.strong) else self.strong(batch)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.strong.step(i, history, batch)

    def node_states(self, h: Tensor, batch: Data) -> Tensor:
        return self.strong.node_states(h, batch) if runs_by_layers(self.strong) else h

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        strong = self.strong.decode(h, batch) if runs_by_layers(self.strong) else h
        return self.joined(*self.trusted(batch), strong)

    def trusted(self, batch: Data) -> tuple[Tensor, Tensor]:
        """The weak expert's logits ``[n, C]``, and how far it is trusted ``[n, 1]``."""
        weak = self.weak(batch)
        confidence = self.gate(weak, batch.get("x") if self.gate_input == "features" else None)
        if self.training:
            self._confidence = confidence.detach().mean()
        return weak, confidence

    @abstractmethod
    def joined(self, weak: Tensor, confidence: Tensor, strong: Tensor) -> Tensor:
        """The outputs, from what the weak expert says, how far it is trusted, and what the strong one says."""

    def logged(self) -> dict[str, Tensor]:
        """What is logged of the last training step."""
        return {} if self._confidence is None else {"confidence": self._confidence}

    def required_transform(self) -> BaseTransform | None:
        """What both experts want; features become sparse only where both can take them."""
        wanted = [required_by(self.weak), required_by(self.strong)]
        if all(isinstance(one, SparseFeatures) for one in wanted):
            return wanted[0]
        parts = [one for one in wanted if one is not None and not isinstance(one, SparseFeatures)]
        return Compose(parts) if len(parts) == 2 else next(iter(parts), None)


class Mowst(_Experts):
    r"""Mixture of a weak and a strong expert: each row is answered by one of them, the weak one with probability c.

    From `"Mixture of Weak and Strong Experts on Graphs" <https://github.com/facebookresearch/mowst-gnn>`_ (Zeng et al.,
    ICLR 2024).

    It is trained by :class:`~graphkit.strategies.ExpertTurns`, which minimises the mean of
    :math:`c \,\mathrm{CE}(z^w) + (1 - c) \,\mathrm{CE}(z^s)`. The outputs are those of the mixture, exact where the
    official code draws the expert of each row 50 times:

    .. math::
        \ln\big(c \operatorname{softmax}(z^w) + (1 - c) \operatorname{softmax}(z^s)\big)

    or the difference of both logarithms for a single logit. How often a drawn expert is right is told exactly by
    :func:`~graphkit.diagnostics.experts`. Other strategies train the likelihood of the mixture.

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> Mowst(MLP(4, 8, out_channels=2), GCN(4, 8, out_channels=2))(data).exp().sum(1).round(decimals=4)
        tensor([1., 1., 1.], grad_fn=<RoundBackward1>)
    """

    checks = Checks(
        [
            lambda: Mowst(MLP(5, 6, out_channels=4), GCN(5, 6, out_channels=4), gate_dropout=0.5),
            lambda: Mowst(MLP(5, 6, out_channels=1), GCN(5, 6, out_channels=1), gate_norm="batch_norm"),
        ]
    )

    def joined(self, weak: Tensor, confidence: Tensor, strong: Tensor) -> Tensor:
        limits = torch.finfo(confidence.dtype)  # a gate that has become sure keeps finite gradients
        confidence = confidence.clamp(limits.tiny, 1 - limits.eps)
        shares = confidence.log(), torch.log1p(-confidence)
        parts = [share + two_columns(z).log_softmax(1) for share, z in zip(shares, (weak, strong))]
        out = torch.logaddexp(*parts)
        return out if weak.size(1) > 1 else out[:, 1:] - out[:, :1]


class MowstStar(_Experts):
    r"""Mowst*: the logits of a weak and a strong expert, mixed by the weak one's confidence and trained together.

    From `"Mixture of Weak and Strong Experts on Graphs" <https://github.com/facebookresearch/mowst-gnn>`_ (Zeng et al.,
    ICLR 2024). The outputs are :math:`c z^w + (1 - c) z^s`.

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> MowstStar(MLP(4, 8, out_channels=2), GCN(4, 8, out_channels=2))(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            lambda: MowstStar(MLP(5, 6, out_channels=4, dropout=0.5), GCN(5, 6, out_channels=4)),
            lambda: MowstStar(MLP(5, 6, out_channels=4), GCN(5, 6, out_channels=4), gate_input="features"),
        ]
    )

    def joined(self, weak: Tensor, confidence: Tensor, strong: Tensor) -> Tensor:
        return confidence * weak + (1 - confidence) * strong


class _Gate(nn.Module):
    """A perceptron of one hidden layer on how certain logits are."""

    def __init__(self, in_channels: int, channels: int, norm: str | None, rate: float) -> None:
        super().__init__()
        self.lin_in, self.lin_out = torch_linear(in_channels, channels), torch_linear(channels, 1)
        self.norm = None if norm is None else NORMS[norm](channels)
        self.rate = rate

    def forward(self, logits: Tensor, x: Tensor | None) -> Tensor:
        """Confidences ``[n, 1]`` of logits ``[n, C]``, beside features or not."""
        parts = [dispersion(logits)]
        if x is not None:
            if x.size(0) != logits.size(0):
                raise ValueError(
                    f"gate_input='features' needs one row of features per row of outputs, got {x.size(0)} and "
                    f"{logits.size(0)}; use 'dispersion'"
                )
            parts.append(x.to_dense() if x.is_sparse_csr else x)
        h = self.lin_in(torch.cat(parts, dim=1))
        h = dropout((h if self.norm is None else self.norm(h)).relu(), self.rate, self.training)
        return self.lin_out(h).sigmoid()


def dispersion(logits: Tensor) -> Tensor:
    """How certain logits are ``[n, 2]``: variance and negative entropy, 0 for uniform and 1 for one-hot answers."""
    logits = two_columns(logits)
    classes, p = logits.size(1), logits.softmax(1)
    largest = (1 - 1 / classes) / classes  # the biased variance of a one-hot row
    entropy = -(p * logits.log_softmax(1)).sum(1) / math.log(classes)
    return torch.stack([p.var(1, unbiased=False) / largest, 1 - entropy], dim=1)


def two_columns(logits: Tensor) -> Tensor:
    """Logits of classes; a single logit is that of the second of two classes."""
    return logits if logits.size(1) > 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)


def _expert(given: Any, name: str) -> Any:
    module = given.module if isinstance(given, PyGModel) else given
    if not hasattr(module, "reset_parameters"):
        raise TypeError(f"{name}: the expert {type(module).__name__} needs a method reset_parameters")
    return given if isinstance(given, LayeredModel | PyGModel) else PyGModel(given)


def _from_task(task: Any, given: Any) -> nn.Module:
    if isinstance(given, nn.Module):
        return given
    part = given if isinstance(given, Mapping) else {"class_path": given}
    return registry.get(part["class_path"]).from_task(task, **part.get("init_args") or {})
