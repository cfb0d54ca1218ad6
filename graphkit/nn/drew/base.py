"""One convolution per hop, with delay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, cast

import torch
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv

from graphkit.core.checks import Checks
from graphkit.core.constraints import Count
from graphkit.core.overriding import overridden
from graphkit.nn.drew.at_once import KnownHop, Parts, known, sum_at_once, takes
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import one_graph
from graphkit.ops import SparsityPattern, split_pattern, unweighted_pattern


def _delay(nu: float) -> str | None:
    whole = nu == float("inf") or (nu >= 1 and nu == int(nu))
    return None if whole else "must be a whole number from 1 on, or float('inf') for no delay"


Delay = Annotated[float, _delay]


class DRewConv(Layer):
    r"""Dynamically rewired message passing with delay, for any convolution.

    From `"DRew: Dynamically Rewired Message Passing with Delay" <https://arxiv.org/abs/2305.08018>`_ (Gutteridge et
    al., ICML 2023).

    .. math::
        z = \sum_{k=1}^{K} \alpha_k \, \mathrm{conv}_k \big( x^{(t - \tau(k))}, E_k \big), \qquad
        \tau(k) = \max(0, k - \nu)

    where :math:`E_k` holds the pairs of nodes at distance exactly :math:`k` and :math:`x^{(t)}` is the current state of
    the nodes. Farther nodes are read from older states: with :math:`\nu = 1` a message takes as many layers as there
    are edges on its way, with :math:`\nu = \infty` there is no delay. Layer :math:`t = 0, 1, \dots` of a network has
    :math:`K = t + 1`, so that the first one is an ordinary layer; :class:`~graphkit.models.DRew` is such a network.

    Any module that is called as ``conv(x, edge_index)`` can be used, PyG's included::

        DRewConv(lambda: torch_geometric.nn.SAGEConv(64, 64), num_hops=3)

    Masks of edges are masks of the pairs; PyG's convolutions, which would look for one per pair of their own hop, are
    refused with them.

    Args:
        make_conv: Builds the convolution of one hop.
        num_hops: The number of hops :math:`K` (default: 1).
        nu: Up to which distance :math:`\nu` nodes are read without delay, a whole number or infinity (default: 1).
        shared_weights: Whether all hops share one convolution (default: ``False``).
        convex_combination: :math:`\alpha_k = 1/K` instead of 1 (default: ``False``).
        learned_hop_weights: :math:`\alpha` is the softmax of learnt numbers, times :math:`K` unless
            ``convex_combination`` (default: ``False``).

    Usual arguments:
        in_channels: Size of each input row.
        out_channels: Size of each output row.
        act: The activation, by PyG's names (default: ``"relu"``).
        eps: :math:`\epsilon`, not learnt (default: 0).
        official_skip_empty_hops: Leave out hops without pairs (default: ``False``).

    Shapes:
        - **x:** the states so far, oldest first, each ``[num_nodes, in_channels]``; the last
          :math:`1 + \max(0, K - \nu)` are read. A single tensor stands for all of them.
        - **edge_index:** the pairs of all hops ``[2, P]``, see :func:`~graphkit.algorithms.hop_pairs`
        - **hop_distance:** the distance of each pair, ``[P]``; those beyond :math:`K` are left out (default: all 1)
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If an argument is out of range, or there are too few states.

    Example:
        >>> from torch_geometric.nn import SAGEConv
        >>> from graphkit.algorithms import hop_pairs
        >>> conv = DRewConv(lambda: SAGEConv(4, 8), num_hops=3)
        >>> states = [torch.randn(5, 4) for _ in range(3)]
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 4], [1, 0, 2, 1, 3, 2, 4, 3]])
        >>> conv(states, *hop_pairs(path, num_nodes=5, max_hop=3)).shape
        torch.Size([5, 8])
    """

    checks = Checks([lambda: DRewConv(lambda: SAGEConv(5, 4))])

    takes_sparse = False
    takes_states = True
    official_skip_empty_hops: bool = False

    def __init__(
        self,
        make_conv: Callable[[], nn.Module],
        num_hops: Count = 1,
        nu: Delay = 1,
        shared_weights: bool = False,
        convex_combination: bool = False,
        learned_hop_weights: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_hops, self.nu, self.shared_weights = num_hops, nu, shared_weights
        self.convex_combination, self.learned_hop_weights = convex_combination, learned_hop_weights
        self.convs = nn.ModuleList(make_conv() for _ in range(1 if shared_weights else num_hops))
        learned = learned_hop_weights and num_hops > 1  # the softmax of a single number is 1
        self.hop_logits = nn.Parameter(torch.empty(num_hops)) if learned else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; all hops start with the same weight."""
        super().reset_parameters()
        if self.hop_logits is not None:
            nn.init.ones_(self.hop_logits)

    @one_graph
    def forward(self, x: Tensor | Sequence[Tensor], edge_index: Tensor, hop_distance: Tensor | None = None) -> Tensor:
        """The sum over hops; see the class for shapes."""
        self.refuse_messages("sends them by its convs")
        states, graph, distance = self.read(x, edge_index, hop_distance)
        hops = [] if graph.traced else self._known_hops()
        if hops and takes(graph, states, hops):
            return sum_at_once(graph, distance, states, hops)
        out = self.update_self(states[-1])
        for k, source, edges, weight in self.each_hop(states, graph, distance):
            conv = self.convs[0 if self.shared_weights else k - 1]
            out = self.add(out, conv(source, self._for(conv, edges)), weight)
        assert out is not None
        return out

    def _for(self, conv: nn.Module, edges: SparsityPattern) -> Any:
        """The edges of a hop as a convolution takes them."""
        if getattr(conv, "takes_patterns", False):
            return edges
        if self._explain:
            raise ValueError(
                f"{type(self).__name__}: edge masks are for the pairs of all hops, but {type(conv).__name__} reads one "
                "per pair of its own hop; explain a network of graphkit's convolutions, such as DRewGCNConv"
            )
        return edges.cached("sorted edges", edges.edge_index if edges.traced else lambda: _sorted(edges))

    def update_self(self, x: Tensor) -> Tensor | None:
        """What a node adds of its own current state, beyond what the hops' convolutions do (default: nothing)."""
        return None

    @staticmethod
    def add(out: Tensor | None, message: Tensor, weight: Tensor | float | None) -> Tensor:
        """``out + weight * message``, where ``None`` is nothing and weight 1."""
        message = message if weight is None else weight * message
        return message if out is None else out + message

    def parts_of_self(self) -> Parts | None:
        """What :meth:`update_self` adds, in parts that kernels know, or ``None`` (default: ``None``)."""
        return None

    def _known_hops(self) -> list[KnownHop]:
        """The summands, if kernels know all of them; else none."""
        if self.official_skip_empty_hops or self.hop_logits is not None or self._explain:
            return []
        if overridden(self, "update_self", "each_hop", "add"):
            return []
        parts = [cast(Any, conv).parts() if hasattr(conv, "parts") else None for conv in self.convs]
        parts = parts * self.num_hops if self.shared_weights else parts
        hops = [KnownHop(k, self._delay(k), self._alpha, each) for k, each in enumerate(parts, 1) if each is not None]
        if len(hops) < self.num_hops:
            return []
        own = self.parts_of_self()
        hops = hops if own is None else [KnownHop(0, 0, 1.0, own), *hops]
        return hops if known(self, hops) else []

    def read(
        self, x: Tensor | Sequence[Tensor], edge_index: Tensor, hop_distance: Tensor | None
    ) -> tuple[Sequence[Tensor], SparsityPattern, Tensor]:
        """The states that are read, the current one last, all pairs, and the distance of each."""
        needed = 1 + self._delay(self.num_hops)
        states = [x] * needed if isinstance(x, Tensor) else x
        if len(states) < needed:
            raise ValueError(
                f"{type(self).__name__} with num_hops={self.num_hops} and nu={self.nu} reads {needed} states, got "
                f"{len(states)}; pass the states of all layers so far, or take fewer hops"
            )
        size = states[-1].size(0)
        graph = unweighted_pattern(self.edges(edge_index, size), size, type(self).__name__)
        if hop_distance is None:
            hop_distance = graph.cached("one hop", lambda: torch.ones_like(graph.col, dtype=torch.uint8))
        return states[-needed:], graph, hop_distance

    def each_hop(
        self, states: Sequence[Tensor], graph: SparsityPattern, distance: Tensor
    ) -> Iterator[tuple[int, Tensor, SparsityPattern, Tensor | float | None]]:
        r"""For :math:`k = 1, \dots, K` the distance, the state to read, the edges and the weight (``None`` for 1)."""
        weights = self._hop_weights()
        for k, (edges, _) in enumerate(split_pattern(graph, distance, range(1, self.num_hops + 1)), 1):
            if self.official_skip_empty_hops and edges.edge_index().size(1) == 0:
                continue
            yield k, states[-1 - self._delay(k)], edges, weights[k - 1]

    def _delay(self, k: int) -> int:
        return 0 if k <= self.nu else k - int(self.nu)

    @property
    def _alpha(self) -> float:
        """The weight of each hop in the sum, where none is learnt."""
        return 1 / self.num_hops if self.convex_combination else 1.0

    def _hop_weights(self) -> Sequence[Tensor | float | None] | Tensor:
        if self.hop_logits is not None:
            return self.hop_logits.softmax(0) * (1 if self.convex_combination else self.num_hops)
        return [1 / self.num_hops if self.convex_combination else None] * self.num_hops

    def __repr__(self) -> str:
        sizes = getattr(self, "in_channels", None), getattr(self, "out_channels", None)
        what = repr(self.convs[0]) if None in sizes else ", ".join(map(str, sizes))
        return f"{type(self).__name__}({what}, num_hops={self.num_hops}, nu={self.nu})"


def _sorted(edges: SparsityPattern) -> Tensor:
    return torch.stack([edges.col, edges.row])
