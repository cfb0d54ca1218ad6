"""Expander graph propagation."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.algorithms.graph import SimpleGraph
from graphkit.core.checks import Checks
from graphkit.core.constraints import Seed
from graphkit.transforms.rewiring.base import EdgeChange, PairRewiring, free_pairs

_GENERATORS = np.array([[[1, 1], [0, 1]], [[1, -1], [0, 1]], [[1, 0], [1, 1]], [[1, 0], [-1, 1]]])


class Expander(PairRewiring):
    r"""Lays a sparse, well-connected Cayley graph over the nodes, as a relation of its own (EGP).

    From `"Expander Graph Propagation" <https://arxiv.org/abs/2210.02997>`_ (Deac, Lackenby, Veličković, LoG 2022).

    The Cayley graph of :math:`\mathrm{SL}(2, \mathbb{Z}_q)` with the generators
    :math:`\begin{pmatrix}1&1\\0&1\end{pmatrix}, \begin{pmatrix}1&0\\1&1\end{pmatrix}` and their inverses joins each
    matrix with four others. :math:`q` is the smallest number for which there are enough matrices, and the first
    :math:`n` in the order of a breadth-first search from the identity become the nodes. Pairs that are joined already
    are not joined once more. The paper propagates along the graph and the expander in turns; a relational model has
    weights for both in every layer.

    Args:
        seed: Assign nodes to matrices at random; ``None`` takes them in order, as the paper does (default: ``None``).

    Example:
        >>> from torch_geometric.data import Data
        >>> path = Data(edge_index=torch.tensor([range(19), range(1, 20)]), num_nodes=20)
        >>> out = Expander()(path)
        >>> bool(out.spectral_gap[0, 1] > 10 * out.spectral_gap[0, 0])
        True
    """

    checks = Checks(
        [{}, {"seed": 0}], expected_failures={"permutation": "nodes take the matrices of the Cayley graph by number"}
    )

    def __init__(self, seed: Seed | None = None, report: bool = True) -> None:
        self.seed, self.report = seed, report

    def choose(self, graph: SimpleGraph) -> EdgeChange:
        n = graph.num_nodes
        pairs = cayley_pairs(n)
        if self.seed is not None:
            pairs = np.random.default_rng(self.seed).permutation(n)[pairs]
        return EdgeChange(free_pairs(torch.from_numpy(pairs.T), graph))


def cayley_pairs(num_nodes: int) -> np.ndarray:
    """Edges ``[num_pairs, 2]`` among the first matrices of the smallest group that is large enough."""
    q = 2
    while _order(q) < num_nodes:
        q += 1
    number = {(1 % q, 0, 0, 1 % q): 0}
    queue, pairs = [next(iter(number))], set()
    for position, matrix in enumerate(queue):
        if position >= num_nodes:
            break
        for product in (np.array(matrix).reshape(2, 2) @ _GENERATORS) % q:
            key = tuple(product.ravel().tolist())
            if key not in number:
                number[key] = len(number)
                queue.append(key)
            other = number[key]
            if other < num_nodes and other != position:
                pairs.add((min(position, other), max(position, other)))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _order(q: int) -> int:
    r"""The number of matrices, :math:`q^3 \prod_{p | q} (1 - p^{-2})` over the primes that divide :math:`q`."""
    order, rest, p = q**3, q, 2
    while rest > 1:
        if rest % p == 0:
            order = order // p**2 * (p**2 - 1)
            while rest % p == 0:
                rest //= p
        p += 1
    return order
