"""Integer codes as one-hot columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, not_empty
from graphkit.core.molecules import ATOM_CODES
from graphkit.core.validate import check_codes
from graphkit.transforms.base import float_dtype


class OneHotCodes(Checked, BaseTransform):
    """Writes each column of integer codes in ``data.x`` as one-hot columns, so that any model can read molecules.

    A linear map of the result sums one embedding per column, as OGB's encoder of atoms does.

    Args:
        num_codes: The number of values of each column (default: those of OGB's nine atom features).

    Shapes:
        ``x``: ``[num_nodes, len(num_codes)]`` becomes ``[num_nodes, sum(num_codes)]``.

    Raises:
        ValueError: (when called) if ``x`` has another number of columns or a value that is no code.

    Example:
        >>> data = Data(x=torch.tensor([[2.0, 1.0], [0.0, 0.0]]))
        >>> OneHotCodes(num_codes=[3, 2])(data).x.tolist()
        [[0.0, 0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0, 0.0]]
    """

    checks = Checks(skip="it reads integer codes, which the graphs of the checks do not have; see tests/transforms")

    def __init__(self, num_codes: Annotated[Sequence[Count], not_empty] = ATOM_CODES) -> None:
        self.num_codes = tuple(num_codes)

    def forward(self, data: Data) -> Data:
        """Replace ``x`` in ``data`` (a shallow copy when called through ``transform(data)``)."""
        if data.x is None:
            raise ValueError("OneHotCodes reads codes of nodes, but the graph has no x")
        codes = check_codes(data.x, self.num_codes, "OneHotCodes")
        columns = [F.one_hot(column, count) for column, count in zip(codes.t(), self.num_codes, strict=True)]
        data.x = torch.cat(columns, dim=1).to(float_dtype(data))
        return data
