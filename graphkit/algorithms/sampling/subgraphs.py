"""Drawing subgraphs of a large graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.caching import Caching
from graphkit.core.display import progress_bar
from graphkit.core.hashing import hash_tensors
from graphkit.core.mapped_graph import MappedGraph
from graphkit.core.validate import check_choice
from graphkit.ops import SparsityPattern, sparsity_pattern


@dataclass(frozen=True)
class Subgraph:
    r"""Some nodes and edges of a graph, or a disjoint union of such parts.

    Attributes:
        nodes: The graph's ids of the nodes ``[n]``.
        edge_index: The edges in the subgraph's own numbers ``[2, e]`` (sources, targets), sorted by target.
        edges: The graph's ids of the edges ``[e]``; -1 for a self-loop that was added.
        roots: Where the nodes stand that were asked for ``[r]`` (``None``: nobody asked for any).
        sizes: The number of nodes of each part of a disjoint union ``[r]`` (``None``: it is one graph).
        hop: The distance of each node to its root ``[n]``, -1 if it cannot be reached (``None``: it is one graph).
    """

    nodes: Tensor
    edge_index: Tensor
    edges: Tensor
    roots: Tensor | None = None
    sizes: Tensor | None = None
    hop: Tensor | None = None


class SubgraphSource(Caching):
    r"""A graph from which subgraphs are drawn, by compiled code and from many threads at once.

    Neighbours of a node are those from which it receives messages: the sources of the edges that enter it. Draws depend
    on ``(seed, index)`` alone, whoever makes them and in whatever order.

    Args:
        graph: Edges ``[2, E]`` (sources, targets) or a :class:`~graphkit.ops.SparsityPattern`.
        num_nodes: The number of nodes (default: the largest id plus one).

    Attributes:
        num_nodes: The number of nodes.
        num_edges: The number of edges.
        degree: The number of edges that enter each node.

    Raises:
        TypeError, ValueError, IndexError: If the edges are not what they should be, or a method is asked for a node
            that is not there.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
        >>> source = SubgraphSource(path, 4)
        >>> source.induced(np.array([0, 1, 3])).edge_index.tolist()
        [[1, 0], [0, 1]]
        >>> part = source.neighbors(torch.tensor([3]), [-1, -1])
        >>> part.nodes.tolist(), part.edge_index.tolist()
        ([3, 2, 1], [[1, 2, 0], [0, 1, 1]])
    """

    def __init__(self, graph: Tensor | SparsityPattern, num_nodes: int | None = None) -> None:
        pattern = sparsity_pattern(graph, num_nodes)
        if pattern.num_rows != pattern.num_cols:
            raise ValueError(
                f"subgraphs need one set of nodes, got {pattern.num_cols} sources, {pattern.num_rows} targets"
            )
        self.num_nodes, self.num_edges = pattern.num_rows, pattern.num_edges
        self._rowptr, self._col = (part.cpu().numpy() for part in pattern.kernel_indices())
        self._perm = None if pattern.perm is None else pattern.perm.cpu()
        self.degree = np.diff(self._rowptr)
        self._workspaces = threading.local()

    @cached_property
    def _all(self) -> np.ndarray:
        return np.arange(self.num_nodes)

    @cached_property
    def _linked(self) -> np.ndarray:
        return np.flatnonzero(self.degree)

    @cached_property
    def hash(self) -> str:
        """A digest of the graph."""
        return hash_tensors(torch.from_numpy(self._rowptr), torch.from_numpy(self._col))

    def edge_index(self) -> Tensor:
        """The edges ``[2, E]`` (sources, targets), sorted by target."""
        target = np.repeat(self._all, self.degree)
        return torch.from_numpy(np.stack([self._col.astype(np.int64), target]))

    def to_edges(self, values: np.ndarray) -> np.ndarray:
        """Bring values per entry in CSR order into the order of the edges."""
        if self._perm is None:
            return values
        out = np.empty_like(values)
        out[self._perm.numpy()] = values
        return out

    def adjacency(self) -> Any:
        """The scipy CSR matrix whose rows are targets, all ones."""
        from scipy.sparse import csr_array

        shape = (self.num_nodes, self.num_nodes)
        return csr_array((np.ones(self.num_edges), self._col, self._rowptr), shape=shape)

    # Parts of one graph ---------------------------------------------------------------------------------------------

    def induced(self, nodes: np.ndarray) -> Subgraph:
        """The subgraph of some nodes ``[n]`` with all edges between them; nodes come sorted and once."""
        nodes = np.unique(self._checked(nodes)).astype(np.int32)
        return self.subgraph(nodes, *_kernels().induced(self._rowptr, self._col, nodes, *self._workspace))

    def neighbors(
        self,
        seeds: Tensor,
        fanouts: Sequence[int],
        replace: bool = False,
        induced: bool = False,
        seed: int = 0,
        index: int = 0,
    ) -> Subgraph:
        r"""What some nodes receive messages from, and these in turn, so many of them per hop.

        Nodes stand in the order in which they are found, ``seeds`` first; each draws neighbours once, in the hop after
        it was found.

        Args:
            seeds: The nodes to begin with ``[r]``.
            fanouts: The number of neighbours of each node per hop; -1 for all.
            replace: Draw with replacement (default: ``False``).
            induced: Take all edges between the nodes found, not only those that were drawn (default: ``False``).
            seed: The seed (default: 0).
            index: The number of this draw among those of the same seed (default: 0).
        """
        if not hasattr(self._workspaces, "taken"):
            self._workspaces.taken = np.zeros(int(self.degree.max(initial=0)), np.int8)
        chosen = np.asarray(fanouts, np.int64)
        nodes, count, sub, entry, roots = _kernels().neighbors(
            self._rowptr,
            self._col,
            self._checked(seeds.numpy()),
            chosen,
            replace,
            induced,
            seed,
            index,
            *self._workspace,
            self._workspaces.taken,
        )
        return self.subgraph(nodes, count, sub, entry, torch.from_numpy(roots))

    def saint(
        self, law: str, draws: int, steps: int = 0, seed: int = 0, index: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        r"""One draw of GraphSAINT as it is counted and trained on; :mod:`graphkit.samplers` tells the laws.

        Args:
            law: ``"node"``, ``"edge"`` or ``"walk"``.
            draws: How many nodes, edges or roots of walks are drawn.
            steps: The length of walks (default: 0).
            seed: The seed (default: 0).
            index: The number of this draw among those of the same seed (default: 0).

        Returns:
            The sorted nodes, and their induced subgraph in CSR form: entries per row, columns, and which of the
            graph's entries they are.
        """
        check_choice(law, ("node", "edge", "walk"), "law of GraphSAINT")
        number, starts, steps = {
            "node": (0, self._linked, 0),
            "edge": (1, self._linked, 1),
            "walk": (2, self._all, steps),
        }[law]
        draws = draws if starts.size else 0
        return _kernels().saint(number, self._rowptr, self._col, starts, draws, steps, seed, index, *self._workspace)

    def walk_probabilities(self, draws: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """How likely the walks of one draw touch a node, per node, and both ends of an entry, per entry; exact."""
        return _kernels().walk_probabilities(self._rowptr, self._col, draws, steps)

    # Disjoint neighbourhoods ----------------------------------------------------------------------------------------

    def hop_sets(self, roots: Tensor, depth: int, budget: int = -1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """The sorted nodes up to ``depth`` hops from each root, end to end, and their numbers per root.

        Args:
            roots: The roots ``[r]``.
            depth: The number of hops.
            budget: A node with more neighbours contributes so many draws with replacement; -1: all (default: -1).
            seed: The seed (default: 0).
        """
        ids = self._checked(roots.numpy())
        return _root_kernels().hop_sets(self._rowptr, self._col, ids, depth, budget, seed, self._workspace[1])

    def pagerank_sets(
        self, roots: Tensor, k: int, threshold: float = 0.0, teleport: float = 0.15, eps: float = 1e-6
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""The sorted nodes of the largest approximate PageRank of each root, end to end, and their numbers per root.

        Args:
            roots: The roots ``[r]``.
            k: The largest number of nodes of a root.
            threshold: The least score, as a share of the root's second largest (default: 0).
            teleport: The lazy walk's chance :math:`a` to return to the root; see :func:`pagerank` (default: 0.15).
            eps: The tolerance; see :func:`pagerank` (default: 1e-6).
        """
        parts = self._in_shares(
            lambda share: _root_kernels().pagerank_sets(self._rowptr, self._col, share, teleport, eps, k, threshold),
            roots,
        )
        return tuple(np.concatenate(part) for part in zip(*parts))  # type: ignore[return-value]

    def pagerank(self, roots: Tensor, teleport: float = 0.15, eps: float = 1e-6) -> Tensor:
        r"""Approximate personalised PageRank by pushing, ``[r, num_nodes]``.

        Of the lazy walk, :math:`\pi = a\,\bigl(I - (1-a)(I + D^{-1}A)/2\bigr)^{-1}`, which is ordinary PageRank of
        teleport probability :math:`2a/(1+a)`. A node is pushed while its residual is above :math:`\epsilon d_v`: it
        keeps the share :math:`a`, half of the rest stays as its residual, and half goes to its neighbours. On an
        undirected graph :math:`0 \le \pi_v - \hat\pi_v \le \epsilon d_v`.

        Args:
            roots: The roots ``[r]``.
            teleport: :math:`a` (default: 0.15).
            eps: :math:`\epsilon` (default: 1e-6).
        """
        ids, out = self._checked(roots.numpy()), np.zeros((roots.numel(), self.num_nodes))
        _root_kernels().pagerank_scores(self._rowptr, self._col, ids, teleport, eps, out)
        return torch.from_numpy(out)

    def neighborhoods(
        self, roots: Tensor, nodes: np.ndarray, sizes: np.ndarray, add_self_loops: bool = False
    ) -> Subgraph:
        """The disjoint union of the subgraphs induced by one set of nodes per root.

        Args:
            roots: The roots ``[r]``; each is in its set.
            nodes: The sorted nodes of all sets, end to end.
            sizes: Their numbers per root ``[r]``.
            add_self_loops: Whether nodes get the self-loops that they lack (default: ``False``).
        """
        ids, nodes = self._checked(roots.numpy()), self._checked(nodes)
        count, sub, entry, places, hop = _root_kernels().extract(
            self._rowptr, self._col, nodes, sizes, ids, add_self_loops, *self._workspace
        )
        part = self.subgraph(nodes, count, sub, entry, torch.from_numpy(places))
        return Subgraph(
            part.nodes, part.edge_index, part.edges, part.roots, torch.from_numpy(sizes), torch.from_numpy(hop)
        )

    # ----------------------------------------------------------------------------------------------------------------

    @property
    def _workspace(self) -> tuple[np.ndarray, np.ndarray]:
        """This thread's numbers of nodes, which may be anything, and marks of nodes, which are none."""
        if not hasattr(self._workspaces, "nodes"):
            marks = np.zeros(-(-self.num_nodes // 64), np.uint64)
            self._workspaces.nodes = np.empty(self.num_nodes, np.int32), marks
        return self._workspaces.nodes

    def _checked(self, ids: np.ndarray) -> np.ndarray:
        """The ids, if they are nodes: compiled code does not look."""
        if ids.size and (ids.min() < 0 or ids.max() >= self.num_nodes):
            bad = ids.min() if ids.min() < 0 else ids.max()
            raise IndexError(f"node {bad} is not in the graph, which has the nodes 0..{self.num_nodes - 1}")
        return ids

    def _in_shares(self, run: Callable[[np.ndarray], Any], roots: Tensor, share: int = 64) -> list[Any]:
        """Run a kernel on shares of the roots, in as many threads as torch has."""
        ids = self._checked(roots.numpy())
        shares = [ids[i : i + share] for i in range(0, max(len(ids), 1), share)]
        show = None if len(shares) > 64 else False
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            done = pool.map(run, shares)
            bar = progress_bar(done, total=len(shares), desc="neighbourhoods", unit=f"x{share} roots", show=show)
            return list(bar)

    def subgraph(
        self, nodes: np.ndarray, count: np.ndarray, sub: np.ndarray, entry: np.ndarray, roots: Tensor | None = None
    ) -> Subgraph:
        """The :class:`Subgraph` of what a kernel returns: nodes, entries per row, columns, entries of the graph."""
        target = torch.from_numpy(np.repeat(np.arange(count.size), count))
        edge_index = torch.stack([torch.from_numpy(sub).long(), target])
        edges = torch.from_numpy(entry).long()
        if self._perm is not None:
            edges = torch.where(edges < 0, edges, self._perm[edges.clamp(min=0)]) if edges.numel() else edges
        return Subgraph(torch.from_numpy(nodes).long(), edge_index, edges, roots)


def _kernels() -> Any:
    from graphkit.algorithms.kernels import sampling

    return sampling


def _root_kernels() -> Any:
    from graphkit.algorithms.kernels import neighborhoods

    return neighborhoods


def subgraph_source(data: Data) -> SubgraphSource:
    """The :class:`SubgraphSource` of a graph, cached with its pattern; of a mapped graph it is mapped, too."""
    if isinstance(data, MappedGraph):
        edges, n = data.structure, data.num_nodes
        return edges.cached("subgraphs", lambda: SubgraphSource(SparsityPattern(edges.rowptr, edges.col, None, n)))
    pattern = sparsity_pattern(data.edge_index, data.num_nodes)
    return pattern.cached("subgraphs", lambda: SubgraphSource(pattern))
