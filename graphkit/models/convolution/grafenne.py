"""GRAFENNE: features are nodes, so that they may be missing, new, or others in every graph."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.caching import TensorCache
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, NonNegativeInt, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.nn import AllotropicConv
from graphkit.nn.allotropic_conv import perceptron
from graphkit.nn.linear import torch_linear
from graphkit.ops import SparseMatrix, SparsityPattern, sparsity_pattern
from graphkit.ops.pattern import build_pattern
from graphkit.ops.traced import tracing


class GRAFENNE(LayeredModel):
    r"""Nodes and features tell each other what they are, along the entries of ``x`` that are known.

    From `GRAFENNE: Learning on Graphs with Heterogeneous and Dynamic Feature Sets
    <https://github.com/data-iitd/Grafenne>`_ (Gupta, Manchanda, Ranu, Bedathur, ICML 2023). All nodes start with one
    learned state, features with a perceptron of a vector each, then each layer is a round of
    :class:`~graphkit.nn.AllotropicConv`, and a perceptron of two layers makes outputs of nodes' states.

    No weight knows how many features there are, or which: a trained model takes graphs with others. A feature starts
    from its row of ``batch.feature_vectors`` ``[num_features, feature_channels]``, e.g. made of its name, or without
    these from a random vector that depends on the number of its column alone. Entries are those that a sparse ``x``
    stores, be they 0, and all of a dense one; :class:`~graphkit.transforms.MissingFeatures` makes the former. Each
    graph of a batch has features of its own.

    The official code starts from the identity matrix, which is ``feature_vectors=torch.eye(num_features)``, and so
    knows how many features there are; drops entries when evaluating, too; and has ``track_running_stats=False``.

    Args:
        hidden_channels: The width of states of nodes and features (default: 256).
        num_layers: The number of rounds (default: 2).
        heads: The number of heads of attention between nodes and features (default: 4).
        conv: The convolution between nodes: ``"SAGE"``, ``"GIN"`` or ``"GAT"`` (default: ``"SAGE"``).
        feature_channels: The size of the vectors that features start from; 0 if all start alike (default: 64).
        entry_channels: The width of states of entries, the only tensor that has a row for each; the official code has
            ``hidden_channels`` (default: 16).
        dropout: The probability of dropping an entry of states, and a weight of attention (default: 0.2).
        track_running_stats: Whether evaluation normalises by running means; else by those of the batch, as training
            does, which is steadier on a whole graph, but then what else is in a batch counts (default: ``True``).

    Raises:
        ValueError: If ``feature_vectors`` have another shape.

    Example:
        >>> model = GRAFENNE(8, out_channels=2, heads=2)
        >>> edge_index = torch.tensor([[0, 1], [1, 2]])
        >>> [model(Data(torch.rand(3, width), edge_index)).shape for width in (4, 7)]
        [torch.Size([3, 2]), torch.Size([3, 2])]
    """

    checks = Checks(
        [
            {"hidden_channels": 4, "num_layers": 1, "conv": "GAT", "heads": 2, "feature_channels": 3},
            Checks(
                [{"hidden_channels": 3, "heads": 2, "dropout": 0.5, "feature_channels": 4, "entry_channels": 2}],
                expected_failures={"isolated_nodes": "nodes are joined by the features that they have in common"},
            ),
            {"hidden_channels": 3, "conv": "GIN", "readout": "mean", "heads": 1, "feature_channels": 0},
            {
                "hidden_channels": 2,
                "conv": "GAT",
                "num_layers": 3,
                "heads": 1,
                "feature_channels": 4,
                "entry_channels": 2,
            },
        ],
        expected_failures={"compiled": "entries of features are found in the batch"},
    )
    reads = Reads(edge_weight=True)
    uses_history = False
    num_hops = None  # nodes with a feature in common tell each other

    def __init__(
        self,
        hidden_channels: Count = 256,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        heads: Count = 4,
        conv: Literal["SAGE", "GIN", "GAT"] = "SAGE",
        feature_channels: NonNegativeInt = 64,
        entry_channels: Count = 16,
        dropout: Probability = 0.2,
        track_running_stats: bool = True,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        h = hidden_channels
        self.start = nn.Parameter(torch.empty(h))
        self.of_features = perceptron(feature_channels or 1, h, dropout, track_running_stats)
        self.layers = nn.ModuleList(
            AllotropicConv(h, entry_channels, heads, conv, dropout, i == 0, i == num_layers - 1, track_running_stats)
            for i in range(num_layers)
        )
        self.pool = make_pool(readout, h)
        self.head = nn.Sequential(torch_linear(h, h), nn.LeakyReLU(), torch_linear(h, self.out_channels))
        self.reads = Reads(edge_weight=conv != "GAT")
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.uniform_(self.start, 0, self.hidden_channels**-0.5)

    def encode(self, batch: Data) -> State:
        x = self.features(batch)
        rows = _num_graphs(batch) * x.size(1)
        vectors = self._vectors(batch, x.size(1), rows).to(self.start)
        return torch.cat([self.start.relu().expand(x.size(0), -1), self.of_features(vectors)])

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h: Any = history[-1]
        x = self.features(batch)
        entries, values = _entries(x, batch.get("batch"), h.size(0) - x.size(0))
        states = h.split([x.size(0), h.size(0) - x.size(0)])
        return torch.cat(
            self.layers[i](*states, entries, values.to(h.dtype), batch.edge_index, batch.get("edge_weight"))
        )

    def node_states(self, h: Tensor, batch: Data) -> Tensor:
        return h[: self.features(batch).size(0)]

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.head(read_out(self.readout, self.pool, self.node_states(h, batch), batch))

    def _vectors(self, batch: Data, width: int, rows: int) -> Tensor:
        """What features start from, those of each graph."""
        size = self.feature_channels or 1
        given = batch.get("feature_vectors")
        if given is None:
            place = self.start.device
            drawn = _random(width, size, place) if self.feature_channels else torch.ones(width, 1, device=place)
            return drawn.repeat(rows // max(width, 1), 1)
        if list(given.shape) != [rows, size]:
            raise ValueError(
                f"GRAFENNE: feature_vectors has shape {list(given.shape)}, expected [{rows}, {size}]: a row for each "
                f"feature of each graph, of feature_channels={self.feature_channels} numbers"
            )
        return given


def _num_graphs(batch: Data) -> int:
    index = batch.get("batch")
    if index is None:
        return 1
    return batch.num_graphs if "ptr" in batch else int(index.max()) + 1


def _entries(x: Any, index: Tensor | None, num_features: int) -> tuple[SparsityPattern, Tensor]:
    """Which nodes and features are joined, and by what; features of several graphs are others."""
    if not isinstance(x, SparseMatrix):
        if tracing():  # which knows lists of edges alone
            feature = _features(x.shape, x.device, index)
            node = torch.arange(x.size(0), device=x.device).repeat_interleave(x.size(1))
            return sparsity_pattern(torch.stack([feature, node]), (num_features, x.size(0))), x.flatten()
        pattern = _kept.get(x, (index,), num_features, lambda parts: _of_dense(x.shape, x.device, num_features, *parts))
        return pattern, x.flatten()
    values = x.edges[1]
    values = torch.ones(x.pattern.num_edges, device=x.device) if values is None else values
    if index is None:
        return x.pattern, values
    make = partial(_apart, x.pattern, num_features)
    return x.pattern.cached(("features apart", num_features), make, index), values


def _of_dense(shape: torch.Size, device: torch.device, num_features: int, index: Tensor | None) -> SparsityPattern:
    """All entries of a matrix, row by row."""
    start = torch.arange(shape[0] + 1, device=device) * shape[1]
    return SparsityPattern(start, _features(shape, device, index), None, num_features)


def _features(shape: torch.Size, device: torch.device, index: Tensor | None) -> Tensor:
    """The feature of each entry of a matrix, row by row."""
    feature = torch.arange(shape[1], device=device).repeat(shape[0], 1)
    return (feature if index is None else feature + index.unsqueeze(1) * shape[1]).flatten()


def _apart(entries: SparsityPattern, num_features: int, index: Tensor) -> SparsityPattern:
    """Entries whose features are those of the nodes' graphs."""
    feature, node = entries.edge_index()
    return build_pattern(feature + index[node] * entries.num_cols, node, num_features, entries.num_rows)


_kept: TensorCache[SparsityPattern] = TensorCache()  # with features of nodes


@lru_cache(16)
def _random(width: int, size: int, device: torch.device) -> Tensor:
    """Rows of a normal distribution, each drawn by its number alone."""
    import numpy as np

    from graphkit.algorithms.kernels.fastrp import projection

    out = np.empty((width, size), np.float32)
    projection(np.arange(width), 0, 0, out)
    return (torch.from_numpy(out) * size**0.5).to(device)
