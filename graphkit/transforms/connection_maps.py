"""Restriction maps from local geometry: tangent bases and their alignment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.validate import check_edge_index
from graphkit.transforms.base import Precompute


class ConnectionMaps(Precompute):
    r"""Adds ``restriction_maps``: orthogonal maps that align the local principal components of neighbours.

    From `"Sheaf Neural Networks with Connection Laplacians" <https://arxiv.org/abs/2206.08702>`_ (Barbero et al.,
    2022). The map of column :math:`(i, j)` belongs to :math:`i`; see :func:`tangent_bases` and :func:`alignments`. A
    graph without edges has no maps and needs no bases. Features of all nodes are used, labels of none.

    Args:
        stalk_dim: The dimension of stalks (default: 2).

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

    def __init__(self, stalk_dim: int = 2) -> None:
        self.stalk_dim = stalk_dim

    def forward(self, data: Data) -> Data:
        """Add the maps to ``data`` (a shallow copy when called through ``transform(data)``)."""
        x = data.x.to_dense() if data.x.is_sparse_csr else data.x
        if data.edge_index.size(1) == 0:
            data.restriction_maps = x.new_empty(0, self.stalk_dim, self.stalk_dim)
            return data
        bases, _ = tangent_bases(x, data.edge_index, self.stalk_dim)
        data.restriction_maps = maps_of_transports(alignments(bases, data.edge_index), data.edge_index)
        return data


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
    if dim > p or dim > n - 1:
        raise ValueError(
            f"tangent bases of dimension {dim} need at least {dim} features and {dim + 1} nodes, the graph has {p} and "
            f"{n}; use a smaller stalk dimension"
        )
    order = (edge_index[0] * n + edge_index[1]).unique()
    neighbours = list((order % n).split(torch.bincount(order // n, minlength=n).tolist()))
    for i, near in enumerate(neighbours):
        if near.numel() < dim:
            distance = (x - x[i]).norm(dim=1)
            distance[torch.cat([near, near.new_tensor([i])])] = torch.inf
            borrowed = distance.argsort(stable=True)[: dim - near.numel()]
            neighbours[i] = torch.cat([near, borrowed])
    bases = x.new_empty(n, p, dim)
    counts = torch.tensor([near.numel() for near in neighbours])
    for count in counts.unique().tolist():
        nodes = (counts == count).nonzero().squeeze(1)
        near = torch.stack([neighbours[i] for i in nodes.tolist()])
        differences = (x[near] - x[nodes, None]).mT
        bases[nodes] = torch.linalg.svd(differences, full_matrices=False)[0][..., :dim]
    largest = bases.gather(1, bases.abs().argmax(1, keepdim=True))
    return bases * torch.where(largest < 0, -1.0, 1.0).to(x.dtype), neighbours


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
    i, j = edge_index
    forward = i < j  # one decomposition per pair, so that both directions agree even where it is not unique
    low, high = torch.where(forward, i, j), torch.where(forward, j, i)
    pairs, position = torch.stack([low, high]).unique(dim=1, return_inverse=True)
    left, _, right = torch.linalg.svd(bases[pairs[0]].mT @ bases[pairs[1]])
    transport = (left @ right)[position]
    return torch.where(forward[:, None, None], transport, transport.mT)


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
