"""What the directions of edges tell about labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from graphkit.core.constraints import Count, Seed, checked
from graphkit.core.display import html_table
from graphkit.transforms.directed_patterns import PATTERNS

_SYMMETRIC = {"u": ("both",), "uu": ("both", "both")}


@dataclass(frozen=True)
class Informativeness:
    """How much the label at the other end of a pattern tells.

    Attributes:
        value: The mutual information of both labels, relative to the entropy of the first one.
        chance: Its mean where labels are shuffled.
        deviation: Its standard deviation there.
        num_pairs: How many pairs of labelled nodes the pattern joins.
    """

    value: float
    chance: float
    deviation: float
    num_pairs: int

    @property
    def excess(self) -> float:
        """What is there beyond chance."""
        return self.value - self.chance


@dataclass(frozen=True, repr=False)
class DirectedReport:
    """Which patterns tell about labels, see :func:`directed_patterns`.

    Attributes:
        patterns: The directed patterns ``a``, ``at``, ``aa``, ``aat``, ``ata`` and ``atat``, and those of the graph
            without directions, ``u`` and ``uu``.
        best: The directed pattern that tells most.
        symmetrize: Whether the graph loses nothing by losing its directions: no directed pattern tells more than the
            better one of ``u`` and ``uu``, by twice the standard deviation of their difference by chance.
    """

    patterns: dict[str, Informativeness]
    best: str
    symmetrize: bool

    def rows(self) -> list[list[str]]:
        """The table: a row per pattern, the most telling first."""
        ranked = sorted(self.patterns.items(), key=lambda item: -item[1].excess)
        cells = [
            [name, f"{one.value:.4f}", f"{one.chance:.4f} ± {one.deviation:.4f}", f"{one.num_pairs}"]
            for name, one in ranked
        ]
        return [["pattern", "informativeness", "by chance", "pairs"], *cells]

    def advice(self) -> str:
        """What to do with the directions of edges."""
        if self.symmetrize:
            return "directions tell nothing beyond the undirected graph: symmetrise"
        return f"keep directions: {self.best} tells more than the undirected graph"

    def __str__(self) -> str:
        lines = [f"{name:<8}{value:>16}{chance:>20}{pairs:>12}" for name, value, chance, pairs in self.rows()]
        return "\n".join([*lines, self.advice()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.advice(), self.rows(), header=True)


@checked
def directed_patterns(task: Any, repeats: Count = 20, seed: Seed = 0) -> DirectedReport:
    r"""Which directed patterns of a graph carry information on labels, and whether to make it undirected.

    For a pattern :math:`M`, one of :math:`A, A^\top, A A, A A^\top, A^\top A, A^\top A^\top` with :math:`A_{uv} = 1`
    for an edge :math:`u \to v`, and for the graph without directions, :math:`U` and :math:`U U`: draw a pair of
    different nodes with a probability proportional to :math:`M_{uv}` and tell how much :math:`y_v` says of :math:`y_u`,

    .. math::
        \frac{I(y_u; y_v)}{H(y_u)} \in [0, 1],

    the label informativeness of `"Characterizing Graph Datasets for Node Classification"
    <https://arxiv.org/abs/2209.06177>`_ (Platonov et al., NeurIPS 2023), of a pattern. Few pairs seem to tell something
    even where labels are drawn at random, so it is measured with shuffled labels, too. The labels are those that
    training knows; self-loops and repeated edges do not count. Products of matrices are never formed, so the cost is
    :math:`O(|E| C)` with :math:`C` classes, whatever the degrees.

    It is a measure of ours: not the one by which the authors of :class:`~graphkit.models.ADPA` choose.

    Args:
        task: A task of one graph whose nodes have classes.
        repeats: How often labels are shuffled (default: 20).
        seed: The seed of the shuffles (default: 0).

    Raises:
        ValueError: If nodes have no classes, or no edge joins two that training knows.

    Example:
        >>> import graphkit as gk
        >>> directed_patterns(gk.load("karate")).symmetrize
        True
    """
    if getattr(task, "kind", None) != "node" or not task.num_classes:
        raise ValueError(f"directed_patterns: task {task.name!r} has no classes of nodes; pass a NodeTask with classes")
    factors, known = _factors(task.data), task.split.train.numpy()
    labels = task.target.class_ids(task.labels[task.split.train]).numpy()
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(labels) for _ in range(repeats)]
    patterns = {}
    for name, pattern in factors.items():
        measure = _Pattern(pattern, known, task.num_classes)
        counts, chance = measure.pairs(labels), [_informativeness(measure.pairs(other)) for other in shuffled]
        value = _informativeness(counts)
        patterns[name] = Informativeness(value, float(np.mean(chance)), float(np.std(chance)), int(counts.sum()))
    if not any(one.num_pairs for one in patterns.values()):
        raise ValueError(f"directed_patterns: no edge or path of two joins training nodes of task {task.name!r}")
    best, plain = (max(names, key=lambda name: patterns[name].excess) for names in (PATTERNS, _SYMMETRIC))
    gain = patterns[best].excess - patterns[plain].excess
    noise = math.hypot(patterns[best].deviation, patterns[plain].deviation)
    return DirectedReport(patterns, best, gain <= 2 * noise)


def _factors(data: Any) -> dict[str, list[Any]]:
    """The factors of each pattern, from the left, of the simple graph."""
    source, target = data.edge_index.cpu().numpy()[:, (data.edge_index[0] != data.edge_index[1]).cpu().numpy()]
    out = sparse.csr_array((np.ones(source.size), (source, target)), shape=(data.num_nodes,) * 2)
    out.sum_duplicates()
    out.data[:] = 1
    sides = {"out": out, "in": out.T.tocsr(), "both": out.maximum(out.T).tocsr()}
    return {name: [sides[side] for side in sequence] for name, sequence in (PATTERNS | _SYMMETRIC).items()}


class _Pattern:
    """A pattern between known nodes of a number of classes."""

    def __init__(self, factors: Sequence[Any], known: np.ndarray, num_classes: int) -> None:
        self.factors, self.known, self.shape = factors, known, (factors[0].shape[0], num_classes)
        closed = factors[0].multiply(factors[1].T).sum(1) if len(factors) == 2 else np.zeros(self.shape[0])
        self.closed = np.asarray(closed).ravel()[known]  # paths of two that end where they began

    def pairs(self, labels: np.ndarray) -> np.ndarray:
        """How many pairs of different known nodes have each pair of classes."""
        classes = np.zeros(self.shape)
        classes[self.known, labels] = 1
        reached = classes
        for factor in reversed(self.factors):
            reached = factor @ reached
        return classes.T @ reached - np.diag(np.bincount(labels, self.closed, minlength=self.shape[1]))


def _informativeness(pairs: np.ndarray) -> float:
    """The mutual information of both ends' classes over the entropy of the first one; 0 where that is 0."""
    joint = pairs / max(pairs.sum(), 1)
    first, second, both = (_entropy(share) for share in (joint.sum(1), joint.sum(0), joint.ravel()))
    return (first + second - both) / first if first > 0 else 0.0


def _entropy(share: np.ndarray) -> float:
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())
