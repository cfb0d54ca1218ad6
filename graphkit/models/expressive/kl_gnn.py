"""KLGNN: message passing on copies of a graph in which a few nodes are labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.core.caching import TensorCache
from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Count, Interval, NonNegativeInt, Positive, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.nn.encoders import CodeEncoder
from graphkit.nn.labelled_copies import LabelledCopies, by_type, scaled_sum
from graphkit.ops import SparseMatrix, SparsityPattern, sparsity_pattern
from graphkit.ops.groups import Groups
from graphkit.ops.indices import count, starts
from graphkit.ops.segment import reduce_groups
from graphkit.transforms import NodeSubsets

_ROWS = 2**18  # of labelled copies at a time where no gradient is asked for


_UNTRACED = "how many labelled copies there are follows from the contents of edges"


class KLGNN(LayeredModel):
    r"""k,l-GNN with :math:`k = 1` (ID-MPNN): message passing on all copies of a graph with :math:`l` labelled nodes.

    From `"From Relational Pooling to Subgraph GNNs: A Universal Framework for More Expressive Graph Neural Networks"
    <https://arxiv.org/abs/2305.04963>`_ (Zhou, Wang, Zhang, ICML 2023); the "parallel" network of its experiments.

    With :math:`f` the block Linear, ReLU, Linear, LayerNorm, ReLU (new weights each time) and
    :math:`\mathrm{agg}(h)_v = \sum_{u \to v} e_{uv} \odot h_u`, where :math:`e` embeds the kind of edge:

    1. Nodes: :math:`h \leftarrow h + f(\mathrm{agg}(h))` from the encoded features, ``num_layers`` times.
    2. Labels: for a set :math:`s` of :math:`l` nodes and an order of them, :math:`z` is the embedding of a node's
       position in the order, or of "not in :math:`s`"; :math:`z \leftarrow z + f(\mathrm{agg}(z))`, ``num_layers_id``
       times; :math:`z^s = \mathrm{ReLU}(W \cdot \mathrm{mean}_{\mathrm{orders}} \, z)`.
    3. Both: :math:`u^s = \mathrm{MLP}(h + z^s)`, or :math:`h \odot z^s`, or :math:`[h, z^s]`, then
       :math:`u \leftarrow u + f(\mathrm{agg}(u))`, ``num_layers_global`` times.
    4. Pools: :math:`g^s = \mathrm{ReLU}(W \cdot \mathrm{pool}_v \, u^s_v)`, pooled over all :math:`s`;
       :math:`g \leftarrow g + f(g)`, ``num_layers_regression`` times, then a linear map.

    Without a readout the last step pools each node's :math:`u^s_v` over :math:`s` by mean, instead of nodes first.

    ``layers`` are those of step 1; training that looks at the states of layers sees no labels. Where sources differ:
    the official mean over nodes divides by the size of the batch's largest graph (``official_mean``); a graph without
    any set, as small graphs may be, has :math:`g = 0` here. Sets are drawn anew at every training step (``rate``) by
    torch's generator, which the trainer seeds; evaluation takes all. Labelled rows that colour refinement finds equal
    are computed once, on the CPU and unless there is dropout. Copies of a batch that is seen again are kept with its
    sets. Edge weights are not used.

    Args:
        num_layers: The number of layers on nodes (default: 8).
        l: The number of labels (default: 1).
        max_distance: How many edges any two nodes of a set may be apart (default: ``None``, any number).
        resolution: Sets inside communities only, see :class:`~graphkit.transforms.NodeSubsets` (default: ``None``).
        rate: The share of each graph's sets that a training step takes; of ``n`` sets ``int(rate * n) + 1``, at most
            all (default: 1.0).
        num_layers_id: The number of layers on labels (default: 5).
        num_layers_global: The number of layers on both (default: 5).
        num_layers_regression: The number of blocks after pooling (default: 4).
        fuse: ``"add"``, ``"hadamard"`` or ``"cat"`` (default: ``"hadamard"``).
        subgraph_pool: How a copy's nodes are pooled: ``"sum"``, ``"mean"`` or ``"max"`` (default: ``"sum"``).
        readout: How copies are pooled: ``"sum"``, ``"mean"`` or ``"max"``; for outputs of nodes ``None`` or
            ``"nodes"``, of those that ``readout_mask`` marks ``"mask"`` (default: ``None``).
        node_types: Take the first columns of ``x`` as codes: the number of codes per column; else a linear map reads
            them (default: ``None``).
        edge_types: Take ``edge_attr`` as codes, so many; else edges are alike (default: ``None``).
        structure_features: The number of last columns of ``x`` that are a structural encoding, such as
            :class:`~graphkit.transforms.features.RandomWalkPE`, and go through a perceptron of their own (default: 0).
        structure_channels: The width of its output, a part of ``hidden_channels`` (default: 28, if there are any).
        dropout: The probability of dropping an entry after each layer (default: 0).
        official_mean: See above (default: ``False``).
        max_subsets: How many sets a graph may have (default: 10 million).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]``, ``edge_index``, ``edge_attr``
          where ``edge_types`` are read, and ``subset_index``, which ``required_transform()`` adds (the trainer applies
          it)

    Raises:
        ValueError: If an argument is out of range or unknown, sets or edge codes are missing, or a code has no
            embedding.

    Cost: sets times :math:`l!` times edges for each layer on labels, and less where rows are merged.

    Example:
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> model = KLGNN(4, 8, num_layers=2, out_channels=2, l=2, readout="max")
        >>> model(model.required_transform()(data)).shape
        torch.Size([1, 2])
    """

    checks = Checks(
        [  # of nodes, a state is a mean over all labelled copies: no node is alone
            {"readout": "max", "fuse": "cat", "structure_features": 2, "structure_channels": 2},
            {"readout": "sum", "l": 2, "max_distance": 2, "rate": 0.5, "fuse": "add", "dropout": 0.5},
            {"readout": "mean", "subgraph_pool": "max", "num_layers_id": 2},
        ],
        sizes={"hidden_channels": 4, "num_layers_id": 1, "num_layers_global": 1, "num_layers_regression": 1},
        expected_failures=untraced(_UNTRACED),
    )

    reads = Reads(edge_attr=True)
    uses_history = False
    no_edge_masks = "it computes labelled copies once that colour refinement finds equal"

    def __init__(
        self,
        in_channels: Count,
        hidden_channels: Count = 64,
        num_layers: Count = 8,
        out_channels: Count | None = None,
        l: Count = 1,  # noqa: E741
        max_distance: Count | None = None,
        resolution: Positive | None = None,
        rate: Annotated[float, Interval(0, 1, "right")] = 1.0,
        num_layers_id: Count = 5,
        num_layers_global: NonNegativeInt = 5,
        num_layers_regression: NonNegativeInt = 4,
        fuse: Literal["add", "hadamard", "cat"] = "hadamard",
        subgraph_pool: Literal["sum", "mean", "max"] = "sum",
        readout: Literal["sum", "mean", "max", "mask", "nodes"] | None = None,
        node_types: Sequence[Count] | None = None,
        edge_types: Count | None = None,
        structure_features: NonNegativeInt = 0,
        structure_channels: NonNegativeInt = 28,
        dropout: Probability = 0.0,
        official_mean: bool = False,
        max_subsets: Count = 10_000_000,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        if structure_features and not (structure_features < in_channels and structure_channels < hidden_channels):
            raise ValueError(
                f"KLGNN: structure_features={structure_features} and structure_channels={structure_channels} must be "
                f"smaller than in_channels={in_channels} and hidden_channels={hidden_channels}"
            )

        self.reads = Reads(edge_attr=edge_types is not None)
        h, s = hidden_channels, structure_channels if structure_features else 0
        plain = in_channels - structure_features
        self.node_encoder = nn.Linear(plain, h - s) if node_types is None else CodeEncoder(h - s, node_types)
        self.structure_encoder: nn.Module | None = None
        if structure_features:
            widths = (structure_features, 2 * s, 2 * s, s)
            linear = [nn.Linear(*pair) for pair in pairwise(widths)]
            self.structure_encoder = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
        self.edge_encoder = None if edge_types is None else nn.Embedding(edge_types, h)
        self.label_encoder = nn.Embedding(l + 1, h)
        self.layers = nn.ModuleList(_block(h) for _ in range(num_layers))
        self.id_layers = nn.ModuleList(_block(h) for _ in range(num_layers_id))
        self.id_out = nn.Sequential(nn.Linear(h, h), nn.ReLU())
        self.fuse_in = _block(h, 2 * h if fuse == "cat" else h)
        self.global_layers = nn.ModuleList(_block(h) for _ in range(num_layers_global))
        self.subgraph_out = nn.Sequential(nn.Linear(h, h), nn.ReLU())
        self.regression_layers = nn.ModuleList(_block(h) for _ in range(num_layers_regression))
        self.head = nn.Linear(h, self.out_channels)

    def encode(self, batch: Data) -> State:
        x = self.features(batch, dense=True)
        if self.structure_encoder is None:
            return self.node_encoder(x)
        plain, encoding = x.split([x.size(1) - self.structure_features, self.structure_features], dim=1)
        return torch.cat([self.node_encoder(plain), self.structure_encoder(encoding)], dim=1)

    @torch.compiler.disable(reason=_UNTRACED)
    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        return self._layer(self.layers[i], cast(Tensor, history[-1]), self._adjacency(batch))

    @torch.compiler.disable(reason=_UNTRACED)
    def decode(self, h: Tensor, batch: Data) -> Tensor:
        """Outputs ``[num_nodes, out_channels]``, or ``[num_graphs, out_channels]`` with a readout."""
        by_nodes = self.readout in (None, "mask", "nodes")
        pool = self._mean_of_nodes if by_nodes else self._pooled_copies
        g = pool(h, batch)
        if self.readout == "mask":
            g = g[batch.readout_mask]
        for layer in self.regression_layers:
            g = g + layer(g)
        return self.head(g)

    def required_transform(self) -> BaseTransform | None:
        return NodeSubsets(self.l, self.max_distance, self.resolution, max_subsets=self.max_subsets)

    def reset_parameters(self) -> None:
        for module in self.modules():
            if module is not self and hasattr(module, "reset_parameters"):
                module.reset_parameters()  # type: ignore[operator]

    def copies(self, batch: Data) -> Iterator[LabelledCopies]:
        """The labelled copies of a batch's graphs: a sample of them while training, else all, in several parts."""
        subsets = batch.get("subset_index")
        if subsets is None or subsets.size(0) != self.l:
            raise ValueError(
                f"KLGNN: the batch has no subset_index of {self.l} rows; apply model.required_transform() to each "
                "graph (Trainer.fit does)"
            )
        graph = sparsity_pattern(batch.edge_index, int(batch.num_nodes or 0))
        parts = subsets, batch.edge_index, None if self.edge_types is None else batch.edge_attr, batch.get("ptr")
        whole = _kept.get(subsets, parts, self.edge_types, lambda parts: self._copies(graph, batch, parts))
        if not subsets.numel():
            return
        if self.training and self.rate < 1:
            yield whole.sample(self.rate)
        elif torch.is_grad_enabled():
            yield whole
        else:
            yield from whole.split(_ROWS)

    def _copies(self, graph: SparsityPattern, batch: Data, parts: Sequence[Tensor | None]) -> LabelledCopies:
        """All labelled copies of a batch, from its subsets, edges, their features, and where its graphs begin."""
        subsets, _, _, start = parts
        start = torch.tensor([0, graph.num_rows], device=graph.device) if start is None else start
        return LabelledCopies(graph, self._types(batch, graph), self.edge_types or 1, start, cast(Tensor, subsets))

    def fused(self, h: Tensor, copies: LabelledCopies) -> tuple[Tensor, Tensor]:
        r"""The states :math:`z^s` of labels and :math:`u^s` before the layers on both, a row per (set, node)."""
        steps, mean = copies.steps(self.num_layers_id, merge=not (self.training and self.dropout > 0))
        z = self.label_encoder(torch.arange(self.label_encoder.num_embeddings, device=h.device))
        for layer, (own, adjacency) in zip(self.id_layers, steps):
            z = self._layer(layer, z, adjacency, own)
        z = self.id_out(mean.to(z.dtype) @ z)
        rows = h.index_select(0, copies.node)
        if self.fuse == "cat":
            return z, self.fuse_in(torch.cat([rows, z], dim=1))
        return z, self.fuse_in(rows + z if self.fuse == "add" else rows * z)

    def states(self, h: Tensor, copies: LabelledCopies) -> Tensor:
        r"""The last states :math:`u^s_v`, a row per (set, node)."""
        _, u = self.fused(h, copies)
        for layer in self.global_layers:
            u = self._layer(layer, u, copies.adjacency)
        return u

    def embeddings(self, h: Tensor, copies: LabelledCopies) -> Tensor:
        r"""The embeddings :math:`g^s`, a row per set."""
        u = self.states(h, copies)
        if self.subgraph_pool == "mean" and self.official_mean:
            return self.subgraph_out(reduce_groups(u, copies.sets, "sum") / copies.largest)
        return self.subgraph_out(reduce_groups(u, copies.sets, self.subgraph_pool))

    def _pooled_copies(self, h: Tensor, batch: Data) -> Tensor:
        num_graphs = batch.num_graphs if "ptr" in batch else 1
        parts = [(self.embeddings(h, part), part.graph) for part in self.copies(batch)]
        if not parts:
            return h.new_zeros(num_graphs, self.hidden_channels)
        embeddings, graph = (torch.cat(column) for column in zip(*parts))
        by_graph = Groups(num_graphs, graph, starts(count(graph, num_graphs)))
        return reduce_groups(embeddings, by_graph, cast(str, self.readout))

    def _mean_of_nodes(self, h: Tensor, batch: Data) -> Tensor:
        total, number = torch.zeros_like(h), h.new_zeros(h.size(0), 1)
        for part in self.copies(batch):
            total = total.index_add(0, part.node, self.states(h, part))
            number = number.index_add(0, part.node, h.new_ones(part.node.numel(), 1))
        return self.subgraph_out(total / number.clamp(min=1))

    def _layer(self, block: nn.Module, h: Tensor, adjacency: list[SparseMatrix], own: Tensor | None = None) -> Tensor:
        scale = None if self.edge_encoder is None else self.edge_encoder.weight
        change = block(scaled_sum(h, adjacency, scale))
        return F.dropout((h if own is None else h.index_select(0, own)) + change, self.dropout, self.training)

    def _adjacency(self, batch: Data) -> list[SparseMatrix]:
        graph = sparsity_pattern(batch.edge_index, int(batch.num_nodes or 0))
        return [SparseMatrix(part) for part in by_type(graph, self._types(batch, graph), self.edge_types or 1)]

    def _types(self, batch: Data, graph: SparsityPattern) -> Tensor | None:
        """The kind of each edge; ``None`` if all are alike."""
        if self.edge_types is None:
            return None
        codes = batch.edge_attr
        if codes is None or codes.numel() != batch.num_edges:
            given = "none" if codes is None else f"shape {list(codes.shape)}"
            raise ValueError(f"KLGNN: edge_types needs one code per edge in edge_attr, got {given}")
        return graph.cached(("edge types", self.edge_types), self._checked_types, codes)

    def _checked_types(self, codes: Tensor) -> Tensor:
        types = codes.view(-1).long()
        wrong = (types != codes.view(-1)) | (types < 0) | (types >= cast(int, self.edge_types))
        if bool(wrong.any()):
            raise ValueError(
                f"KLGNN: an edge has the code {codes.view(-1)[wrong][0].item():g}, must be a whole number in "
                f"0..{cast(int, self.edge_types) - 1}; set edge_types"
            )
        return types


_kept: TensorCache[LabelledCopies] = TensorCache()  # with the subsets of a batch


def _block(channels: int, in_channels: int | None = None) -> nn.Sequential:
    first = nn.Linear(channels if in_channels is None else in_channels, channels)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU())
