r"""Distances of the electrical network that a graph is: effective resistance, biharmonic distance, commute time.

With the Laplacian :math:`L = D - A` of the undirected graph (edge weights are conductances), its pseudo-inverse
:math:`L^+` and :math:`b_{st} = e_s - e_t`,

.. math::
    R_{st} = b_{st}^\top L^+ b_{st}, \qquad B_{st} = \|L^+ b_{st}\|, \qquad C_{st} = \mathrm{vol} \cdot R_{st}, \qquad
    R_\mathrm{tot} = \sum_{s<t} R_{st} = \sum_c n_c \,\mathrm{tr}(L_c^+)

with the sum of degrees :math:`\mathrm{vol}` of the component of :math:`s` and :math:`t`, and components :math:`c` of
:math:`n_c` nodes. Across components all distances are infinite, and the total leaves such pairs out.

==========  ====================================  ==============================================================
method      how                                   error
==========  ====================================  ==============================================================
``exact``   dense inverse of a component up to    rounding; for larger components a relative residual of 1e-10
            2000 nodes (and for all pairs), else
            one solve per pair
``sketch``  random projections                    distances squared (:math:`R`, :math:`C`, :math:`B^2`) within a
                                                  factor :math:`1 \pm \varepsilon`, all with probability 0.99;
                                                  the total has a standard error of at most
                                                  :math:`\varepsilon R_\mathrm{tot}`
``auto``    ``exact`` where it solves less often  as above
==========  ====================================  ==============================================================

The projections are those of Spielman and Srivastava (`"Graph Sparsification by Effective Resistances"
<https://arxiv.org/abs/0803.0929>`_, STOC 2008) with random signs: :math:`k` of them keep :math:`p` squared distances
within :math:`1 \pm \varepsilon` if :math:`k \ge 2 \ln(200 p) / (\varepsilon^2/2 - \varepsilon^3/3)` (Achlioptas 2003).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms.graph import SimpleGraph
from graphkit.algorithms.spectral.laplacian import BLOCK, LaplacianSolver, pseudo_inverse
from graphkit.core.constraints import NonNegativeInt, Seed, Share, checked
from graphkit.core.devices import on_cpu
from graphkit.core.docstrings import arguments_of
from graphkit.core.signatures import takes_arguments_of
from graphkit.core.validate import check_choice

DENSE_NODES = 2000  # components up to this size are inverted
METHODS = ("auto", "exact", "sketch")


@checked
@on_cpu
def effective_resistance(
    edge_index: Tensor,
    pairs: Tensor | None = None,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    method: str = "auto",
    eps: Share = 0.3,
    seed: Seed = 0,
) -> Tensor:
    r"""Effective resistance :math:`R_{st}` between nodes of an undirected graph.

    Args:
        edge_index: Edges ``[2, num_edges]``; directions, duplicates and self-loops do not count.
        pairs: Which pairs ``[2, num_pairs]`` (default: all).
        edge_weight: Conductances ``[num_edges]`` (default: ones).
        num_nodes: The number of nodes (default: the largest id plus one).
        method: ``"auto"``, ``"exact"`` or ``"sketch"``, see the table of this module (default: ``"auto"``).
        eps: The error of a sketch (default: 0.3).
        seed: The seed of a sketch (default: 0).

    Shapes:
        - **output:** ``[num_nodes, num_nodes]``, or ``[num_pairs]`` for given pairs, in double precision

    Raises:
        ValueError: If a method is unknown, ``eps`` is not in (0, 1) or a weight is negative.

    Example:
        >>> path = torch.tensor([[0, 1], [1, 2]])
        >>> effective_resistance(path, torch.tensor([[0, 0], [1, 2]]))
        tensor([1., 2.], dtype=torch.float64)
    """
    return _squared("effective_resistance", edge_index, pairs, edge_weight, num_nodes, method, eps, seed)[1]


@checked
@takes_arguments_of(effective_resistance)
@on_cpu
def biharmonic_distance(edge_index: Tensor, pairs: Tensor | None = None, **rest: Any) -> Tensor:
    r"""Biharmonic distance :math:`B_{st} = \|L^+ (e_s - e_t)\|` between nodes of an undirected graph.

    :math:`B_{st}^2` is minus the derivative of :math:`R_\mathrm{tot}/n` by the conductance between :math:`s` and
    :math:`t`: how much an edge there would help. Shapes and errors as :func:`effective_resistance`.

    Example:
        >>> biharmonic_distance(torch.tensor([[0], [1]]), torch.tensor([[0], [1]])).square()
        tensor([0.5000], dtype=torch.float64)
    """
    return _squared("biharmonic_distance", edge_index, pairs, **rest, biharmonic=True)[1].sqrt()


@checked
@takes_arguments_of(effective_resistance)
@on_cpu
def commute_time(edge_index: Tensor, pairs: Tensor | None = None, **rest: Any) -> Tensor:
    r"""Expected number of steps of a random walk from :math:`s` to :math:`t` and back, :math:`\mathrm{vol} R_{st}`.

    Shapes and errors as :func:`effective_resistance`.

    Example:
        >>> commute_time(torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0], [2]]))
        tensor([8.], dtype=torch.float64)
    """
    graph, resistance = _squared("commute_time", edge_index, pairs, **rest)
    volume = np.bincount(graph.component, weights=graph.weighted_degree)[graph.component]
    of_source = torch.from_numpy(np.where(volume > 0, volume, 1.0))  # an isolated node is infinitely far all the same
    return resistance * (of_source[:, None] if pairs is None else of_source[pairs[0]])


@checked
@arguments_of(effective_resistance)
def total_resistance(
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    num_nodes: NonNegativeInt | None = None,
    method: str = "auto",
    eps: Share = 0.1,
    seed: Seed = 0,
) -> float:
    r"""The sum of effective resistances over all pairs of nodes of the same component.

    Args:
        eps: The largest standard error of a sketch, as a share of the total (default: 0.1).

    Example:
        >>> round(total_resistance(torch.tensor([[0, 1], [1, 2]])), 9)
        4.0
    """
    graph = SimpleGraph.from_edges(edge_index, num_nodes, edge_weight, "total_resistance")
    check_choice(method, METHODS, "method of total_resistance")
    return total(graph, method, eps, seed)


def total(graph: SimpleGraph, method: str = "auto", eps: float = 0.1, seed: int = 0) -> float:
    """:func:`total_resistance` of a graph that is already a simple one."""
    if method == "auto":
        method = "exact" if graph.component_size.max(initial=0) <= DENSE_NODES else "sketch"
    if method == "exact":
        parts = (graph.induced(nodes) for nodes in graph.components(smallest=2))
        return float(sum(part.num_nodes * pseudo_inverse(part).trace() for part in parts))
    # Hutchinson: the mean of q' N L+ q over random signs q, with relative variance at most 2 / k
    solver, count = LaplacianSolver(graph, seed=seed), math.ceil(2 / eps**2)
    size = graph.component_size[graph.component].astype(float)
    sums = [np.einsum("i,ij,ij->", size, q, solver.solve(q)) for q in _signs(graph.num_nodes, count, seed)]
    return float(sum(sums) / count)


def _signs(rows: int, columns: int, seed: int) -> Iterator[np.ndarray]:
    """A random matrix of signs in blocks of columns."""
    generator = np.random.default_rng(seed)
    for start in range(0, columns, BLOCK):
        yield generator.choice(np.array([-1.0, 1.0]), size=(rows, min(BLOCK, columns - start)))


def _squared(
    where: str,
    edge_index: Tensor,
    pairs: Tensor | None,
    edge_weight: Tensor | None,
    num_nodes: int | None,
    method: str,
    eps: float,
    seed: int,
    biharmonic: bool = False,
) -> tuple[SimpleGraph, Tensor]:
    """The simple graph, and its squared distances of either kind."""
    graph = SimpleGraph.from_edges(edge_index, num_nodes, edge_weight, where)
    check_choice(method, METHODS, f"method of {where}")
    n = graph.num_nodes
    if pairs is None:
        source, target = (index.ravel() for index in np.indices((n, n)))
    else:
        if pairs.dim() != 2 or pairs.size(0) != 2 or pairs.is_floating_point():
            raise ValueError(f"{where}: pairs have shape {list(pairs.shape)} and {pairs.dtype}, expected ids [2, p]")
        source, target = pairs.cpu().numpy().astype(np.int64)
        if source.size and not (min(source.min(), target.min()) >= 0 and max(source.max(), target.max()) < n):
            raise IndexError(f"{where}: pairs name a node outside 0..{n - 1}")
    inside = graph.component[source] == graph.component[target]
    out = np.where(inside, 0.0, np.inf)
    ids = np.flatnonzero(inside & (source != target))
    dense = pairs is None or graph.component_size[graph.component[source[ids]]].max(initial=0) <= DENSE_NODES
    columns = math.ceil(2 * math.log(200 * max(ids.size, 1)) / (eps**2 / 2 - eps**3 / 3))
    if method == "auto":
        method = "exact" if dense or ids.size <= columns else "sketch"
    if ids.size == 0:
        pass
    elif method == "sketch":
        out[ids] = _sketched(graph, source[ids], target[ids], biharmonic, columns, seed)
    elif dense:
        out[ids] = _inverted(graph, source[ids], target[ids], biharmonic)
    else:
        out[ids] = _solved(graph, source[ids], target[ids], biharmonic)
    result = torch.from_numpy(out)
    return graph, result.view(n, n) if pairs is None else result


def _inverted(graph: SimpleGraph, source: np.ndarray, target: np.ndarray, biharmonic: bool) -> np.ndarray:
    out = np.empty(source.size)
    local, of_pair = np.empty(graph.num_nodes, dtype=np.int64), graph.component[source]
    for nodes in graph.components(smallest=2):
        ids = np.flatnonzero(of_pair == graph.component[nodes[0]])
        if ids.size:
            local[nodes] = np.arange(nodes.size)
            matrix = pseudo_inverse(graph.induced(nodes))
            if biharmonic:
                matrix = matrix @ matrix
            s, t, diagonal = local[source[ids]], local[target[ids]], matrix.diagonal()
            out[ids] = diagonal[s] + diagonal[t] - 2 * matrix[s, t]
    return np.maximum(out, 0.0)


def _solved(graph: SimpleGraph, source: np.ndarray, target: np.ndarray, biharmonic: bool) -> np.ndarray:
    """One right-hand side per pair."""
    solver, out = LaplacianSolver(graph), np.empty(source.size)
    for start in range(0, source.size, BLOCK):
        s, t = source[start : start + BLOCK], target[start : start + BLOCK]
        columns = np.arange(s.size)
        b = np.zeros((graph.num_nodes, s.size))
        b[s, columns], b[t, columns] = 1.0, -1.0
        x = solver.solve(b)
        values = (x**2).sum(axis=0) if biharmonic else x[s, columns] - x[t, columns]
        out[start : start + BLOCK] = values
    return out


def _sketched(
    graph: SimpleGraph, source: np.ndarray, target: np.ndarray, biharmonic: bool, columns: int, seed: int
) -> np.ndarray:
    r"""Squared distances of the projected points :math:`L^+ Q` or :math:`L^+ B W^{1/2} Q`."""
    solver, out = LaplacianSolver(graph, tolerance=1e-8, seed=seed), np.zeros(source.size)
    incidence = None if biharmonic else _incidence(graph)
    for signs in _signs(graph.num_nodes if incidence is None else graph.num_pairs, columns, seed):
        points = solver.solve(signs if incidence is None else incidence @ signs)
        out += ((points[source] - points[target]) ** 2).sum(axis=1)
    return out / columns


def _incidence(graph: SimpleGraph) -> Any:
    r""":math:`B^\top W^{1/2}`: one column per edge, the root of its weight at one end and minus that at the other."""
    from scipy.sparse import coo_array

    low, high = graph.pairs().T
    root = np.sqrt(graph.pair_weights())
    ids = np.arange(low.size)
    entries = (np.concatenate([root, -root]), (np.concatenate([low, high]), np.concatenate([ids, ids])))
    return coo_array(entries, (graph.num_nodes, ids.size)).tocsr()
