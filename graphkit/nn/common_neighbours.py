"""Scores of node pairs from the states of their common neighbours, as in NCN and NCNC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphkit.algorithms.paths.common_neighbours import (
    common_neighbours,
    distinct_pairs,
    joint_neighbours,
    neighbourhoods,
)
from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, Finite, Positive, Probability, checked
from graphkit.ops import SparseMatrix, SparsityPattern, unweighted_pattern
from graphkit.ops.dropout import dropout as drop

_NEIGHBOURS = 1 << 22  # of so many pairs at a time that their nodes have about this many neighbours
_ROWS = 4096  # pairs at a time in the maps where no gradient is needed: their states stay in the cache


@checked
@dataclass(frozen=True)
class Completion:
    r"""How likely a link of some score is missing from the graph.

    .. math::
        P(s) = \alpha \frac{\pi p}{\pi p + 1 - p}, \qquad p = \mathrm{sigmoid}(\mathrm{scale} \, (s - \mathrm{offset}))

    Args:
        depth: How often scores are completed by scores; see :class:`CommonNeighbourDecoder` (default: 1).
        scale: The slope (default: 5).
        offset: The score where :math:`p` is one half (default: 3).
        alpha: The largest value :math:`\alpha` (default: 1).
        pt: The odds :math:`\pi` by which a link is missing (default: 0.5).

    Raises:
        ValueError: If ``depth`` is smaller than 1 or ``pt`` is not positive.

    Example:
        >>> Completion()(torch.tensor([3.0]))
        tensor([0.3333])
    """

    depth: Count = 1
    scale: Finite = 5.0
    offset: Finite = 3.0
    alpha: Finite = 1.0
    pt: Positive = 0.5

    def __call__(self, score: Tensor) -> Tensor:
        """The weight of each score."""
        p = torch.sigmoid(self.scale * (score - self.offset))
        return self.alpha * self.pt * p / (self.pt * p + 1 - p)


class CommonNeighbourDecoder(Checked, nn.Module):
    r"""Scores pairs of nodes by their states, those of their common neighbours and of those that may become common.

    From `"Neural Common Neighbor with Completion for Link Prediction" <https://arxiv.org/abs/2302.00890>`_ (Wang, Yang,
    Zhang, ICLR 2024). With the states :math:`h` of the nodes and the neighbours :math:`N(i)` of node :math:`i`, the
    score of depth :math:`k` is

    .. math::
        \tilde h &= h + \mathrm{xlin}(h) \\
        c_{ij} &= \sum_{u \in N(i) \cap N(j)} \tilde h_u
            + [k > 0] \Big( \sum_{u \in N(i) \setminus N(j)} P_{ju} \tilde h_u
            + \sum_{u \in N(j) \setminus N(i)} P_{iu} \tilde h_u \Big) \\
        s^{(k)}_{ij}(h) &= \mathrm{lin}(\beta \, \mathrm{xcnlin}(c_{ij}) + \mathrm{xijlin}(h_i \odot h_j))

    where :math:`P_{ju} = P(s^{(k - 1)}_{ju}(\tilde h))` is the :class:`Completion`'s value for the link :math:`(j, u)`.
    :math:`P` is constant for the gradient. ``xlin``, ``xcnlin``, ``xijlin`` and ``lin`` are small networks of linear
    maps L, layer normalisations N, dropout D and rectifiers R, and :math:`\beta` is a trained number:

    ==========  ====================================================
    network     parts
    ==========  ====================================================
    ``xlin``    L D R L N D R
    ``xcnlin``  L D R L N D R, and L unless ``tail_act``
    ``xijlin``  L N D R, and L unless ``tail_act``
    ``lin``     L N D R, once more with ``two_layer_lin``, and L
    ==========  ====================================================

    A pair without common neighbours has :math:`c = 0`, and :math:`\mathrm{xcnlin}(0)` still counts. Scores do not
    depend on the order of a pair's nodes, so of all inner pairs :math:`(j, u)` each unordered one is scored once.

    As in the official code, the inner scores read :math:`\tilde h` where the outer ones read :math:`h`, and add
    ``xlin`` to it again. Its options to sample neighbours and to learn :math:`\pi` are left out. Parameters have the
    official names.

    Args:
        in_channels: The width of the states.
        hidden_channels: The width of the maps (default: 64).
        dropout: The probability of dropping an entry in the networks (default: 0).
        edge_dropout: The probability that a node forgets a neighbour while training; sums are not scaled up (default:
            0).
        layer_norm: Whether there is layer normalisation (default: ``True``).
        use_xlin: Whether :math:`\tilde h` differs from :math:`h` (default: ``True``).
        tail_act: Whether ``xcnlin`` and ``xijlin`` end with their rectifier (default: ``False``).
        two_layer_lin: Whether ``lin`` has another layer (default: ``False``).
        beta: The initial :math:`\beta` (default: 1).
        completion: The completion and its depth :math:`k`, as in NCNC; ``None`` for :math:`k = 0`, NCN (default:
            ``None``).

    Shapes:
        - **input:** ``h`` ``[num_nodes, in_channels]``; ``edge_index`` ``[2, num_edges]``, whose directions do not
          count; ``pairs`` ``[2, num_pairs]``
        - **output:** ``[num_pairs, 1]``

    Raises:
        ValueError: If an argument is out of range.
        TypeError, IndexError: If ``edge_index`` or ``pairs`` do not hold ids of nodes.

    Cost: :math:`O(\sum_{(i, j)} \min(d_i, d_j) + |P| H^2)` for :math:`|P|` pairs of width :math:`H` and depth 0; each
    further depth scores up to :math:`d_i + d_j` inner pairs per pair, in blocks.

    Example:
        >>> decoder = CommonNeighbourDecoder(4, 8, completion=Completion(alpha=0.5))
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> decoder(torch.randn(3, 4), edge_index, torch.tensor([[0, 0], [1, 2]])).shape
        torch.Size([2, 1])
    """

    checks = Checks(skip="it reads pairs of nodes; see tests/models")

    def __init__(
        self,
        in_channels: Count,
        hidden_channels: Count = 64,
        dropout: Probability = 0.0,
        edge_dropout: Probability = 0.0,
        layer_norm: bool = True,
        use_xlin: bool = True,
        tail_act: bool = False,
        two_layer_lin: bool = False,
        beta: Finite = 1.0,
        completion: Completion | None = None,
    ) -> None:
        super().__init__()
        self.edge_dropout = edge_dropout
        self.initial_beta = beta
        self.completion = completion
        self.beta = nn.Parameter(torch.empty(1))

        # as in the official code: modules that an option leaves out keep their place, and so names of parameters agree
        def linear(width: int, out: int, there: bool = True) -> nn.Module:
            return nn.Linear(width, out) if there else nn.Identity()

        def norm(width: int, there: bool = True) -> nn.Module:
            return nn.LayerNorm(width) if layer_norm and there else nn.Identity()

        def rest(there: bool = True) -> list[nn.Module]:
            return [_Dropout(dropout), nn.ReLU()] if there else [nn.Identity(), nn.Identity()]

        w, h = in_channels, hidden_channels
        self.xlin = nn.Sequential(linear(w, w), *rest(), linear(w, w), norm(w), *rest()) if use_xlin else None
        tail = not tail_act
        self.xcnlin = nn.Sequential(linear(w, h), *rest(), linear(h, h), norm(h), *rest(), linear(h, h, tail))
        self.xijlin = nn.Sequential(linear(w, h), norm(h), *rest(), linear(h, h, tail))
        two = two_layer_lin
        second = [linear(h, h, two), norm(h, two), *rest(two)]
        self.lin = nn.Sequential(linear(h, h), norm(h), *rest(), *second, linear(h, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights as torch does for linear maps; ``beta`` returns to its initial value."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()
        nn.init.constant_(self.beta, self.initial_beta)

    def forward(self, h: Tensor, edge_index: Tensor, pairs: Tensor) -> Tensor:
        """The scores of the pairs; see the class for shapes."""
        depth = 0 if self.completion is None else self.completion.depth
        graph = unweighted_pattern(edge_index, h.size(0), "CommonNeighbourDecoder")
        return self._score(h, neighbourhoods(graph, h.size(0)), pairs, depth)

    def _score(self, h: Tensor, graph: SparsityPattern, pairs: Tensor, depth: int) -> Tensor:
        graph = self._forget(graph)
        lifted = self._lift(h) if depth > 0 else None
        scores = [self._score_block(h, lifted, graph, block, depth) for block in _blocks(graph, pairs)]
        return torch.cat(scores)

    def _score_block(
        self, h: Tensor, lifted: Tensor | None, graph: SparsityPattern, pairs: Tensor, depth: int
    ) -> Tensor:
        if lifted is not None:
            weights = self._completed(lifted.detach(), graph, pairs, depth)
        else:
            near, nodes = _renumbered(common_neighbours(graph, pairs, graph.num_rows))
            weights = SparseMatrix(near)
            if torch.is_grad_enabled():  # one gather, whose gradient clears as many rows as ``h`` has only once
                both = h.index_select(0, torch.cat([pairs.reshape(-1), nodes]))
                ends, states = both.tensor_split([pairs.numel()])
                return self._read(weights, self._lift(states), ends)
            lifted = self._lift(h.index_select(0, nodes))
        if torch.is_grad_enabled():
            return self._read(weights, lifted, h.index_select(0, pairs.reshape(-1)))
        rows = torch.arange(pairs.size(1), device=pairs.device).split(_ROWS)
        gathered = (h.index_select(0, pairs[:, ids].reshape(-1)) for ids in rows)
        return torch.cat([self._read(weights.select_rows(ids), lifted, ends) for ids, ends in zip(rows, gathered)])

    def _read(self, weights: SparseMatrix, lifted: Tensor, ends: Tensor) -> Tensor:
        """The scores by the sums over neighbours and by the states of both ends, first ones first."""
        first, second = ends.chunk(2)
        return self.lin(self.beta * self.xcnlin(weights @ lifted) + self.xijlin(first * second))

    @torch.no_grad()
    def _completed(self, lifted: Tensor, graph: SparsityPattern, pairs: Tensor, depth: int) -> SparseMatrix:
        """The weights of all neighbours of either node: 1 for common ones, :math:`P` for the others."""
        near, side = joint_neighbours(graph, pairs, graph.num_rows)
        values = torch.ones(near.num_edges, dtype=lifted.dtype, device=lifted.device)
        alone = side.nonzero().squeeze(1)
        row, nodes = near.row[alone], near.col[alone]
        stranger = torch.where(side[alone] == 1, pairs[1][row], pairs[0][row])
        inner, which = distinct_pairs(graph, torch.stack([stranger, nodes]), graph.num_rows)
        score = self._score(lifted, graph, inner, depth - 1).squeeze(1)
        values[alone] = self.completion(score)[which]  # type: ignore[misc]
        return SparseMatrix(near, values)

    def _lift(self, h: Tensor) -> Tensor:
        return h if self.xlin is None else h + self.xlin(h)

    def _forget(self, graph: SparsityPattern) -> SparsityPattern:
        """The neighbourhoods without some neighbours, drawn for each node apart."""
        if not self.training or self.edge_dropout == 0:
            return graph
        entries = (torch.rand(graph.num_edges, device=graph.device) >= self.edge_dropout).nonzero().squeeze(1)
        rowptr = torch._convert_indices_from_coo_to_csr(graph.row[entries], graph.num_rows)
        return SparsityPattern(rowptr, graph.col[entries], None, graph.num_cols)


class _Dropout(nn.Module):
    """torch's ``Dropout`` with cheap random numbers."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _blocks(graph: SparsityPattern, pairs: Tensor) -> Iterator[Tensor]:
    """The pairs in order, in blocks whose nodes have about as many neighbours as fit into memory."""
    reached = graph.in_degree[pairs].sum(0).cumsum(0).cpu()
    bounds = torch.arange(1, int(reached[-1]) // _NEIGHBOURS + 1) * _NEIGHBOURS if reached.numel() else reached
    cuts = torch.searchsorted(reached, bounds).unique().tolist()
    yield from pairs.tensor_split([cut for cut in cuts if cut > 0], dim=1)


def _renumbered(near: SparsityPattern) -> tuple[SparsityPattern, Tensor]:
    """The pattern whose columns are only the nodes that occur in it, and these nodes."""
    occurs = torch.zeros(near.num_cols, dtype=torch.bool, device=near.device).index_fill_(0, near.col, True)
    nodes = occurs.nonzero().squeeze(1)
    return SparsityPattern(near.rowptr, (occurs.cumsum(0) - 1)[near.col], None, nodes.numel()), nodes
