"""Learnable commutative monoids: a learned binary operator folded over a balanced tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, NonNegative, OneOf
from graphkit.core.overriding import as_written
from graphkit.nn.aggr.base import Order, SetAggregation
from graphkit.nn.aggr.operators import GRUOperator, MLPOperator
from graphkit.nn.aggr.sets import Sets
from graphkit.nn.aggr.tree import Tree, reduce

Operator = Callable[[Tensor, Tensor], Tensor]
OPERATORS: dict[str, Callable[[int], Operator]] = {"gru": GRUOperator, "mlp": MLPOperator}
_TRIPLES = 1024  # drawn per forward pass for the auxiliary loss


class LCMAggregation(SetAggregation):
    r"""Learnable commutative monoid: a learned operator reduces each set by a balanced binary tree.

    From `"Learnable Commutative Monoids for Graph Neural Networks" <https://arxiv.org/abs/2212.08541>`_ (Ong and
    Veličković, LoG 2022).

    .. math::
        a \oplus b = \tfrac12 \big( f(a, b) + f(b, a) \big), \qquad
        y_S = \bigoplus_{x \in S} h(x), \qquad h(x) = \mathrm{ReLU}(W x + b) \text{ or } x

    where :math:`f` is a GRU cell (see :class:`~graphkit.nn.aggr.operators.GRUOperator`), a perceptron or any function.
    The elements :math:`h_0, \dots, h_{n-1}` of a set are combined in pairs :math:`(0, 1), (2, 3), \dots`; the last one
    of an odd number goes up as it is; and again, until one is left. One element is its own result, and the empty set
    gives the trainable identity :math:`e`, which is never combined with anything.

    :math:`\oplus` is commutative by construction. It is associative only as far as it has learned to be, so a result
    may depend on the order of the elements: a random order in training is a regulariser, and in evaluation elements are
    put in an order that depends on their values alone, so that the result does not depend on how they came. That has a
    price: after 8 epochs on the second minimum (one run) 82.0 % of the answers on 32 elements were right in this order,
    and 84.3 % in random ones (standard deviation 0.7 over ten); on 2 to 16 elements 96.1 % and 96.7 %.
    ``associativity_weight`` adds :meth:`associativity_loss` to the training loss.

    Sets are neither padded nor looked at together: what a set gives does not depend on the rest of the batch. In PyG's
    ``LCMAggregation`` sets are padded with zeros, which are no identity of the operator, so there it does. PyG's also
    needs a sorted ``index``, takes elements as they come, and fails if all sets are empty. The paper has no official
    code; its exact associativity loss could not be checked.

    Args:
        project: Whether elements pass a linear map and a ReLU first; ``False`` suits readouts (default: ``True``).
        operator: ``"gru"``, ``"mlp"`` or any function (or module) ``f(a, b)`` of two matrices ``[n, out_channels]``
            (default: ``"gru"``).
        symmetric: Whether :math:`\oplus` is the mean of :math:`f` in both orders; else it is :math:`f` (default:
            ``True``).
        associativity_weight: The weight of :meth:`associativity_loss` in :meth:`auxiliary_loss` (default: 0).
        commutativity_weight: The weight of :meth:`commutativity_loss` in :meth:`auxiliary_loss` (default: 0).

    Raises:
        ValueError: If widths differ without a projection, a name is unknown or a shape does not fit.

    Cost: :math:`n - 1` operators per set, :math:`\lceil \log_2 n \rceil` deep: time and memory :math:`O(|E| F^2)` and
    :math:`O(|E| F)` for any sizes of the sets. The index arithmetic is planned once per ``index``.

    Example:
        >>> aggregation = LCMAggregation(4, 8)
        >>> aggregation(torch.ones(5, 4), torch.tensor([0, 0, 0, 2, 2]), dim_size=3).shape
        torch.Size([3, 8])
    """

    checks = Checks([{}, {"operator": "mlp"}, {"operator": "mlp", "symmetric": False}])

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        project: bool = True,
        operator: Annotated[str, OneOf(OPERATORS)] | Operator = "gru",
        symmetric: bool = True,
        order: Order = "random",
        associativity_weight: NonNegative = 0.0,
        commutativity_weight: NonNegative = 0.0,
    ) -> None:
        super().__init__()
        if in_channels != out_channels and not project:
            raise ValueError(
                f"LCMAggregation: in_channels={in_channels} and out_channels={out_channels} must agree without a "
                "projection; use project=True"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.project, self.symmetric = project, symmetric
        self.order = order
        self.associativity_weight, self.commutativity_weight = associativity_weight, commutativity_weight
        self._name = operator if isinstance(operator, str) else None
        if isinstance(operator, str):
            operator = OPERATORS[operator](out_channels)
        self.f: Operator = operator
        self.lin = nn.Linear(in_channels, out_channels) if project else None
        self.identity = nn.Parameter(torch.zeros(out_channels))
        self._triples: Tensor | None = None

    def reset_parameters(self) -> None:
        """Draw new weights (torch's defaults for linear maps and GRU cells); the identity becomes zero."""
        for part in (self.lin, self.f):
            reset: Callable[[], None] | None = getattr(part, "reset_parameters", None)
            if reset is not None:
                reset()
        nn.init.zeros_(self.identity)
        self._triples = None

    @property
    def operator(self) -> str | Operator:
        """The operator as it was given."""
        return self.f if self._name is None else self._name

    def combine(self, a: Tensor, b: Tensor) -> Tensor:
        r"""The operator :math:`a \oplus b` on matrices ``[n, out_channels]``."""
        if not self.symmetric:
            return self.f(a, b)
        if isinstance(self.f, GRUOperator) and as_written(self.f):
            return self.f.symmetrised(a, b)
        return 0.5 * (self.f(a, b) + self.f(b, a))

    def aggregate(self, x: Tensor, sets: Sets) -> Tensor:
        order = self.arrange(x, sets, self.order)
        h = x if self.lin is None else self.lin(x).relu()
        if self.training and (self.associativity_weight or self.commutativity_weight) and h.size(0) > 0:
            self._triples = h.detach()[torch.randint(h.size(0), (3, _TRIPLES), device=h.device)]
        return reduce(self.combine, h, Tree.of(sets), order, self.identity)

    def associativity_loss(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        r"""The mean of :math:`\big( (a \oplus b) \oplus c - a \oplus (b \oplus c) \big)^2` over rows and channels."""
        left, right = self.combine(self.combine(a, b), c), self.combine(a, self.combine(b, c))
        return (left - right).square().mean()

    def commutativity_loss(self, a: Tensor, b: Tensor) -> Tensor:
        r"""The mean of :math:`(a \oplus b - b \oplus a)^2` over rows and channels; 0 for a symmetric operator."""
        return (self.combine(a, b) - self.combine(b, a)).square().mean()

    def auxiliary_loss(self) -> Tensor:
        """The weighted associativity and commutativity losses of elements drawn in the last forward pass.

        :class:`~graphkit.strategies.Backprop` adds it while training. Elements are constants here: the loss teaches the
        operator, it does not shrink features. 0 without weights, and until a pass in training mode.
        """
        if self._triples is None:
            return self.identity.new_zeros(())
        a, b, c = self._triples
        loss = self.identity.new_zeros(())
        if self.associativity_weight:
            loss = loss + self.associativity_weight * self.associativity_loss(a, b, c)
        if self.commutativity_weight:
            loss = loss + self.commutativity_weight * self.commutativity_loss(a, b)
        return loss
