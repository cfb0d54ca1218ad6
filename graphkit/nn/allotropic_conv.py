"""Messages between nodes and their features."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, Probability
from graphkit.nn.gat_conv import GATConv
from graphkit.nn.gin_conv import GINConv
from graphkit.nn.linear import torch_linear
from graphkit.nn.sage_conv import SAGEConv
from graphkit.ops import SparsityPattern
from graphkit.ops.dropout import dropout as dropped

_GIN_EPS = 0.01


class AllotropicConv(Checked, nn.Module):
    r"""One round of GRAFENNE: features tell nodes, nodes tell neighbours, and nodes tell features.

    From `GRAFENNE <https://github.com/data-iitd/Grafenne>`_ (Gupta, Manchanda, Ranu, Bedathur, ICML 2023). With states
    :math:`o` of nodes, :math:`f` of features and :math:`e` of entries, and blocks :math:`P` of a linear map, batch
    normalisation without weights, dropout, another linear map and ReLU, all of their own weights,

    .. math::
        e_{vj} &= \mathrm{ReLU}(W_x [x_{vj}, 1] + W_o o_v + W_f f_j), \qquad
        o \leftarrow P(o), \qquad f \leftarrow P(f) \\
        o &\leftarrow W [o, P(\mathrm{GAT}(f \to o; e))] + b \\
        o &\leftarrow \mathrm{dropout}(\mathrm{ELU}(\mathrm{conv}(P(o)))) \\
        f &\leftarrow W' [f, P(\mathrm{GAT}(o \to f; e))] + b'

    The first round, whose states are new, begins with the second line and :math:`e_{vj} = [x_{vj}, 1]`, and the last
    one ends with the third.

    The official code keeps states of entries as wide as those of nodes and maps them three times where one map does the
    same: a state is read by attention alone, as a number per head. There a third round would also read the states of
    entries of the second.

    Args:
        channels: The width of states of nodes and features.
        entry_channels: The width of states of entries (default: 16).
        heads: The number of heads of attention between nodes and features, each ``channels`` wide (default: 4).
        conv: The convolution between nodes: ``"SAGE"``, ``"GIN"`` or ``"GAT"`` (default: ``"SAGE"``).
        dropout: The probability of dropping an entry of states, and a weight of attention (default: 0).
        first: Whether this is the first round (default: ``False``).
        last: Whether this is the last round (default: ``False``).
        track_running_stats: Whether batch normalisation keeps running means for evaluation, as torch's ``BatchNorm1d``
            does (default: ``True``).

    Shapes:
        - **input:** ``nodes`` ``[num_nodes, channels]``; ``features`` ``[num_features, channels]``; ``entries``, a
          pattern whose rows are nodes and whose columns are features; ``values`` ``[num_entries]``; ``edge_index``
          ``[2, num_edges]``; ``edge_weight`` ``[num_edges]`` (optional; ``"GAT"`` does not read it)
        - **output:** ``nodes`` and ``features``
    """

    checks = Checks(skip="it reads states of features; checked with GRAFENNE")

    def __init__(
        self,
        channels: Count,
        entry_channels: Count = 16,
        heads: Count = 4,
        conv: Literal["SAGE", "GIN", "GAT"] = "SAGE",
        dropout: Probability = 0.0,
        first: bool = False,
        last: bool = False,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        c, self.dropout, self.first, self.last = channels, dropout, first, last
        block = partial(perceptron, dropout=dropout, track_running_stats=track_running_stats)
        if not first:
            self.lin_value = torch_linear(2, entry_channels, bias=False)
            self.lin_node = torch_linear(c, entry_channels, bias=False)
            self.lin_feature = torch_linear(c, entry_channels, bias=False)
            self.of_nodes, self.of_features = (block(c, c) for _ in range(2))
        width = 2 if first else entry_channels
        self.to_nodes = GATConv(c, c, heads, dropout=dropout, add_self_loops=False, edge_dim=width)
        self.told = block(heads * c, c)
        self.join_nodes = torch_linear(2 * c, c)
        self.between = block(c, c)
        if conv == "GIN":
            inner = nn.Sequential(torch_linear(c, c), nn.ReLU(), torch_linear(c, c))
            self.conv: nn.Module = GINConv(inner, eps=_GIN_EPS)
        else:
            self.conv = SAGEConv(c, c) if conv == "SAGE" else GATConv(c, c)
        if not last:
            self.to_features = GATConv(c, c, heads, dropout=dropout, add_self_loops=False, edge_dim=width)
            self.told_features = block(heads * c, c)
            self.join_features = torch_linear(2 * c, c)
            self.to_features.explain = False
        self.to_nodes.explain = False  # entries are no edges, so masks of edges are for the convolution between nodes

    def forward(
        self,
        nodes: Tensor,
        features: Tensor,
        entries: SparsityPattern,
        values: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One round; see the class for shapes."""
        states = torch.stack([values, torch.ones_like(values)], dim=1)
        if not self.first:
            feature, node = entries.edge_index()
            told = self.lin_node(nodes)[node].add_(self.lin_feature(features)[feature])
            states = told.add_(self.lin_value(states)).relu_()
            nodes, features = self.of_nodes(nodes), self.of_features(features)
        told = self.to_nodes((features, nodes), entries, states)
        nodes = self.join_nodes(torch.cat([nodes, self.told(told)], dim=1))
        edges = (edge_index,) if isinstance(self.conv, GATConv) else (edge_index, edge_weight)
        nodes = dropped(F.elu(self.conv(self.between(nodes), *edges)), self.dropout, self.training)
        if not self.last:
            told = self.to_features((nodes, features), entries.T, states)
            features = self.join_features(torch.cat([features, self.told_features(told)], dim=1))
        return nodes, features


def perceptron(in_channels: int, out_channels: int, dropout: float, track_running_stats: bool) -> nn.Sequential:
    """The block between all parts of GRAFENNE."""
    return nn.Sequential(
        torch_linear(in_channels, out_channels),
        nn.BatchNorm1d(out_channels, affine=False, track_running_stats=track_running_stats),
        nn.Dropout(dropout),
        torch_linear(out_channels, out_channels),
        nn.ReLU(),
    )
