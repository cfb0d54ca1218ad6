"""GraphSAINT: random subgraphs, with weights that make their sums unbiased."""

from __future__ import annotations

import math
from abc import abstractmethod
from itertools import count
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.sampling.subgraphs import Subgraph, SubgraphSource
from graphkit.core.constraints import Count
from graphkit.core.display import progress_bar
from graphkit.samplers.base import Evaluation, Sampler, cached_on_disk, prefetch, weighted_degree
from graphkit.transforms.base import float_dtype

LARGEST_RATIO, NEVER_SEEN = 1e4, 0.1  # the official bounds of estimated weights


class _GraphSAINT(Sampler):
    """A batch is the subgraph induced by random nodes; subclasses know how likely they are.

    Usual arguments:
        num_steps: The number of subgraphs per epoch (default: as many as have as many nodes as the graph, on average).
    """

    num_steps: int | None

    @abstractmethod
    def law(self) -> tuple[str, int, int]:
        """The arguments of :meth:`~graphkit.algorithms.SubgraphSource.saint`."""

    @abstractmethod
    def node_probability(self, source: SubgraphSource) -> np.ndarray:
        """The probability :math:`p_v` that a node is in a subgraph, per node."""

    @abstractmethod
    def aggregator_norm(
        self, source: SubgraphSource, target: np.ndarray, neighbor: np.ndarray, edge: np.ndarray
    ) -> np.ndarray:
        """The weight :math:`p_v / p_{uv}` of some edges, given by their ends and ids."""

    def prepare(self, data: Data, source: SubgraphSource, roots: Tensor) -> tuple[np.ndarray, Tensor, int]:
        """The probability of each node, its weighted in-degree, and the number of nodes that count."""
        if source.num_edges == 0 and self.law()[0] != "walk":
            raise ValueError(
                f"{type(self).__name__} draws ends of edges, but the graph has no edges; use GraphSAINTRandomWalk"
            )
        key = ("saint", self.law(), getattr(self, "coverage", 0))
        probability = source.cached(key, lambda: self.node_probability(source))
        return probability, weighted_degree(data, source), roots.numel()

    def plan(
        self, source: SubgraphSource, roots: Tensor, batch_size: int, generator: torch.Generator | None, prepared: Any
    ) -> list:
        steps = self.num_steps
        if steps is None:  # as many as show each node once, on average
            steps = max(1, math.ceil(source.num_nodes / max(prepared[0].sum(), 1)))
        return [None] * steps

    def draw(self, source: SubgraphSource, job: Any, seed: int, index: int) -> Subgraph:
        return source.subgraph(*source.saint(*self.law(), seed, index))

    def annotate(self, batch: Data, subgraph: Subgraph, source: SubgraphSource, prepared: Any) -> None:
        probability, degree, num_roots = prepared
        dtype = float_dtype(batch)
        nodes, (neighbor, target) = subgraph.nodes.numpy(), subgraph.edge_index.numpy()
        ratio = self.aggregator_norm(source, nodes[target], nodes[neighbor], subgraph.edges.numpy())
        weight = torch.from_numpy(ratio).to(dtype)
        batch.edge_weight = weight if "edge_weight" not in batch else batch.edge_weight.view(-1) * weight
        batch.node_weight = torch.from_numpy(1 / (probability[nodes] * num_roots)).to(dtype)
        batch.full_degree = degree[subgraph.nodes].to(dtype)


class _IndependentDraws(_GraphSAINT):
    """A subgraph is that of several independent draws."""

    scope: ClassVar[str] = "num_draws"

    def __init__(
        self, num_draws: Count, num_steps: Count | None = None, evaluate: Evaluation = "whole", inductive: bool = False
    ) -> None:
        super().__init__(evaluate, inductive)
        self.num_draws = num_draws
        self.num_steps = num_steps


