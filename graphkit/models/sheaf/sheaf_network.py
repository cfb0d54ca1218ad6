"""The sheaf neural network of a given sheaf."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Activation, Channels, Count, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import Linear, dropout
from graphkit.nn.sheaf import GivenSheafConv, SheafLaplacian, given_laplacian, sheaf_graph, signed_maps
from graphkit.transforms import SparseFeatures, Undirected

_UNTRACED = "how many pairs of nodes have an edge follows from the contents of edges"


class SheafNetwork(LayeredModel):
    r"""Graph convolutions with the Laplacian of a sheaf that is part of the data.

    From `"Sheaf Neural Networks" <https://arxiv.org/abs/2012.06333>`_ (Hansen and Gebhart, 2020).

    .. math::
        X^{(l+1)} = \rho\bigl(H (I \otimes B_l) X^{(l)} A_l\bigr), \qquad H = I - D^{-1/2} L D^{-1/2}

    with the sheaf Laplacian :math:`L` and its diagonal blocks :math:`D` (the root is that of the pseudo-inverse);
    :math:`B_l` acts on stalks, :math:`A_l` on channels, and the last layer has no :math:`\rho`. The sheaf is known
    beforehand: signs or types of edges, rotations between frames. Without one (``maps=None``) it is constant, and the
    model the graph convolution to compare with.

    Features are lifted to the stalks by a linear map, so that their number need not be a multiple of ``stalk_dim``; the
    paper takes them as stalks. No official code is known.

    Args:
        hidden_channels: The number of channels of each stalk coordinate (default: 32).
        num_layers: The number of convolutions (default: 3).
        stalk_dim: The dimension :math:`k` of stalks (default: 1).
        maps: The attribute of the data that holds the sheaf: a signed weight per edge ``[num_edges]``, the same in both
            directions (positive weights pull the ends together, negative ones to opposite signs), or the restriction
            map of each edge's first node, ``[num_edges, k]`` if diagonal, else ``[num_edges, q, k]``; ``None`` for the
            constant sheaf (default: ``None``).
        dropout: The probability of dropping an entry before each convolution (default: 0).
        act: :math:`\rho` by PyG's names (default: ``"relu"``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and both directions of every
          edge in ``edge_index``; without ``maps`` the trainer makes any graph so
        - **states:** ``[num_nodes, stalk_dim * hidden_channels]``

    Raises:
        ValueError: If the graph is not undirected and simple, or the sheaf is missing, of another shape, or not the
            same in both directions of an edge.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> data = Data(x=torch.ones(3, 4), edge_index=edge_index, sign=torch.tensor([1.0, 1.0, -1.0, -1.0]))
        >>> SheafNetwork(4, 8, out_channels=2, maps="sign")(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [{"dropout": 0.5}, {"stalk_dim": 2, "readout": "mean"}],
        expected_failures=untraced(_UNTRACED),
    )

    reads = Reads(direction=False, edge_weight=True, edge_attr=True)

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 32,
        num_layers: Count = 3,
        out_channels: Count | None = None,
        stalk_dim: Count = 1,
        maps: str | None = None,
        dropout: Probability = 0.0,
        act: Activation = "relu",
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())

        self.reads = Reads(direction=False, edge_weight=maps == "edge_weight", edge_attr=maps == "edge_attr")
        width = stalk_dim * hidden_channels
        self.lin_in = Linear(in_channels, width)
        self.layers = nn.ModuleList(
            GivenSheafConv(stalk_dim, hidden_channels, hidden_channels) for _ in range(num_layers)
        )
        self.activation = activation_resolver(act)
        self.pool = make_pool(readout, width)
        self.lin_out = Linear(width, self.out_channels)
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        return self.lin_in(dropout(self.features(batch), self.dropout, self.training))

    @torch.compiler.disable(reason=_UNTRACED)
    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = cast(Tensor, dropout(history[-1], self.dropout, self.training))
        laplacian = self.laplacian(batch, h.dtype)
        out = self.layers[i](h.view(-1, self.stalk_dim, self.hidden_channels), laplacian).flatten(1)
        return out if i == self.num_layers - 1 else self.activation(out)

    def laplacian(self, batch: Data, dtype: torch.dtype | None = None) -> SheafLaplacian:
        """The normalised Laplacian of the batch's sheaf; ``energy`` tells how well stalks agree with it."""
        edge_index, k, n = batch.edge_index, self.stalk_dim, batch.num_nodes
        if self.maps is None:
            ones = sheaf_graph(edge_index, n).pattern.cached(
                ("constant sheaf", k, dtype),
                lambda: torch.ones(edge_index.size(1), k, dtype=dtype, device=edge_index.device),
            )  # the same tensor in each step, by which the Laplacian is found again
            return given_laplacian(edge_index, ones, "diag", size=n)
        maps = batch.get(self.maps)
        if (
            maps is None
            or maps.dim() not in (1, 2, 3)
            or maps.size(0) != edge_index.size(1)
            or (maps.dim() > 1 and maps.size(-1) != k)
        ):
            raise ValueError(
                f"SheafNetwork: maps={self.maps!r} must be [E], [E, {k}] or [E, q, {k}] for the batch's "
                f"E = {edge_index.size(1)} edges and stalk_dim={k}, but the batch has "
                f"{'no such attribute' if maps is None else f'shape {list(maps.shape)}'}; a transform that changes "
                "edges must come before the sheaf"
            )
        maps = maps.to(dtype or maps.dtype)
        if maps.dim() == 1:
            graph = sheaf_graph(edge_index, n)
            ends = graph.from_edges(maps)
            if not torch.equal(ends[: graph.num_pairs], ends[graph.num_pairs :]):
                raise ValueError(
                    f"SheafNetwork: the weights {self.maps!r} differ between the directions of an edge; use their mean"
                )
            maps = signed_maps(maps, edge_index).expand(-1, k)
        return given_laplacian(edge_index, maps, "diag" if maps.dim() == 2 else "general", size=n)

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.lin_out(read_out(self.readout, self.pool, h, batch))

    def required_transform(self) -> BaseTransform | None:
        # Undirected averages what edges carry, so a given sheaf has to be right as it is
        return SparseFeatures() if self.maps is not None else Compose([Undirected(), SparseFeatures()])
