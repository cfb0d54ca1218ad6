"""From multigraphs to a list of sparse operations that evaluates their polynomials, shared parts once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from graphkit.algorithms.polynomials.multigraphs import Multigraph

ONES = -1  # in place of a vector
_DEGREE = 8.0  # of a typical node, in estimates of cost

Op = tuple  # its name, then numbers of earlier operations (or of an input)
Step = frozenset[int]  # nodes that leave together
Reaches = dict[frozenset[int], int]  # how many edges a factor on two nodes spans


class Plan(NamedTuple):
    """Operations in the order in which they are to run, and the one that gives each polynomial."""

    ops: tuple[Op, ...]
    outputs: tuple[int, ...]


@lru_cache
def make_plan(multigraphs: tuple[Multigraph, ...], symmetric: tuple[bool, ...]) -> Plan:
    r"""Compile multigraphs by variable elimination.

    A node without pin leaves the sum as soon as at most two others know it: with one neighbour by a product of matrix
    and vector, with two by a product of sparse matrices, only at the entries of the matrix that these two already
    share where there is one. Where all have more, the smallest connected set of nodes with two neighbours leaves by
    enumeration of its places ("join"). The order is the cheapest of all, estimated for nodes of 8 neighbours each.

    Operations, with vectors :math:`w` and matrices :math:`F, G, P`: ``input`` (number of the matrix, transposed),
    ``diagonal`` (number of the matrix), ``multiply`` (of vectors), ``sum_rows`` :math:`F w`, ``product``
    :math:`F \operatorname{diag}(w) G`, ``masked`` :math:`P \circ (F \operatorname{diag}(w) G^\top)`, ``hadamard``
    :math:`P \circ F`, ``scale`` :math:`\operatorname{diag}(w) F \operatorname{diag}(w')`, ``transpose``, ``outer``,
    ``total`` (sum of a vector), ``times`` (of numbers), ``weigh`` (by a number), ``join``.

    Args:
        multigraphs: What to compile.
        symmetric: Whether each input matrix is symmetric, so that transposes need not be told apart.
    """
    builder = _Builder(symmetric)
    outputs = [builder.contract(h) for h in multigraphs]
    return Plan(tuple(builder.ops), tuple(outputs))


class _Builder:
    """Collects operations; an operation that is there already is not added again."""

    def __init__(self, symmetric: Sequence[bool]) -> None:
        self.symmetric = symmetric
        self.ops: list[Op] = []
        self.number: dict[Op, int] = {}
        self.reach: dict[int, int] = {}

    def emit(self, *op: object, reach: int = 0) -> int:
        if op not in self.number:
            self.number[op] = len(self.ops)
            self.ops.append(op)
        number = self.number[op]
        self.reach[number] = reach
        return number

    # Operations that have several spellings ------------------------------------------------------------------------

    def input(self, colour: int, transposed: bool = False) -> int:
        return self.emit("input", colour, transposed and not self.symmetric[colour], reach=1)

    def multiply(self, *vectors: int) -> int:
        rest = sorted(v for v in vectors if v != ONES)
        return ONES if not rest else rest[0] if len(rest) == 1 else self.emit("multiply", *rest)

    def product(self, left: int, weight: int, right: int) -> int:
        return self.emit("product", left, weight, right, reach=self.reach[left] + self.reach[right])

    def masked(self, mask: int, left: int, weight: int, right: int) -> int:
        """Entries of ``left diag(weight) right`` where ``mask`` has some, times these."""
        if self.reach[left] + self.reach[right] <= self.reach[mask]:
            return self.hadamard(mask, self.product(left, weight, right))
        return self.emit("masked", mask, left, weight, self.transpose(right), reach=self.reach[mask])

    def hadamard(self, first: int, second: int) -> int:
        first, second = sorted((first, second), key=lambda m: (self.reach[m], m))
        return self.emit("hadamard", first, second, reach=self.reach[first])

    def scale(self, matrix: int, left: int, right: int) -> int:
        if left == right == ONES:
            return matrix
        return self.emit("scale", matrix, left, right, reach=self.reach[matrix])

    def transpose(self, matrix: int) -> int:
        """Written with transposed inputs where possible, so that equal things look equal."""
        name, *of = self.ops[matrix]
        if name == "input":
            return self.input(of[0], not of[1])
        if name == "product":
            return self.product(self.transpose(of[2]), of[1], self.transpose(of[0]))
        if name == "masked":
            mask = self.transpose(of[0])
            return self.emit("masked", mask, of[3], of[2], of[1], reach=self.reach[matrix])
        if name == "hadamard":
            return self.hadamard(self.transpose(of[0]), self.transpose(of[1]))
        if name == "scale":
            return self.scale(self.transpose(of[0]), of[2], of[1])
        return of[0] if name == "transpose" else self.emit("transpose", matrix, reach=self.reach[matrix])

    # Contraction ---------------------------------------------------------------------------------------------------

    def contract(self, h: Multigraph) -> int:
        """The number of the operation that gives the polynomial."""
        factors = _Factors(self)
        for (u, v), colour in zip(h.edges, h.colours):
            if u == v:
                factors.add_vector(u, self.emit("diagonal", colour))
            else:
                factors.add_matrix(u, v, self.input(colour))
        reaches = {pair: self.reach[matrix] for pair, matrix in factors.matrices.items()}
        for step in cheapest_order(reaches, [v for v in h.nodes if v not in h.pins]):
            factors.eliminate(step)
        if not h.pins:
            return self.emit("times", *sorted(factors.scalars))
        result = factors.vector(h.pins[0])
        if len(h.pins) == 2:
            column = factors.vector(h.pins[1])
            if frozenset(h.pins) in factors.matrices:
                result = self.scale(factors.matrix(*h.pins), result, column)
            else:
                result = self.emit("outer", result, column)
        return self.emit("weigh", result, *sorted(factors.scalars)) if factors.scalars else result


class _Factors:
    """What is left of a product while nodes leave: numbers, vectors on nodes, matrices on pairs of nodes."""

    def __init__(self, builder: _Builder) -> None:
        self.builder = builder
        self.scalars: list[int] = []
        self.vectors: dict[int, int] = {}
        self.matrices: dict[frozenset[int], int] = {}  # rows belong to the smaller node

    def vector(self, node: int) -> int:
        return self.vectors.get(node, ONES)

    def matrix(self, row: int, column: int) -> int:
        matrix = self.matrices[frozenset((row, column))]
        return matrix if row < column else self.builder.transpose(matrix)

    def add_vector(self, node: int, vector: int) -> None:
        self.vectors[node] = self.builder.multiply(self.vector(node), vector)

    def add_matrix(self, row: int, column: int, matrix: int) -> None:
        if row > column:
            matrix = self.builder.transpose(matrix)
        pair = frozenset((row, column))
        known = self.matrices.get(pair)
        self.matrices[pair] = matrix if known is None else self.builder.hadamard(known, matrix)

    def eliminate(self, step: Step) -> None:
        near = sorted(_boundary(self.matrices, step))
        if len(step) > 1:
            self._join(sorted(step), near)
            return
        (node,) = step
        weight = self.vectors.pop(node, ONES)
        if not near:
            self.scalars.append(self.builder.emit("total", weight))
        elif len(near) == 1:
            self.add_vector(near[0], self.builder.emit("sum_rows", self.matrix(near[0], node), weight))
        else:
            pair = frozenset(near)
            left, right = self.matrix(near[0], node), self.matrix(node, near[1])
            if pair in self.matrices:
                self.matrices[pair] = self.builder.masked(self.matrices[pair], left, weight, right)
            else:
                self.matrices[pair] = self.builder.product(left, weight, right)
        self._drop(step)

    def _join(self, step: list[int], near: list[int]) -> None:
        """Nodes in the order in which they are placed: the first neighbour, then always the best connected one."""
        involved = {pair: m for pair, m in self.matrices.items() if pair <= {*step, *near}}
        order, rest = (near[:1] or step[:1]), [*step, *near]
        rest.remove(order[0])
        while rest:
            links = {v: [w for w in order if frozenset((v, w)) in involved] for v in rest}
            order.append(min(rest, key=lambda v: (-len(links[v]), v)))
            rest.remove(order[-1])
        place = {node: i for i, node in enumerate(order)}
        factors = []
        for pair in involved:
            early, late = sorted(pair, key=place.__getitem__)
            factors.append((place[late], place[early], self.matrix(early, late)))
        vectors = tuple(self.vectors.pop(v, ONES) if v in step else ONES for v in order)
        out = place[near[1]] if len(near) == 2 else 0
        reach = 2
        if len(near) == 2 and frozenset(near) in self.matrices:
            reach = self.builder.reach[self.matrices.pop(frozenset(near))]
        result = self.builder.emit("join", out, vectors, tuple(sorted(factors)), reach=reach)
        if len(near) == 2:
            self.matrices[frozenset(near)] = result
        elif len(near) == 1:
            self.add_vector(near[0], result)
        else:
            self.scalars.append(self.builder.emit("total", result))
        self._drop(step)

    def _drop(self, step: Iterable[int]) -> None:
        gone = set(step)
        self.matrices = {pair: matrix for pair, matrix in self.matrices.items() if not pair & gone}


def cheapest_order(reaches: Reaches, free: Iterable[int]) -> list[Step]:
    """The steps by which the free nodes leave at the least estimated cost.

    Args:
        reaches: How many edges the factor on each joined pair of nodes spans.
        free: The nodes that have to leave.
    """
    best: dict[Step, tuple[float, list[Step]]] = {}

    def search(state: Reaches, left: Step) -> tuple[float, list[Step]]:
        if not left:
            return 0.0, []
        if left not in best:
            choices = []
            for step in _possible_steps(state, left):
                cost, after = _simulate(state, step)
                more, steps = search(after, left - step)
                choices.append((cost + more, [step, *steps]))
            best[left] = min(choices, key=lambda choice: choice[0])
        return best[left]

    return search(reaches, frozenset(free))[1]


def _boundary(pairs: Iterable[frozenset[int]], step: Step) -> set[int]:
    return {v for pair in pairs if pair & step for v in pair} - step


def _possible_steps(state: Reaches, left: Step) -> list[Step]:
    """Single nodes of at most two neighbours; without any, the smallest sets of nodes that have as few."""
    for size in range(1, len(left) + 1):
        steps = [frozenset(nodes) for nodes in combinations(sorted(left), size)]
        steps = [step for step in steps if len(_boundary(state, step)) <= 2 and _is_connected(state, step)]
        if steps:
            return steps
    raise AssertionError("all free nodes of a component together have at most two neighbours, the pins")


def _is_connected(state: Reaches, step: Step) -> bool:
    reached, before = {min(step)}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {v for pair in state if pair <= step and pair & reached for v in pair}
    return len(reached) == len(step)


def _simulate(state: Reaches, step: Step) -> tuple[float, Reaches]:
    """The cost per node of the graph, and what is left."""
    near = frozenset(_boundary(state, step))
    touched = [reach for pair, reach in state.items() if pair & step]
    after = {pair: reach for pair, reach in state.items() if not pair & step}
    if len(near) < 2:
        return _DEGREE ** (max(touched, default=0) + len(step) - 1), after
    mask = state.get(near)
    if len(step) > 1:
        after[near] = 2 if mask is None else mask
        return _DEGREE ** (sum(sorted(touched)[: len(step) + 1])), after
    span = sum(touched)
    after[near] = span if mask is None else min(mask, span)
    if mask is None or span <= mask:
        return 2 * _DEGREE ** (span + 1), after  # new entries have to be located and stored: dearer than sums on a mask
    return _DEGREE ** (mask + min(touched)), after
