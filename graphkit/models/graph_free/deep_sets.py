"""Deep Sets: elements one by one, a readout, then the set."""

from __future__ import annotations

from typing import Any

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, Probability
from graphkit.models.graph_free.mlp import MLP
from graphkit.models.stack import Norm


class DeepSets(MLP):
    r"""A perceptron on every element, a readout and a perceptron on its result; edges are not used.

    From `"Deep Sets" <https://arxiv.org/abs/1703.06114>`_ (Zaheer et al., NeurIPS 2017), where the readout is a sum.

    .. math::
        y = \rho \Big( \bigoplus_{v} \phi(x_v) \Big)

    A learned readout (``"lcm"``, ``"gnp"``, ``"recurrent"``) can be compared with fixed ones in this model: everything
    else stays the same.

    Args:
        in_channels: The number of features of an element; -1 takes it from the first batch.
        num_layers: The number of linear maps of :math:`\phi`, each with an activation (default: 2).
        head_layers: The number of linear maps of :math:`\rho`, with activations in between (default: 2).
        dropout: The probability of dropping an entry before each layer of :math:`\phi` (default: 0).
        norm: ``"batch_norm"``, ``"layer_norm"`` or ``None``, in :math:`\phi` (default: ``None``).
        readout: The name of an aggregation, graphkit's or PyG's, or ``"mask"`` to read the node that ``readout_mask``
            marks (default: ``"sum"``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]``
        - **output:** ``[num_graphs, out_channels]``

    Raises:
        ValueError: If ``head_layers`` is smaller than 1, or as :class:`~graphkit.models.LayerStack`.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> DeepSets(4, 8, out_channels=2, readout="lcm")(Data(x=torch.ones(3, 4))).shape
        torch.Size([1, 2])
    """

    checks = Checks([{}, {"readout": "recurrent", "head_layers": 1}])

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        head_layers: Count = 2,
        dropout: Probability = 0.0,
        act: Activation = "relu",
        norm: Norm | None = None,
        readout: str = "sum",
        readout_kwargs: dict[str, Any] | None = None,
        input_dropout: Probability | None = None,
    ) -> None:
        head = dict[str, Any](readout=readout, readout_kwargs=readout_kwargs, head_layers=head_layers)
        widths = (in_channels, hidden_channels, num_layers, out_channels)
        super().__init__(*widths, dropout, act, norm, input_dropout=input_dropout, **head)