class GraphSAINTNode(_IndependentDraws):
    r"""GraphSAINT's node sampler: the subgraph induced by nodes drawn in proportion to their degree.

    From `"GraphSAINT: Graph Sampling Based Inductive Learning Method" <https://arxiv.org/abs/1907.04931>`_ (Zeng, Zhou,
    Srivastava, Kannan, Prasanna, ICLR 2020).

    Of :math:`m` draws with replacement, each hits node :math:`v` with probability :math:`q_v`, its share of the ends
    that edges leave. Then

    .. math::
        p_v = 1 - (1 - q_v)^m, \qquad p_{uv} = p_u + p_v - 1 + (1 - q_u - q_v)^m

    are the probabilities that the subgraph holds a node, and both ends of an edge. They are computed, not estimated. A
    batch has

    - ``edge_weight`` :math:`w_{uv}\, p_v / p_{uv}` for messages from :math:`u` to :math:`v`: given that :math:`v` is
      there, the sum of weighted messages has the expectation of the sum over all neighbours;
    - ``full_degree``, the weighted in-degree on the graph that is sampled, by which a mean has to divide;
    - ``node_weight`` :math:`1 / (p_v n)` with the number :math:`n` of nodes that count, by which the task multiplies
      losses before it adds them: the expectation is the mean loss.

    The official sampler gives the first training node one draw too many and the last one too few; this one follows the
    paper. Nodes without edges are never drawn.

    Args:
        num_draws: The number of draws :math:`m`.

    Raises:
        ValueError: If a number is smaller than 1.

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> batch = next(GraphSAINTNode(10).batches(KarateClub()[0]))
        >>> bool((batch.edge_weight >= 1).all()), batch.node_weight.shape == (batch.num_nodes,)
        (True, True)
    """

    def law(self) -> tuple[str, int, int]:
        return "node", self.num_draws, 0

    def node_probability(self, source: SubgraphSource) -> np.ndarray:
        return _hit(self._share(source), self.num_draws)

    def aggregator_norm(
        self, source: SubgraphSource, target: np.ndarray, neighbor: np.ndarray, edge: np.ndarray
    ) -> np.ndarray:
        q = self._share(source)
        both = np.where(target == neighbor, 0.0, q[neighbor])
        return _ratio(q[target], both, q[target] + both, self.num_draws)

    def pair_probability(self, source: SubgraphSource, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        q = self._share(source)
        either = q[first] + np.where(first == second, 0.0, q[second])
        return _both(q[first], q[second], either, self.num_draws)

    def _share(self, source: SubgraphSource) -> np.ndarray:
        return source.cached("leaving", lambda: source.adjacency().sum(axis=0) / max(source.num_edges, 1))


class GraphSAINTEdge(_IndependentDraws):
    r"""GraphSAINT's edge sampler: the subgraph induced by the ends of edges, drawn so that the variance is small.

    From `"GraphSAINT: Graph Sampling Based Inductive Learning Method" <https://arxiv.org/abs/1907.04931>`_ (Zeng, Zhou,
    Srivastava, Kannan, Prasanna, ICLR 2020).

    Each of :math:`m` draws takes the edge :math:`\{u, v\}` with probability :math:`q_{uv} \propto 1/d_u + 1/d_v`. With
    the sum :math:`Q_v` of :math:`q` over the edges at :math:`v`,

    .. math::
        p_v = 1 - (1 - Q_v)^m, \qquad p_{uv} = p_u + p_v - 1 + (1 - Q_u - Q_v + q_{uv})^m

    are computed, not estimated. Batches are as :class:`GraphSAINTNode` describes them.

    Args:
        num_draws: The number of edges drawn, :math:`m`, with replacement.

    Raises:
        ValueError: If a number is smaller than 1, or the graph is directed or repeats an edge (when batches are drawn).

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> batch = next(GraphSAINTEdge(10).batches(KarateClub()[0]))
        >>> bool((batch.edge_weight >= 1).all()), batch.num_nodes <= 20
        (True, True)
    """

    def law(self) -> tuple[str, int, int]:
        return "edge", self.num_draws, 0

    def node_probability(self, source: SubgraphSource) -> np.ndarray:
        return _hit(self._share(source)[0], self.num_draws)

    def aggregator_norm(
        self, source: SubgraphSource, target: np.ndarray, neighbor: np.ndarray, edge: np.ndarray
    ) -> np.ndarray:
        share, pick = self._share(source)
        loop = target == neighbor
        both = np.where(loop, 0.0, share[neighbor])
        joined = np.where(loop, 0.0, pick[target] + pick[neighbor])
        return _ratio(share[target], both, share[target] + both - joined, self.num_draws)

    def pair_probability(self, source: SubgraphSource, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        share, pick = self._share(source)
        tail, head = source.edge_index().numpy()
        linked = np.isin(first * source.num_nodes + second, tail * source.num_nodes + head)
        either = share[first] + share[second] - np.where(linked, pick[first] + pick[second], 0.0)
        either = np.where(first == second, share[first], either)
        return _both(share[first], share[second], either, self.num_draws)

    def _share(self, source: SubgraphSource) -> tuple[np.ndarray, np.ndarray]:
        """The probability that one draw hits a node, and that it comes from a node and takes a given edge there."""

        def share() -> tuple[np.ndarray, np.ndarray]:
            a = source.adjacency()
            if (a != a.T).nnz > 0 or (a.nnz > 0 and a.sum(axis=None) != (a > 0).nnz):
                raise ValueError(
                    "GraphSAINTEdge needs an undirected graph without repeated edges; use "
                    "task.transform(torch_geometric.transforms.ToUndirected()) first"
                )
            linked = source.degree > 0
            pick = linked / np.maximum(source.degree, 1) / max(linked.sum(), 1)
            others = a @ pick - a.diagonal() * pick  # a self-loop hits no second node
            return linked / max(linked.sum(), 1) + others, pick

        return source.cached("edge share", share)


class GraphSAINTRandomWalk(_GraphSAINT):
    r"""GraphSAINT's random walk sampler: the subgraph induced by short walks from random roots.

    From `"GraphSAINT: Graph Sampling Based Inductive Learning Method" <https://arxiv.org/abs/1907.04931>`_ (Zeng, Zhou,
    Srivastava, Kannan, Prasanna, ICLR 2020).

    Of :math:`r` roots, drawn uniformly with replacement, each takes :math:`h` uniform steps; a dead end stays where it
    is. With the probability :math:`a_B` that one walk avoids the nodes :math:`B`,

    .. math::
        p_v = 1 - a_v^r, \qquad p_{uv} = 1 - a_v^r - a_u^r + a_{uv}^r

    These are estimated as in the official code: subgraphs are drawn until they have ``coverage`` times as many nodes as
    the graph, and counted. An edge's weight :math:`C_v / C_{uv}` is cut off at 10,000 and is 0.1 for one that was
    never seen; a node that was never seen counts as 0.1. They are cached in a file of graphkit's data folder. The
    official code trains on the counted subgraphs, too; here every epoch draws new ones. Batches are as
    :class:`GraphSAINTNode` describes them.

    Args:
        num_roots: The number of roots :math:`r`.
        walk_length: The number of steps :math:`h` (default: 2).
        coverage: How often each node is counted, on average; ``None`` computes the exact probabilities, which takes
            time in proportion to the square of the number of edges (default: 50).

    Raises:
        ValueError: If a number is smaller than 1.

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> batch = next(GraphSAINTRandomWalk(5, walk_length=2).batches(KarateClub()[0]))
        >>> batch.num_nodes <= 15, batch.edge_weight.shape == (batch.num_edges,)
        (True, True)
    """

    scope: ClassVar[str] = "num_roots"

    def __init__(
        self,
        num_roots: Count,
        walk_length: Count = 2,
        coverage: Count | None = 50,
        num_steps: Count | None = None,
        evaluate: Evaluation = "whole",
        inductive: bool = False,
    ) -> None:
        super().__init__(evaluate, inductive)
        self.num_roots = num_roots
        self.walk_length = walk_length
        self.coverage = coverage
        self.num_steps = num_steps

    def law(self) -> tuple[str, int, int]:
        return "walk", self.num_roots, self.walk_length

    def node_probability(self, source: SubgraphSource) -> np.ndarray:
        node, _, least = self._statistics(source)
        return np.maximum(node, least)

    def aggregator_norm(
        self, source: SubgraphSource, target: np.ndarray, neighbor: np.ndarray, edge: np.ndarray
    ) -> np.ndarray:
        of_node, of_edge, _ = self._statistics(source)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = of_node[target] / of_edge[edge]
        return np.where(np.isnan(ratio), NEVER_SEEN, np.minimum(ratio, LARGEST_RATIO))

    def _statistics(self, source: SubgraphSource) -> tuple[np.ndarray, np.ndarray, float]:
        """The shares of subgraphs that hold each node, and each edge; and the share that counts for a node of none."""
        key = ("walks", self.num_roots, self.walk_length, self.coverage)

        def compute() -> tuple[np.ndarray, ...]:
            if self.coverage is None:
                return source.walk_probabilities(self.num_roots, self.walk_length)
            return self._counted(source, self.coverage * source.num_nodes)

        def shares(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
            if self.coverage is None:
                node, entry = arrays
                return node, source.to_edges(entry), 0.0
            node, entry, drawn = arrays
            return node / drawn, source.to_edges(entry / drawn), NEVER_SEEN / int(drawn)

        return cached_on_disk(self, key, source, compute, shares)

    def _counted(self, source: SubgraphSource, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How often each node and each edge is in subgraphs that have so many nodes together; and their number."""
        node, entry = np.zeros(source.num_nodes, np.int32), np.zeros(source.num_edges, np.int32)
        drawn, seen = 0, 0
        subgraphs = prefetch(lambda index: source.saint(*self.law(), index=index), count())
        with progress_bar(total=wanted, desc="walks", unit="node", unit_scale=True, delay=1) as bar:
            for nodes, _, _, entries in subgraphs:
                node[nodes] += 1
                entry[entries] += 1
                drawn, seen = drawn + 1, seen + nodes.size
                bar.update(nodes.size)
                if seen > wanted:
                    break
        return node, entry, np.array(drawn)


def _hit(share: np.ndarray, draws: int) -> np.ndarray:
    """``1 - (1 - share)^draws``, without cancellation."""
    with np.errstate(divide="ignore"):
        return -np.expm1(draws * np.log1p(-np.minimum(share, 1.0)))


def _ratio(first: np.ndarray, second: np.ndarray, either: np.ndarray, draws: int) -> np.ndarray:
    """``P(first) / P(first and second)``, by the probabilities that one draw hits the first, the second, either.

    A second one of 0 is the first itself.
    """
    p = _hit(first, draws)
    return p / np.where(second == 0, p, _both(first, second, either, draws))


def _both(first: np.ndarray, second: np.ndarray, either: np.ndarray, draws: int) -> np.ndarray:
    """``P(first and second)``, by the same probabilities of one draw."""
    return _hit(first, draws) + _hit(second, draws) - _hit(either, draws)
