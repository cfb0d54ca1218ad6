"""From raw features to the first state: integer codes, Laplacian eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Checked, Count, NonNegativeInt, not_empty
from graphkit.core.molecules import ATOM_CODES
from graphkit.core.validate import check_codes
from graphkit.nn.linear import Linear


class CodeEncoder(Checked, nn.Module):
    r"""Sums one embedding per column of integer codes, as OGB's encoder of atoms does.

    .. math::
        h_v = \sum_{c} \mathrm{Emb}_c(x_{v, c})

    Args:
        out_channels: The width of the embeddings.
        num_codes: The number of values of each column (default: those of OGB's nine atom features).

    Shapes:
        - **x:** ``[num_nodes, len(num_codes)]``, or ``[num_nodes]`` for one column; whole numbers of any dtype
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If ``x`` has another number of columns or a value that is no code.

    Example:
        >>> CodeEncoder(8, num_codes=[3, 2])(torch.tensor([[2.0, 1.0], [0.0, 0.0]])).shape
        torch.Size([2, 8])
    """

    checks = Checks(skip="it reads codes and no graph; see tests/nn")

    def __init__(self, out_channels: Count, num_codes: Annotated[Sequence[Count], not_empty] = ATOM_CODES) -> None:
        super().__init__()
        self.num_codes = tuple(num_codes)
        self.out_channels = out_channels
        self.embeddings = nn.ModuleList(nn.Embedding(count, out_channels) for count in num_codes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new embeddings: Glorot uniform."""
        for weight in self.embeddings.parameters():
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """The sum; see the class for shapes."""
        codes = check_codes(x.unsqueeze(1) if x.dim() == 1 else x, self.num_codes, "CodeEncoder")
        return torch.stack([embedding(column) for embedding, column in zip(self.embeddings, codes.t())]).sum(0)

    def distinct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of all different rows, and which of them each row has: ``sums[which]`` is ``forward(x)``."""
        codes = check_codes(x.unsqueeze(1) if x.dim() == 1 else x, self.num_codes, "CodeEncoder")
        number = codes.new_zeros(codes.size(0))
        for count, column in zip(self.num_codes, codes.t()):
            number = number * count + column
        numbers, which = number.unique(return_inverse=True)
        example = torch.empty_like(numbers)  # a row that has each number
        example[which] = torch.arange(which.numel(), device=which.device)
        return self(codes[example]), which

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.out_channels}, num_codes={self.num_codes})"


class NodeEncoder(Checked, nn.Module):
    r"""Encodes features of nodes, and positional encodings in the last columns beside them, as GraphGPS does.

    .. math::
        h_v = [W x_v, \; W_{pe} \, \mathrm{BN}(p_v)]

    with a sum of embeddings in place of :math:`W x_v` where features are codes.

    Args:
        in_channels: The number of all columns; -1 takes it from the first input.
        out_channels: The width of the result.
        num_codes: The number of values of each column that is a code (default: features are numbers).
        pe: How many of the last columns are positional encodings (default: 0).
        pe_channels: The width of what becomes of these (default: 28).

    Shapes:
        - **x:** ``[num_nodes, in_channels]``
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If sizes do not fit together.

    Example:
        >>> NodeEncoder(5, 8, pe=3, pe_channels=2)(torch.ones(4, 5)).shape
        torch.Size([4, 8])
    """

    checks = Checks(skip="it reads features and no graph; see tests/nn")

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Count,
        num_codes: Annotated[Sequence[Count], not_empty] | None = None,
        pe: NonNegativeInt = 0,
        pe_channels: Count = 28,
    ) -> None:
        super().__init__()
        codes = 1 if num_codes is None else len(num_codes)
        fits = in_channels == codes + pe if num_codes else in_channels > pe
        if in_channels != -1 and not fits:
            raise ValueError(
                f"NodeEncoder: in_channels={in_channels}, but there are {pe} columns of positional encodings and "
                f"{codes} {'codes' if num_codes else 'or more of features'}"
            )
        if pe and pe_channels >= out_channels:
            raise ValueError(f"NodeEncoder: pe_channels={pe_channels}, must be less than the {out_channels} channels")
        self.pe = pe
        width = out_channels - (pe_channels if pe else 0)
        numbers = -1 if in_channels == -1 else in_channels - pe
        self.own: nn.Module = Linear(numbers, width) if num_codes is None else CodeEncoder(width, num_codes)
        self.norm = nn.BatchNorm1d(pe) if pe else None
        self.lin_pe = Linear(pe, pe_channels) if pe else None

    def forward(self, x: Any) -> Tensor:
        """The encoding; see the class for shapes."""
        if self.norm is None or self.lin_pe is None:
            return self.own(x)
        own, encodings = x[:, : -self.pe], x[:, -self.pe :]
        return torch.cat([self.own(own), self.lin_pe(self.norm(encodings))], dim=1)


class LaplacianEncoder(Checked, nn.Module):
    r"""Encodes the Laplacian's eigenvectors as a set of pairs of entry and eigenvalue.

    From `"Recipe for a General, Powerful, Scalable Graph Transformer" <https://arxiv.org/abs/2205.12454>`_ (Rampášek et
    al., NeurIPS 2022), there the DeepSet encoder of LapPE.

    .. math::
        p_v = \sum_m \mathrm{ReLU} \big( W_2 \, \mathrm{ReLU}( W_1 [u_{v, m}, \lambda_m] ) \big)

    While training, each eigenvector's sign is drawn anew at every call, the same for all nodes of a batch, because no
    sign is the right one.

    Args:
        out_channels: The width of the encoding (default: 16).

    Shapes:
        - **vectors, values:** ``[num_nodes, num_vectors]``, see :class:`~graphkit.transforms.LaplacianEigenvectors`;
          pairs with NaN are left out
        - **output:** ``[num_nodes, out_channels]``

    Example:
        >>> LaplacianEncoder(8)(torch.ones(3, 2), torch.zeros(3, 2)).shape
        torch.Size([3, 8])
    """

    checks = Checks(skip="it reads eigenvectors and no graph; see tests/nn")

    def __init__(self, out_channels: Count = 16) -> None:
        super().__init__()
        self.lin1 = nn.Linear(2, 2 * out_channels)
        self.lin2 = nn.Linear(2 * out_channels, out_channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.lin1.reset_parameters()
        self.lin2.reset_parameters()

    def forward(self, vectors: Tensor, values: Tensor) -> Tensor:
        """The encoding; see the class for shapes."""
        if self.training:
            signs = torch.randint(2, (1, vectors.size(1)), device=vectors.device)
            vectors = vectors * (2 * signs - 1)
        known = ~(vectors.isnan() | values.isnan())
        pairs = torch.stack([vectors, values], dim=-1).nan_to_num(nan=0.0)
        return (self.lin2(self.lin1(pairs).relu()).relu() * known.unsqueeze(-1)).sum(1)
