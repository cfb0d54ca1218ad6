"""Equivariant polynomials of the graph as features of nodes, pairs of nodes or graphs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.polynomials.evaluation import PPGN_CHANNELS, equivariant_polynomials
from graphkit.algorithms.polynomials.multigraphs import Multigraph, connected_multigraphs
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, NonNegativeInt, OneOf, not_empty
from graphkit.core.graph_input import as_tensor
from graphkit.core.validate import check_edge_index
from graphkit.transforms.base import float_dtype
from graphkit.transforms.features.base import NodeFeatures

PINS = {"graph": 0, "node": 1, "pair": 2}

P = TypeVar("P", bound="_Polynomials")


class _Polynomials(NodeFeatures):
    """Computes the channels of a basis, normalises them and writes them where models read them.

    Usual arguments:
        max_entries: The largest number of entries of a sparse matrix on the way, 12 bytes each (default: 100 million).
    """

    channels: Sequence[int] | None
    normalize: str | None
    max_entries: int
    num_relations: int = 1

    @abstractmethod
    def basis(self) -> tuple[Multigraph, ...]:
        """The multigraph of each channel, before a choice of channels."""

    @abstractmethod
    def pairwise(self) -> bool:
        """Whether channels are written per pair of nodes rather than per node."""

    def chosen(self) -> list[Multigraph]:
        """The multigraph of each channel that is computed."""
        basis = self.basis()
        channels = range(len(basis)) if self.channels is None else self.channels
        wrong = [channel for channel in channels if not 0 <= channel < len(basis)]
        if wrong:
            raise ValueError(f"{type(self).__name__}: channel {wrong[0]} does not exist, there are 0..{len(basis) - 1}")
        return [basis[channel] for channel in channels]

    def without_zeros(self: P, graphs: Iterable[Data]) -> P:
        """The same transform with only those channels that are not zero on all of some graphs.

        Give it the graphs to train on, so that training and test graphs keep the same channels.
        """
        channels = list(range(len(self.basis()))) if self.channels is None else self.channels
        nonzero: set[int] = set()
        for graph in graphs:
            missing = [channel for channel in channels if channel not in nonzero]
            if not missing:
                break
            part = self._with_channels(missing)
            nonzero |= {channel for channel, value in zip(missing, part._values(graph)) if _is_nonzero(value)}
        return self._with_channels(sorted(nonzero))

    def _with_channels(self: P, channels: list[int]) -> P:
        return type(self).from_config(self.config() | {"channels": channels})

    def _values(self, data: Data) -> list[Any]:
        return equivariant_polynomials(
            _matrices(data, self.num_relations, type(self).__name__), self.chosen(), self.max_entries
        )

    def forward(self, data: Data) -> Data:
        """Add the channels to ``data`` (a shallow copy when called through ``transform(data)``)."""
        if not self.pairwise():
            return super().forward(data)
        n = int(data.num_nodes or 0)
        index, table = _pair_table(self._values(data), n, self.max_entries, type(self).__name__)
        data.polynomial_index, data.polynomial_attr = index, self._normalized(table).to(float_dtype(data))
        return data

    def columns(self, data: Data) -> Tensor:
        """The channels ``[num_nodes, num_channels]``."""
        n = int(data.num_nodes or 0)
        values = self._values(data)
        table = np.empty((n, len(values)))
        for column, value in enumerate(values):
            table[:, column] = value
        return self._normalized(table)

    def _normalized(self, table: np.ndarray) -> Tensor:
        if self.normalize == "log":
            table = np.sign(table) * np.log1p(np.abs(table))
        elif self.normalize == "unit":
            for axis in (1, 0):
                length = np.linalg.norm(table, axis=axis, keepdims=True)
                table = table / np.where(length == 0, 1, length)
        return torch.from_numpy(np.ascontiguousarray(table))


class EquivariantPolynomials(_Polynomials):
    r"""Adds all equivariant polynomials of the adjacency matrix up to some degree, per node, pair of nodes or graph.

    From `"Equivariant Polynomials for Graph Neural Networks" <https://arxiv.org/abs/2302.11556>`_ (Puny, Lim, Kiani,
    Maron, Lipman, ICML 2023).

    .. math::
        P_H(X)_{i_a, i_b} = \sum_{\varphi:\, \varphi(a) = i_a,\, \varphi(b) = i_b} \;
        \prod_{(r, s) \in E(H)} X_{\varphi(r), \varphi(s)}

    for all connected multigraphs :math:`H` of at most ``degree`` edges and their pins :math:`a, b`, over all maps
    :math:`\varphi` of their nodes to the graph's (not only injective ones); :math:`X_{ij}` is the weight of the edge
    from :math:`i` to :math:`j` (parallel edges add up). See :func:`~graphkit.algorithms.equivariant_polynomials`. There
    are 58 channels of nodes up to degree 5, and 172 up to degree 6.

    Features of nodes and graphs are appended to ``data.x``, a graph's to every node. Those of pairs become
    ``polynomial_index`` and ``polynomial_attr``, which :class:`~graphkit.models.PPGNpp` reads; PyG batches them
    correctly.

    Args:
        degree: The largest number of edges of :math:`H` (default: 5).
        pins: ``"node"``, ``"pair"`` or ``"graph"`` (default: ``"node"``).
        multigraphs: Whether :math:`H` may have parallel edges and self-loops, which matter where the graph has weights
            or self-loops (default: ``False``).
        directed: Whether directions of the edges of :math:`H` make a difference, for directed graphs (default:
            ``False``, one direction of each).
        num_relations: The number of kinds of edges, read from ``edge_type``; edges of :math:`H` have kinds, too
            (default: 1, all alike).
        channels: The numbers of the channels to keep, e.g. those that :meth:`without_zeros` finds (default: all).
        normalize: ``"log"`` for :math:`\operatorname{sign}(p) \log(1 + |p|)`, ``"unit"`` for vectors of unit length
            over the channels of each node or pair, then over the rows of each channel, ``None`` for plain counts
            (default: ``"log"``).
        max_entries: The largest number of entries of a sparse matrix on the way, 12 bytes each (default: 100 million).

    Shapes:
        - ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + channels]`` (pins ``"node"`` and ``"graph"``)
        - ``polynomial_index``: ``[2, num_pairs]``, row and column of each pair with a channel that is not zero (pins
          ``"pair"``)
        - ``polynomial_attr``: ``[num_pairs, channels]``

    Raises:
        ValueError: If an argument is out of range or unknown, a weight is not finite, or memory would not suffice.

    Example:
        >>> triangle = Data(edge_index=torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]]), num_nodes=3)
        >>> transform = EquivariantPolynomials(degree=3, normalize=None)
        >>> [h.edges for h in transform.chosen()][:3]
        [((0, 1),), ((0, 1), (0, 2)), ((0, 1), (1, 2))]
        >>> transform(triangle).x[0].tolist()
        [2.0, 4.0, 4.0, 8.0, 2.0, 8.0, 8.0, 8.0]
    """

    checks = Checks(
        [
            {"degree": 3},
            {"degree": 2, "pins": "graph", "multigraphs": True, "directed": True, "normalize": None},
            {"degree": 3, "pins": "pair", "normalize": "unit"},
        ]
    )

    def __init__(
        self,
        degree: Count = 5,
        pins: Annotated[str, OneOf(PINS)] = "node",
        multigraphs: bool = False,
        directed: bool = False,
        num_relations: Count = 1,
        channels: Annotated[Sequence[NonNegativeInt], not_empty] | None = None,
        normalize: Literal["log", "unit"] | None = "log",
        max_entries: Count = 10**8,
    ) -> None:
        self.degree, self.num_relations, self.pins = degree, num_relations, pins
        self.multigraphs, self.directed = multigraphs, directed
        self.channels, self.max_entries = channels, max_entries
        self.normalize = normalize

    def basis(self) -> tuple[Multigraph, ...]:
        return connected_multigraphs(
            self.degree, PINS[self.pins], not self.multigraphs, self.directed, self.num_relations
        )

    def pairwise(self) -> bool:
        return self.pins == "pair"


class PPGNPolynomials(_Polynomials):
    r"""Adds the twelve polynomials of degree 5 and 6 that PPGN cannot compute: with them it becomes PPGN++.

    From `"Equivariant Polynomials for Graph Neural Networks" <https://arxiv.org/abs/2302.11556>`_ (Puny, Lim, Kiani,
    Maron, Lipman, ICML 2023). As in the official code, the channels of the complete graph of four nodes without pins
    and with one are written per pair, too: to all pairs and to the diagonal.

    Where sources differ: the official code reads pins in the order of their labels instead of their own, which for
    symmetric matrices makes channels 5 and 6, 7 and 8, 9 and 10 equal. Here the first of each two is the transpose,
    unless ``official_duplicates``. The official code drops channels that are zero on all of a split, for each split on
    its own; here ``channels`` says which stay, on all graphs (see :meth:`without_zeros`). Molecules, which have no four
    atoms in mutual bonds, lack channels 1, 2 and 3.

    Args:
        channels: The numbers of the channels to keep (default: all twelve).
        official_duplicates: Whether pins are read in the order of their labels (default: ``False``).
        normalize: ``"unit"`` for vectors of unit length over the channels of each pair, then over the pairs of each
            channel, as officially for molecules; ``None`` for plain counts, as officially for strongly regular graphs;
            ``"log"`` for :math:`\operatorname{sign}(p) \log(1 + |p|)` (default: ``"unit"``).
        max_entries: The largest number of entries of a sparse matrix on the way, 12 bytes each (default: 100 million).

    Shapes:
        - ``polynomial_index``: ``[2, num_pairs]``, row and column of each pair with a channel that is not zero
        - ``polynomial_attr``: ``[num_pairs, channels]``

    Raises:
        ValueError: If a channel does not exist, a weight is not finite, or memory would not suffice.

    Example:
        >>> complete = Data(edge_index=(1 - torch.eye(4)).nonzero().t(), num_nodes=4)
        >>> data = PPGNPolynomials(normalize=None)(complete)
        >>> data.polynomial_attr[data.polynomial_index[0] == 0][:2, :4].tolist()
        [[6.0, 24.0, 6.0, 0.0], [2.0, 24.0, 0.0, 2.0]]
    """

    checks = Checks([{}, {"official_duplicates": True, "normalize": None, "channels": [1, 2, 5]}])

    def __init__(
        self,
        channels: Annotated[Sequence[NonNegativeInt], not_empty] | None = None,
        official_duplicates: bool = False,
        normalize: Literal["log", "unit"] | None = "unit",
        max_entries: Count = 10**8,
    ) -> None:
        self.channels, self.official_duplicates = channels, official_duplicates
        self.normalize, self.max_entries = normalize, max_entries

    def basis(self) -> tuple[Multigraph, ...]:
        if self.official_duplicates:
            return tuple(Multigraph(h.edges, tuple(sorted(h.pins))) for h in PPGN_CHANNELS)
        return PPGN_CHANNELS

    def pairwise(self) -> bool:
        return True


def _matrices(data: Data, num_relations: int, where: str) -> list[Any]:
    """One sparse matrix per kind of edges."""
    from scipy.sparse import coo_array

    n = int(data.num_nodes or 0)
    check_edge_index(data.edge_index, n, where)
    ends = data.edge_index.cpu().numpy()
    weight = data.get("edge_weight")
    values = np.ones(ends.shape[1]) if weight is None else weight.detach().cpu().double().view(-1).numpy()
    if num_relations == 1:
        return [coo_array((values, tuple(ends)), (n, n)).tocsr()]
    problem, kind = "no edge_type", data.get("edge_type")
    if kind is not None:
        kind, problem = as_tensor(kind, f"{where}: edge_type"), ""
        if kind.is_floating_point() or kind.shape != data.edge_index.shape[1:]:
            problem = f"an edge_type of {kind.dtype} and shape {list(kind.shape)}; give one integer for each edge"
        elif bool(((kind < 0) | (kind >= num_relations)).any()):
            problem = f"an edge_type outside 0..{num_relations - 1}"
    if problem:
        raise ValueError(f"{where}: num_relations={num_relations}, but the graph has {problem}")
    of_kind = [kind.cpu().numpy() == k for k in range(num_relations)]
    return [coo_array((values[chosen], tuple(ends[:, chosen])), (n, n)).tocsr() for chosen in of_kind]


def _is_nonzero(value: Any) -> bool:
    return bool(np.any(value.data if hasattr(value, "indptr") else value))


def _pair_table(values: list[Any], n: int, limit: int, where: str) -> tuple[Tensor, np.ndarray]:
    """The pairs where any channel is not zero, sorted, and all channels there."""
    keys, entries = [], []
    for value in values:
        if not _is_nonzero(value):
            keys.append(np.empty(0, np.int64))
            entries.append(np.empty(0))
        elif isinstance(value, float):
            if n * n > limit:
                raise ValueError(
                    f"{where}: a channel without pins fills all {n * n:,} pairs of {n} nodes, more than "
                    f"max_entries={limit:,}; leave it out with channels=[...], or allow more"
                )
            keys.append(np.arange(n * n))
            entries.append(np.full(n * n, value))
        elif isinstance(value, np.ndarray):
            keys.append(np.arange(n) * (n + 1))
            entries.append(value)
        else:
            rows = np.repeat(np.arange(n), np.diff(value.indptr))
            keys.append(rows * n + value.indices)
            entries.append(value.data)
    masks = [value != 0 for value in entries]
    pairs = np.unique(np.concatenate([key[mask] for key, mask in zip(keys, masks)])) if keys else np.empty(0, np.int64)
    table = np.zeros((pairs.size, len(values)))
    for column, (key, value, mask) in enumerate(zip(keys, entries, masks)):
        table[np.searchsorted(pairs, key[mask]), column] = value[mask]
    return torch.from_numpy(np.stack([pairs // max(n, 1), pairs % max(n, 1)])), table
