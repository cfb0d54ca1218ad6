"""Times as vectors of cosines."""

from __future__ import annotations

import torch
from torch import nn
from torch_geometric.nn.models.tgn import TimeEncoder

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count


class TimeEncoding(Checked, TimeEncoder):
    r"""PyG's ``TimeEncoder``, :math:`\cos(\omega_i t + \varphi_i)`, that begins at all scales.

    Frequencies :math:`\omega` are learnt from :math:`1, \dots, 10^{-9}` on and phases :math:`\varphi` from 0 on, as in
    the code of TGN's authors; PyG draws both uniformly, which tells apart no times in seconds.

    Args:
        channels: The number of frequencies.

    Shapes:
        - **input:** times ``[n]``
        - **output:** ``[n, channels]``

    Example:
        >>> TimeEncoding(2)(torch.tensor([0.0, torch.pi])).tolist()[1][0]
        -1.0
    """

    checks = Checks(skip="it reads no graph")

    def __init__(self, channels: Count) -> None:
        super().__init__(channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin with the frequencies above."""
        with torch.no_grad():
            self.lin.weight.copy_(10 ** -torch.linspace(0, 9, self.out_channels).unsqueeze(1))
        nn.init.zeros_(self.lin.bias)
