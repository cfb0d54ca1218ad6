"""Restriction maps from local geometry: tangent bases and their alignment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Seed
from graphkit.core.validate import check_edge_index, check_features
from graphkit.transforms.base import Precompute

Connection = Literal["features", "random_nodes", "random_edges"]
_CHUNK = 2**23  # numbers per block of distances


class ConnectionMaps(Precompute):
    r"""Adds ``restriction_maps``: orthogonal maps that align the local principal components of neighbours.

    From `"Sheaf Neural Networks with Connection Laplacians" <https://arxiv.org/abs/2206.08702>`_ (Barbero et al.,
    2022). The map of column :math:`(i, j)` belongs to :math:`i`; see :func:`tangent_bases` and :func:`alignments`. A
    graph without edges has no maps and needs no bases. Features of all nodes are used, labels of none.

    Args:
        stalk_dim: The dimension of stalks (default: 2).
        connection: ``"features"`` as above, or one of the paper's controls, which know nothing about the features:
            ``"random_nodes"`` aligns random bases, ``"random_edges"`` takes a random orthogonal map per edge, both
            uniform (Haar) (default: ``"features"``).
        seed: The seed of the controls (default: 0).

    Shapes:
        ``restriction_maps``: ``[num_edges, stalk_dim, stalk_dim]``

    Raises:
        ValueError: If a graph with edges has fewer features or other nodes than ``stalk_dim``.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> ConnectionMaps(2)(Data(x=torch.randn(3, 4), edge_index=edge_index)).restriction_maps.shape
        torch.Size([4, 2, 2])
    """

    expensive = True

    def __init__(self, stalk_dim: Count = 2, connection: Connection = "features", seed: Seed = 0) -> None:
        self.stalk_dim = stalk_dim
        self.connection = connection
        self.seed = seed

    @torch.no_grad()
    def forward(self, data: Data) -> Data:
        """Add the maps to ``data`` (a shallow copy when called through ``transform(data)``)."""
        if data.x is None:
            raise ValueError("ConnectionMaps reads node features, but the graph has no x")
        x = data.x.to_dense() if data.x.is_sparse_csr else data.x
        check_features(x, "ConnectionMaps")
        if data.edge_index.size(1) == 0:
            data.restriction_maps = x.new_empty(0, self.stalk_dim, self.stalk_dim)
            return data
        data.restriction_maps = maps_of_transports(self._transport(x, data.edge_index), data.edge_index)
        return data

    def _transport(self, x: Tensor, edge_index: Tensor) -> Tensor:
        generator, d = torch.Generator().manual_seed(self.seed), self.stalk_dim
        if self.connection == "random_edges":
            pairs, position, forward = _pairs(edge_index)
            transport = _haar(pairs.size(1), d, d, generator).to(x)[position]
            return torch.where(forward[:, None, None], transport, transport.mT)
        if self.connection == "random_nodes":
            _check_fits(x, d)
            return alignments(_haar(x.size(0), x.size(1), d, generator).to(x), edge_index)
        return alignments(tangent_bases(x, edge_index, d)[0], edge_index)


def _haar(count: int, rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Uniformly distributed matrices with orthonormal columns."""
    q, r = torch.linalg.qr(torch.randn(count, rows, columns, generator=generator, dtype=torch.float64))
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def tangent_bases(x: Tensor, edge_index: Tensor, dim: int) -> tuple[Tensor, list[Tensor]]:
    r"""An orthonormal basis of the features around each node, by local principal components.

    From `"Sheaf Neural Networks with Connection Laplacians" <https://arxiv.org/abs/2206.08702>`_ (Barbero et al.,
    2022), after Singer and Wu (2012). The basis of node :math:`i` holds the first ``dim`` left singular vectors of
    :math:`[x_j - x_i]_j` over its neighbours :math:`j`. Nodes with fewer than ``dim`` neighbours borrow the nearest
    other nodes. Signs are fixed (the largest entry of a column is positive), directions beyond the rank are arbitrary.

    Args:
        x: Node features.
        edge_index: Both directions of every edge; columns :math:`(i, j)`.
        dim: The number of basis vectors, at most the number of features and of other nodes.

    Shapes:
        - **x:** :math:`(N, p)`
        - **output:** bases :math:`(N, p, d)`, and for each node the ids of the nodes that were used, neighbours in
          increasing order before borrowed nodes, nearest first

    Raises:
        ValueError: If there are fewer features or other nodes than ``dim``.

    Example:
        >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
        >>> bases, used = tangent_bases(x, torch.tensor([[0, 1], [1, 0]]), 1)
        >>> bases[0].tolist(), used[2].tolist()
        ([[1.0], [0.0]], [0])
    """
    n, p = x.shape
    check_edge_index(edge_index, n, "tangent_bases")
    _check_fits(x, dim)
    order = (edge_index[0] * n + edge_index[1]).unique()
    neighbours = list((order % n).split(torch.bincount(order // n, minlength=n).tolist()))
    few = [i for i, near in enumerate(neighbours) if near.numel() < dim]
    for i, borrowed in zip(few, _nearest(x, few, [neighbours[i] for i in few], dim), strict=True):
        neighbours[i] = torch.cat([neighbours[i], borrowed])
    bases = x.new_empty(n, p, dim)
    counts = torch.tensor([near.numel() for near in neighbours])
    for count in counts.unique().tolist():
        nodes = (counts == count).nonzero().squeeze(1)
        near = torch.stack([neighbours[i] for i in nodes.tolist()])
        differences = (x[near] - x[nodes, None]).mT
        bases[nodes] = _left_singular(differences, dim)
    largest = bases.gather(1, bases.abs().argmax(1, keepdim=True))
    return bases * torch.where(largest < 0, -1.0, 1.0).to(x.dtype), neighbours


def _nearest(x: Tensor, nodes: list[int], near: list[Tensor], wanted: int) -> Iterator[Tensor]:
    """For each node as many nearest nodes as ``near`` lacks of ``wanted``; of equally near ones the first."""
    wide = x.double()
    norm = wide.square().sum(1)
    slack = 1e-9 * norm.max()  # what squared distances from products may be off by
    rows = max(1, _CHUNK // max(1, x.size(0)))
    for start in range(0, len(nodes), rows):
        chunk = nodes[start : start + rows]
        squared = norm[chunk, None] + norm - 2 * wide[chunk] @ wide.t()
        for i, row, known in zip(chunk, squared, near[start : start + rows], strict=True):
            row[known], row[i] = torch.inf, torch.inf
            missing = wanted - known.numel()
            candidates = (row <= row.kthvalue(missing).values + slack).nonzero().squeeze(1)
            exact = (x[candidates] - x[i]).norm(dim=1)
            yield candidates[exact.argsort(stable=True)[:missing]]


def _check_fits(x: Tensor, dim: int) -> None:
    """Raise a ``ValueError`` if the graph is too small for bases of dimension ``dim``."""
    n, p = x.shape
    if dim > p or dim > n - 1:
        raise ValueError(
            f"tangent bases of dimension {dim} need at least {dim} features and {dim + 1} nodes, the graph has {p} and "
            f"{n}; use a smaller stalk dimension"
        )


def _left_singular(m: Tensor, dim: int) -> Tensor:
    """The first left singular vectors of matrices ``[b, p, n]``; of tall ones through the small Gram matrices."""
    if m.size(2) >= m.size(1):
        return torch.linalg.svd(m, full_matrices=False)[0][..., :dim]
    tall = m.double()
    values, vectors = torch.linalg.eigh(tall.mT @ tall)
    values, vectors = values[:, -dim:].flip(1), vectors[..., -dim:].flip(2)
    left = (tall @ (vectors * values.clamp(min=torch.finfo(values.dtype).tiny).rsqrt()[:, None])).to(m.dtype)
    vague = values[:, -1] <= 1e-6 * values[:, 0]  # squared singular values: too close to rounding
    if bool(vague.any()):
        left[vague] = torch.linalg.svd(m[vague], full_matrices=False)[0][..., :dim]
    return left


def alignments(bases: Tensor, edge_index: Tensor) -> Tensor:
    r"""Orthogonal maps that carry stalks along edges: :math:`O_{ij} = U V^\top` with :math:`U S V^\top = O_i^\top O_j`.

    Args:
        bases: A basis per node.
        edge_index: Both directions of every edge; column :math:`(i, j)` gets :math:`O_{ij}`, which carries the stalk of
            :math:`j` to :math:`i`.

    Shapes:
        - **bases:** :math:`(N, p, d)`
        - **output:** :math:`(E, d, d)`, with :math:`O_{ji} = O_{ij}^\top`

    Example:
        >>> alignments(torch.tensor([[[1.0]], [[-1.0]]]), torch.tensor([[0, 1], [1, 0]])).flatten().tolist()
        [-1.0, -1.0]
    """
    pairs, position, forward = _pairs(edge_index)
    left, _, right = torch.linalg.svd(bases[pairs[0]].mT @ bases[pairs[1]])
    transport = (left @ right)[position]
    return torch.where(forward[:, None, None], transport, transport.mT)


def _pairs(edge_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Node pairs, smaller node first, the pair of each column, and whether the column starts at the smaller node.

    A map drawn or computed once per pair is the same in both directions, even where it is not unique.
    """
    i, j = edge_index
    forward = i < j
    low, high = torch.where(forward, i, j), torch.where(forward, j, i)
    pairs, position = torch.stack([low, high]).unique(dim=1, return_inverse=True)
    return pairs, position, forward


def maps_of_transports(transport: Tensor, edge_index: Tensor) -> Tensor:
    r"""Restriction maps with :math:`F_i^\top F_j = O_{ij}`.

    The larger node of an edge gets the identity, the smaller one :math:`O_{ij}^\top`.

    Args:
        transport: :math:`O_{ij}` for each column :math:`(i, j)`.
        edge_index: Both directions of every edge.

    Shapes:
        - **transport, output:** :math:`(E, d, d)`

    Example:
        >>> maps_of_transports(torch.tensor([[[-1.0]], [[-1.0]]]), torch.tensor([[0, 1], [1, 0]])).flatten().tolist()
        [-1.0, 1.0]
    """
    eye = torch.eye(transport.size(1), dtype=transport.dtype, device=transport.device)
    return torch.where((edge_index[0] < edge_index[1])[:, None, None], transport.mT, eye)
