"""Equivariant polynomials of a graph's matrices, by sparse contraction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphkit.algorithms.polynomials.multigraphs import Multigraph
from graphkit.algorithms.polynomials.plan import ONES, Op, Plan, make_plan
from graphkit.core.constraints import Count, checked

_NO_WEIGHT = np.empty(0)

_K4 = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_TAILED = ((0, 1), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))
_GLUED = ((0, 1), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4))

# The polynomials of degree up to 6 that PPGN cannot compute, in the order of the official code of PPGN++.
PPGN_CHANNELS = (
    Multigraph(((0, 1), (0, 2), (0, 3), (1, 2), (2, 3)), (3, 1)),  # K4 without an edge
    Multigraph(_K4),
    Multigraph(_K4, (0,)),
    Multigraph(_K4, (1, 0)),
    Multigraph(((0, 1), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4)), (4, 3)),  # that with a pendant in the middle
    Multigraph(_TAILED, (2, 0)),
    Multigraph(_TAILED, (0, 2)),
    Multigraph(_TAILED, (2, 1)),
    Multigraph(_TAILED, (1, 2)),
    Multigraph(_GLUED, (4, 1)),  # a triangle and a 4-cycle that share an edge
    Multigraph(_GLUED, (1, 4)),
    Multigraph(((0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)), (3, 2)),  # K_{2,3}
)


@checked
def equivariant_polynomials(
    matrices: Any, multigraphs: Sequence[Multigraph], max_entries: Count = 10**8
) -> list[float | np.ndarray | Any]:
    r"""Equivariant polynomials of a graph, each given by a multigraph.

    From `"Equivariant Polynomials for Graph Neural Networks" <https://arxiv.org/abs/2302.11556>`_ (Puny, Lim, Kiani,
    Maron, Lipman, ICML 2023).

    .. math::
        P_H(X)_{i_a, i_b} = \sum_{\varphi:\, \varphi(a) = i_a,\, \varphi(b) = i_b} \;
        \prod_{(r, s) \in E(H)} X_{\varphi(r), \varphi(s)}

    over all maps :math:`\varphi` of the nodes of :math:`H` to those of the graph, where :math:`a, b` are the pins of
    :math:`H`. Maps need not be injective: for a 0/1 matrix these are numbers of homomorphisms, not of subgraphs.
    Entries on the diagonal of :math:`X` (features of nodes) are read by self-loops of :math:`H`; with several matrices
    (kinds of edges) each edge of :math:`H` reads the one of its colour.

    All polynomials are compiled together to sparse products that share their parts, in the cheapest order (see
    ``graphkit.algorithms.polynomials.plan``); nothing dense is made for connected :math:`H`. Numbers are float64, so
    counts are exact up to :math:`2^{53}`.

    Args:
        matrices: A square scipy sparse matrix or NumPy array :math:`X`, or a list of them, one per colour.
        multigraphs: The multigraphs :math:`H`.
        max_entries: The largest number of entries of a matrix on the way, 12 bytes each (default: 100 million).

    Returns:
        Per multigraph a number (no pins), an array ``[n]`` (one) or a CSR matrix ``[n, n]`` (two).

    Raises:
        ValueError: If matrices are not square, not finite or too few, or one on the way would be too large.

    Example:
        >>> X = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
        >>> edge, triangle = ((0, 1),), ((0, 1), (1, 2), (2, 0))
        >>> total, of_nodes, of_pairs = equivariant_polynomials(
        ...     X, [Multigraph(edge), Multigraph(triangle, pins=(0,)), Multigraph(triangle, pins=(0, 1))]
        ... )
        >>> total, of_nodes.tolist(), of_pairs.toarray().tolist()
        (6.0, [2.0, 2.0, 2.0], [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    """
    inputs = [_checked(matrix) for matrix in (matrices if isinstance(matrices, list | tuple) else [matrices])]
    colours = max((c for h in multigraphs for c in h.colours), default=-1) + 1
    if not inputs or colours > len(inputs) or len({matrix.shape for matrix in inputs}) > 1:
        shapes = [matrix.shape for matrix in inputs]
        raise ValueError(
            f"equivariant_polynomials: {colours} colours of edges need as many equal matrices, got {shapes}"
        )
    plan = make_plan(tuple(multigraphs), tuple(_is_symmetric(matrix) for matrix in inputs))
    return [value.csr() if isinstance(value, _Matrix) else value for value in _run(plan, inputs, max_entries)]


class _Matrix(NamedTuple):
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray

    @classmethod
    def of(cls, matrix: Any) -> _Matrix:
        return cls(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)

    def csr(self) -> Any:
        from scipy.sparse import csr_array

        n = self.indptr.size - 1
        return csr_array((self.data, self.indices, self.indptr), (n, n))


_Value = float | np.ndarray | _Matrix


def _checked(matrix: Any) -> Any:
    from scipy.sparse import csr_array

    square = csr_array(matrix, dtype=np.float64)
    if square.ndim != 2 or square.shape[0] != square.shape[1]:
        raise ValueError(f"equivariant_polynomials: a matrix has shape {square.shape}, expected [n, n]")
    if not np.isfinite(square.data).all():
        raise ValueError("equivariant_polynomials: an entry of a matrix is not finite; replace missing values before")
    square.sum_duplicates()
    return square


def _is_symmetric(matrix: Any) -> bool:
    other = matrix.T.tocsr()
    return np.array_equal(other.indices, matrix.indices) and np.array_equal(other.data, matrix.data)


def _run(plan: Plan, inputs: list[Any], limit: int) -> Iterator[_Value]:
    """The values of the outputs; others are forgotten after their last use."""
    uses = Counter(plan.outputs)
    for number, op in reversed(list(enumerate(plan.ops))):
        if uses[number]:  # some are only there transposed
            uses.update(_arguments(op))
    values: dict[int, Any] = {}
    for number, op in enumerate(plan.ops):
        if not uses[number]:
            continue
        values[number] = _evaluate(op, values, inputs, limit)
        for used in _arguments(op):
            uses[used] -= 1
            if not uses[used]:
                values.pop(used, None)
    return (values[i] if i != ONES else np.ones(inputs[0].shape[0]) for i in plan.outputs)


def _arguments(op: Op) -> list[int]:
    name, *of = op
    if name in ("input", "diagonal"):
        return []
    if name == "join":
        return [*of[1], *(matrix for *_, matrix in of[2])]
    return of


def _evaluate(op: Op, values: dict[int, Any], inputs: list[Any], limit: int) -> _Value:
    from graphkit.algorithms.kernels import polynomials as kernels

    name, *of = op
    n = inputs[0].shape[0]
    if name == "input":
        return _Matrix.of(inputs[of[0]].T.tocsr() if of[1] else inputs[of[0]])
    if name == "diagonal":
        return inputs[of[0]].diagonal()
    if name == "join":
        return _join(of, values, n, limit)
    given = [values.get(i, _NO_WEIGHT) for i in of]  # ONES is no number of an operation
    if name == "multiply":
        return np.multiply.reduce(given)
    if name == "sum_rows":
        return kernels.sum_rows(*given[0], given[1])
    if name == "product":
        left, weight, right = given
        indptr = kernels.count_product(left.indptr, left.indices, right.indptr, right.indices)
        if indptr[n] > limit:
            raise _too_large(f"has {indptr[n]:,} entries", n, limit)
        return _Matrix(indptr, *kernels.product(*left, weight, *right, indptr))
    if name == "masked":
        mask, left, weight, right = given
        return mask._replace(data=kernels.masked(*mask, *left, weight, *right))
    if name == "hadamard":
        return given[0]._replace(data=kernels.hadamard(*given[0], *given[1]))
    if name == "scale":
        matrix, left, right = given
        return matrix._replace(data=kernels.scale(*matrix, left, right))
    if name == "transpose":
        return _Matrix(*kernels.transpose(*given[0]))
    if name == "total":
        return float(given[0].sum()) if given[0].size else float(n)
    if name == "times":
        return float(np.prod(given))
    if name == "outer":
        if n * n > limit:
            raise _too_large(f"of two unconnected pins has {n * n:,} entries", n, limit)
        left, right = (vector if vector.size else np.ones(n) for vector in given)
        indptr, indices = np.arange(0, n * n + 1, max(n, 1)), np.tile(np.arange(n, dtype=np.int32), n)
        return _Matrix(indptr, indices, np.outer(left, right).ravel())
    value, factor = given[0], float(np.prod(given[1:]))  # weigh
    if isinstance(value, _Matrix):
        return value._replace(data=value.data * factor)
    return (value if value.size else np.ones(n)) * factor


def _join(of: list[Any], values: dict[int, Any], n: int, limit: int) -> _Value:
    from graphkit.algorithms.kernels import polynomials as kernels

    out, weights, factors = of
    vectors = np.ones((len(weights), n))
    for row, weight in zip(vectors, weights):
        row[:] = values.get(weight, 1.0)
    late, early, numbers = zip(*factors)
    leads = np.array([0] + [late.index(node) for node in range(1, len(weights))])
    given = [values[number] for number in numbers]
    starts = np.cumsum([0, *(matrix.indices.size for matrix in given)])
    complete, indptr, indices, data = kernels.join(
        n,
        out,
        vectors,
        np.array(late),
        np.array(early),
        leads,
        np.stack([matrix.indptr + start for matrix, start in zip(given, starts)]),
        np.concatenate([matrix.indices for matrix in given]),
        np.concatenate([matrix.data for matrix in given]),
        limit,
    )
    if not complete:
        raise _too_large("has more entries", n, limit)
    return data if out == 0 else _Matrix(indptr, indices, data)


def _too_large(what: str, n: int, limit: int) -> ValueError:
    return ValueError(
        f"equivariant_polynomials: a matrix on the way {what} for a graph of {n} nodes, but max_entries={limit:,}; "
        "take a smaller degree, or allow more (12 bytes each)"
    )
