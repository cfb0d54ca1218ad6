"""Sheaf diffusion with a sheaf computed from the features before training."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Activation, Channels, Count, Probability
from graphkit.models.base import State
from graphkit.models.sheaf.sheaf_diffusion import UNTRACED, SheafDiffusion
from graphkit.nn.sheaf import SheafLaplacian, given_laplacian
from graphkit.transforms import ConnectionMaps, SparseFeatures, Undirected
from graphkit.transforms.connection_maps import Connection


class ConnectionSheaf(SheafDiffusion):
    r"""Sheaf diffusion with the connection Laplacian of the features: nothing about the sheaf is learned.

    From `"Sheaf Neural Networks with Connection Laplacians" <https://arxiv.org/abs/2206.08702>`_ (Barbero et al.,
    2022).

    The layers are those of :class:`SheafDiffusion` with one operator :math:`\Delta`. Orthogonal maps come from aligned
    local principal components (:class:`~graphkit.transforms.ConnectionMaps`, which the trainer applies).

    Args:
        stalk_dim: The dimension of stalks; most nodes should have as many neighbours (default: 2).
        act: The activation, also of the lift, by PyG's names, or ``None`` (default: ``"elu"``).
        readout: As in :class:`SheafDiffusion` (default: ``None``).
        connection: ``"features"``, or one of the paper's controls, which show what the features contribute:
            ``"random_nodes"`` or ``"random_edges"`` (default: ``"features"``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x``, ``edge_index`` and ``restriction_maps``
          ``[num_edges, stalk_dim, stalk_dim]``

    Raises:
        ValueError: If the batch has no maps of this dimension.

    Example:
        >>> import torch
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> model = ConnectionSheaf(4, 8, out_channels=3)
        >>> data = model.required_transform()(Data(x=torch.randn(3, 4), edge_index=edge_index))
        >>> model(data).shape
        torch.Size([3, 3])
    """

    checks = Checks(
        [{"dropout": 0.5}, {"stalk_dim": 3, "second_linear": True, "readout": "mean"}],
        expected_failures=untraced(UNTRACED),
    )

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 16,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        stalk_dim: Count = 2,
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        act: Activation | None = "elu",
        second_linear: bool = False,
        readout: str | None = None,
        connection: Connection = "features",
    ) -> None:
        sizes = (in_channels, hidden_channels, num_layers, out_channels, stalk_dim)
        rest = dict[str, Any](act=act, second_linear=second_linear, readout=readout)
        super().__init__(*sizes, "identity", dropout, input_dropout, **rest, frozen=True)
        self.connection = connection

    def laplacian(self, i: int, history: list[State], batch: Data) -> SheafLaplacian:
        """The connection Laplacian of the batch, the same for all layers."""
        return given_laplacian(batch.edge_index, self._maps(batch), "bundle", augmented=True, size=batch.num_nodes)

    def required_transform(self) -> BaseTransform | None:
        return Compose([Undirected(), ConnectionMaps(self.stalk_dim, self.connection), SparseFeatures()])

    def _maps(self, batch: Data) -> Tensor:
        maps = batch.get("restriction_maps")
        wanted = [batch.num_edges, self.stalk_dim, self.stalk_dim]
        if maps is None or list(maps.shape) != wanted:
            raise ValueError(
                f"ConnectionSheaf needs restriction_maps of shape {wanted}, the batch has "
                f"{'none' if maps is None else list(maps.shape)}; apply model.required_transform() to the graphs"
            )
        return maps
