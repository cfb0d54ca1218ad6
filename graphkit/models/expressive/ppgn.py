"""PPGN++: matrix products of states of pairs of nodes, with polynomials that it could not compute."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Count, NonNegativeInt
from graphkit.core.devices import ask_ahead
from graphkit.core.reads import Reads
from graphkit.core.validate import check_edge_index
from graphkit.models.base import LayeredModel, State
from graphkit.nn import Linear
from graphkit.nn.ppgn import Pairs, PPGNBlock, pair_counts
from graphkit.ops import segment
from graphkit.ops.groups import ask_ptr
from graphkit.ops.segment import reduce_groups

M = TypeVar("M", bound="PPGNpp")

POOLED = ("mean", "sum")  # readouts of all pairs of a graph


class PPGNpp(LayeredModel):
    r"""PPGN++: layers multiply matrices of states of pairs of nodes; polynomials are further input channels.

    From `"Equivariant Polynomials for Graph Neural Networks" <https://arxiv.org/abs/2302.11556>`_ (Puny, Lim, Kiani,
    Maron, Lipman, ICML 2023).

    The state is a row per ordered pair of nodes of a graph. The input's channels are the polynomials of the pair
    (``polynomial_attr``, which :class:`~graphkit.transforms.features.PPGNPolynomials` adds), the weight of its edge
    (1 by default, 0 without an edge; parallel edges add up), the edge's features, and on the diagonal the nodes'
    features. Layers are :class:`~graphkit.nn.ppgn.PPGNBlock`, without activations between them. With a readout, of
    graphs of :math:`n` nodes,

    .. math::
        y = W_2 \,\mathrm{ReLU}\Big(W_1 \Big[\frac1n \sum_i h_{ii}, \;
        \frac{1}{n (n - 1)} \sum_{i \ne j} h_{ij} \Big] + b_1\Big) + b_2

    where the second mean is 0 for a single node, for which the official code divides by 0. Without, :math:`h_{ii}` is
    read for node :math:`i`. Without polynomials this is PPGN with the same blocks.

    Where this differs from the official code: that adds 1 to codes of nodes, so that 0 is seen, for which the identity
    matrix that every block appends makes up. It trains with the optimizer LAMB, which torch does not have; ``AdamW``
    comes near.

    Args:
        num_layers: The number of blocks (default: 4).
        head_channels: The width between :math:`W_1` and :math:`W_2` (default: ``hidden_channels``).
        polynomials: The number of channels in ``polynomial_attr``; built from a task, as many as it has (default: 0).
        edge_dim: The number of edge features to read; built from a task, as many as it has (default: none).
        readout: ``None`` for one output per node; for one per graph ``"mean"`` as above, ``"sum"`` for the same without
            the divisions, or ``"mask"`` to read the node that ``readout_mask`` marks (default: ``None``).
        max_pairs: The largest number of pairs in a batch (default: 5 million).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]``, ``edge_index``, and
          ``edge_attr``, ``polynomial_index`` and ``polynomial_attr`` as the arguments say

    Raises:
        ValueError: If an argument is out of range or unknown, features are missing, or a batch has too many pairs.

    Cost: :math:`O(n^2)` memory and :math:`O(n^3)` time per graph of :math:`n` nodes and channel.

    Example:
        >>> from graphkit.transforms.features import PPGNPolynomials
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> model = PPGNpp(4, 8, num_layers=2, out_channels=2, polynomials=12, readout="mean")
        >>> model(PPGNPolynomials()(data)).shape
        torch.Size([1, 2])
    """

    checks = Checks(
        [{}, {"readout": "mean", "num_layers": 3, "head_channels": 5}],
        expected_failures={
            "gradcheck": "new biases are 0, which puts pairs without an edge at the kink of ReLU",
            **untraced("how many pairs of nodes a batch has follows from the sizes of its graphs", functional=True),
        },
    )

    reads = Reads(edge_weight=True, edge_attr=True)
    uses_history = False
    no_edge_masks = "it multiplies matrices of states of all pairs of nodes"

    def __init__(
        self,
        in_channels: Count,
        hidden_channels: Count = 64,
        num_layers: Count = 4,
        out_channels: Count | None = None,
        head_channels: Count | None = None,
        polynomials: NonNegativeInt = 0,
        edge_dim: Count | None = None,
        readout: Literal["mean", "sum", "mask"] | None = None,
        max_pairs: Count = 5_000_000,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())

        self.reads = Reads(edge_weight=True, edge_attr=edge_dim is not None)
        h, width = hidden_channels, polynomials + 1 + (edge_dim or 0) + in_channels
        self.layers = nn.ModuleList(PPGNBlock(h if i else width, h) for i in range(num_layers))
        between = h if head_channels is None else head_channels
        self.head = nn.Sequential(
            Linear(2 * h if readout in POOLED else h, between), nn.ReLU(), Linear(between, self.out_channels)
        )
        self.reset_parameters()

    @classmethod
    def from_task(cls: type[M], task: Any, **arguments: Any) -> M:
        polynomials, edge_attr = (task.example.get(key) for key in ("polynomial_attr", "edge_attr"))
        of_graphs = {
            "polynomials": 0 if polynomials is None else _columns(polynomials),
            "edge_dim": None if edge_attr is None else _columns(edge_attr),
        }
        return super().from_task(task, **of_graphs | arguments)

    def encode(self, batch: Data) -> State:
        pairs = self._pairs(batch)
        x = self.features(batch, dense=True)
        check_edge_index(batch.edge_index, x.size(0), "PPGNpp")
        edges = pairs.number(*batch.edge_index.long())
        weight = batch.get("edge_weight")
        weight = x.new_ones(edges.numel(), 1) if weight is None else weight.view(-1, 1)
        parts = []
        if self.polynomials or batch.get("polynomial_attr") is not None:
            values = self._feature(batch, "polynomial_attr", "polynomials", self.polynomials)
            parts.append((pairs.number(*batch.polynomial_index), values))
        parts.append((edges, weight))
        if self.edge_dim is not None:
            parts.append((edges, self._feature(batch, "edge_attr", "edge_dim", self.edge_dim)))
        parts.append((pairs.diagonal, x))
        zeros = x.new_zeros(pairs.row.numel(), 1)
        return torch.cat([zeros.expand(-1, v.size(1)).index_add(0, i, v.to(x.dtype)) for i, v in parts], dim=1)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self.layers[i](history[-1], self._pairs(batch))

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        if self.readout not in POOLED:
            h = self.node_states(h, batch)
            return self.head(h if self.readout is None else h[batch.readout_mask])
        pairs = self._pairs(batch)
        trace = segment(h.index_select(0, pairs.diagonal), pairs.ptr)
        others = reduce_groups(h, pairs.of_graphs, "sum") - trace
        if self.readout == "mean":
            n = pairs.sizes.unsqueeze(1).to(h.dtype)
            trace, others = trace / n.clamp(min=1), others / (n * (n - 1)).clamp(min=1)
        return self.head(torch.cat([trace, others], dim=1))

    def node_states(self, h: Tensor, batch: Data) -> Tensor:
        return h.index_select(0, self._pairs(batch).diagonal)

    def _pairs(self, batch: Data) -> Pairs:
        ptr = batch.get("ptr")  # a single graph is a batch of one
        ptr = _one_graph(batch.x.size(0), batch.x.device) if ptr is None else ptr
        ask_ahead(ask_ptr, ptr)  # for the readout, and read with the counts
        count = pair_counts(ptr)[1]
        if count > self.max_pairs:
            raise ValueError(
                f"PPGNpp: the batch has {count:,} pairs of nodes, more than max_pairs={self.max_pairs:,} (a state "
                f"takes {4 * count * self.hidden_channels / 1e9:.1f} GB); take smaller batches, or allow more"
            )
        return Pairs(ptr)

    def _feature(self, batch: Data, key: str, argument: str, width: int) -> Tensor:
        value = batch.get(key)
        if value is None or _columns(value) != width:
            given = "nothing" if value is None else f"{_columns(value)} columns"
            raise ValueError(
                f"PPGNpp: {argument}={width}, but {key} of the batch has {given}; set {argument}, or build the model "
                "with from_task, from a task that has the feature (a strategy that adds nodes leaves it out)"
            )
        return cast(Tensor, value).view(-1, width)


@lru_cache(maxsize=4)
def _one_graph(num_nodes: int, device: torch.device) -> Tensor:
    """Where one graph begins and ends, the same tensor in each step: what follows from it is known again."""
    with torch.inference_mode(False):
        return torch.tensor([0, num_nodes], device=device)


def _columns(features: Tensor) -> int:
    return features.size(1) if features.dim() > 1 else 1
