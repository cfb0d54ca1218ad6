"""PathNN: networks that read paths of growing length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphkit.algorithms.paths.enumeration import PATHS
from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Count, OneOf, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State, edge_attr_of
from graphkit.models.readout import make_pool
from graphkit.models.stack import NORMS, Norm
from graphkit.nn import PathConv
from graphkit.nn.encoders import CodeEncoder
from graphkit.ops import sparsity_pattern
from graphkit.transforms import Paths


class PathNN(LayeredModel):
    r"""Path neural network: layer :math:`k` reads all paths of length :math:`k` that end at a node with one LSTM.

    From `"Path Neural Networks: Expressive and Accurate Graph Neural Networks" <https://arxiv.org/abs/2306.05955>`_
    (Michel, Nikolentzos, Lutzeyer, Vazirgiannis, ICML 2023).

    With :math:`s^{(k)}` the :class:`~graphkit.nn.PathConv` of :math:`h^{(k-1)}` over paths of length :math:`k`,

    .. math::
        h^{(k)} = \mathrm{ReLU}(\mathrm{norm}_k(h^{(k-1)} + s^{(k)})) \quad \text{or, with an mlp,} \quad
        h^{(k)} = \mathrm{MLP}_k(\mathrm{dropout}(\mathrm{norm}_k(h^{(k-1)} + s^{(k)})))

    for :math:`k = 1, \dots, K`; :math:`\mathrm{norm}_k` is left out where paths are averaged, as in the official code.
    The states :math:`h^{(K)}` are read out. All layers share one LSTM and one embedding of distances, so they cannot be
    trained apart.

    ``paths`` is the variant: ``"shortest"`` (SP), ``"all_shortest"`` (SP+) or ``"simple"`` (AP). SP depends on the
    numbering of nodes, by ties among shortest paths; SP+ and AP do not. The official code's three versions:

    - plain (TU sets): the defaults
    - edge features (molecules): ``mlp=True`` with ``node_types`` and ``edge_types``, whose embeddings are the code's
      atom and bond encoders
    - synthetic (expressive power): ``norm=None``, ``head_layers=0``, ``readout="sum"``, and ``l2_norm=True`` for AP

    With ``encoder="mlp"`` layer :math:`k` has a perceptron of its own that reads whole paths; with ``close_cycles``,
    over simple paths, it also reads which ones an edge closes, so that sums count cycles of up to :math:`K + 1` edges.
    That is graphkit's own reading of "k-path rooted subgraphs"; see :class:`~graphkit.nn.PathConv`.

    Where sources differ: the paper allows any model of sequences and any aggregation; this is the code. Its ``cutoff``
    counts nodes, ``num_layers`` counts edges, :math:`K = \mathrm{cutoff} - 1`. Edge weights are not used.

    Args:
        num_layers: The number of layers and largest length of paths :math:`K` (default: 3).
        paths: ``"shortest"``, ``"all_shortest"`` or ``"simple"`` (default: ``"shortest"``).
        encode_distances: Whether the LSTM also reads distances to the end of the path (default: for simple paths).
        node_types: Take ``x`` as codes: the number of codes per column. Each column is embedded and the sum is taken,
            instead of a perceptron of ``in_channels`` numbers (default: ``None``).
        edge_types: The same for ``edge_attr``, which the LSTM then reads (default: ``None``).
        edge_dim: The number of numeric edge features; the LSTM reads a linear map of them (default: none).
        aggr: How paths are aggregated, ``"sum"`` or ``"mean"`` (default: ``"sum"``).
        residual: Whether :math:`h^{(k-1)}` is added (default: ``True``).
        l2_norm: Whether each layer first scales states to length 1 (default: ``False``).
        norm: ``"batch_norm"``, ``"layer_norm"`` or ``None``, in the encoder and all layers (default:
            ``"batch_norm"``).
        mlp: Whether layers end in a perceptron of two layers instead of a ReLU (default: ``False``).
        dropout: The probability of dropping an entry: of the LSTM's inputs, before each ``mlp`` and in the head
            (default: 0).
        head_layers: Linear maps after the readout: 2, 1 or 0 (default: 2).
        max_paths: How many paths a graph may have (default: 10 million).
        encoder: What reads paths, ``"lstm"`` or ``"mlp"`` (default: ``"lstm"``).
        close_cycles: Whether perceptrons also read which paths are closed (default: ``False``).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]``, ``edge_index``, ``edge_attr``
          where edge features are read, and the attributes of :class:`~graphkit.transforms.Paths`, which
          ``required_transform()`` adds (the trainer applies it)

    Raises:
        ValueError: If an argument is out of range or unknown, paths or edge features are missing, or a code has no
            embedding.

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> model = PathNN(4, 8, num_layers=2, out_channels=2, paths="simple", readout="sum")
        >>> model(model.required_transform()(data)).shape
        torch.Size([1, 2])
    """

    checks = Checks(
        [
            {"paths": "simple", "edge_dim": None, "readout": "sum"},
            {"paths": "simple", "num_layers": 3, "mlp": True, "dropout": 0.5},
            {"paths": "all_shortest", "aggr": "mean", "norm": "layer_norm", "residual": False, "readout": "mean"},
            {"paths": "shortest", "num_layers": 1, "l2_norm": True, "norm": None, "edge_dim": None, "head_layers": 1},
            {"paths": "simple", "encoder": "mlp", "close_cycles": True},
        ],
        expected_failures=untraced("which paths there are follows from the contents of edges"),
    )

    reads = Reads(edge_attr=True)

    def __init__(
        self,
        in_channels: Count,
        hidden_channels: Count = 64,
        num_layers: Count = 3,
        out_channels: Count | None = None,
        paths: Annotated[str, OneOf(PATHS)] = "shortest",
        encode_distances: bool | None = None,
        node_types: Sequence[Count] | None = None,
        edge_types: Sequence[Count] | None = None,
        edge_dim: Count | None = None,
        aggr: Literal["sum", "mean"] = "sum",
        residual: bool = True,
        l2_norm: bool = False,
        norm: Norm | None = "batch_norm",
        mlp: bool = False,
        dropout: Probability = 0.0,
        head_layers: Literal[0, 1, 2] = 2,
        readout: str | None = None,
        readout_kwargs: dict[str, Any] | None = None,
        max_paths: Count = 10_000_000,
        encoder: Literal["lstm", "mlp"] = "lstm",
        close_cycles: bool = False,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        if head_layers == 0 and out_channels not in (None, hidden_channels):
            raise ValueError(f"PathNN: out_channels={out_channels} needs a head; without one it is {hidden_channels}")
        if edge_types is not None and edge_dim is not None:
            raise ValueError("PathNN: give edge_types for codes or edge_dim for numbers, not both")

        h = hidden_channels
        self.node_encoder = _perceptron(in_channels, h, norm) if node_types is None else CodeEncoder(h, node_types)
        self.edge_encoder: nn.Module | None = None
        if edge_types is not None:
            self.edge_encoder = CodeEncoder(h, edge_types)
        elif edge_dim is not None:
            self.edge_encoder = nn.Linear(edge_dim, h, bias=False)
        self.reads = Reads(edge_attr=self.edge_encoder is not None)
        reads_edges = h if self.reads.edge_attr else None
        options = (paths, encode_distances, reads_edges, aggr, dropout, encoder, close_cycles)
        convs = [PathConv(h, h, num_layers, *options)] * num_layers
        if encoder == "mlp":
            convs = [PathConv(h, h, length, *options) for length in range(1, num_layers + 1)]
        self.layers = nn.ModuleList()
        for conv in convs:
            layer = nn.ModuleDict({"conv": conv})
            if norm is not None and aggr == "sum":
                layer["norm"] = NORMS[norm](h)
            if mlp:
                layer["mlp"] = nn.Sequential(nn.Dropout(dropout), *_perceptron(h, h, norm))
            self.layers.append(layer)
        self.pool = make_pool(readout, h, **(readout_kwargs or {}))
        head: list[nn.Module] = [nn.Linear(h, h), nn.ReLU(), nn.Dropout(dropout)] if head_layers == 2 else []
        self.head = nn.Sequential(*head, *([nn.Linear(h, self.out_channels)] if head_layers else []))
        self.register_load_state_dict_pre_hook(_renamed)
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        return self.node_encoder(self.features(batch, dense=True))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = cast(Tensor, history[-1])
        if self.l2_norm:
            h = F.normalize(h, dim=1)
        path_index = batch.get(f"path_index_{i + 1}")
        if path_index is None:
            raise ValueError(
                f"PathNN: the batch has no path_index_{i + 1}; apply model.required_transform() to each graph "
                "(Trainer.fit does)"
            )
        if i == 0 and path_index.is_cuda:
            self._ask_ahead(batch)
        edge_attr, edge_kind = self._edges(batch)
        layer = cast(nn.ModuleDict, self.layers[i])
        distance = batch.get(f"path_distance_{i + 1}")
        out = layer["conv"](h, batch.edge_index, edge_attr, path_index, distance, edge_kind)
        if self.residual:
            out = out + h
        if "norm" in layer:
            out = layer["norm"](out)
        return layer["mlp"](out) if self.mlp else out.relu()

    def _ask_ahead(self, batch: Data) -> None:
        """Ask a device of the paths of all layers at once."""
        graph = sparsity_pattern(batch.edge_index, batch.num_nodes)
        for i, layer in enumerate(self.layers, 1):
            index, distance = batch.get(f"path_index_{i}"), batch.get(f"path_distance_{i}")
            if index is not None:
                cast(PathConv, cast(nn.ModuleDict, layer)["conv"]).ask_ahead(graph, index, distance)

    def _edges(self, batch: Data) -> tuple[Tensor | None, Tensor | None]:
        """What :class:`PathConv` reads of edges: their features and, for codes, which of them each edge has."""
        if self.edge_encoder is None:
            return None, None
        edge_attr = edge_attr_of(self, batch)
        if isinstance(self.edge_encoder, CodeEncoder):
            return self.edge_encoder.distinct(edge_attr)
        return self.edge_encoder(edge_attr), None

    def required_transform(self) -> BaseTransform | None:
        return Paths(self.num_layers, self.paths, self.max_paths)


def _renamed(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    """Weights of graphkit 0.2 and older, whose encoder of nodes was called ``encoder``."""
    for key in [key for key in state if key.startswith(f"{prefix}encoder.")]:
        state[f"{prefix}node_{key.removeprefix(prefix)}"] = state.pop(key)


def _perceptron(in_channels: int, channels: int, norm: str | None) -> nn.Sequential:
    """Linear, norm and ReLU, twice."""
    parts: list[nn.Module] = []
    for width in (in_channels, channels):
        parts += [nn.Linear(width, channels), *([] if norm is None else [NORMS[norm](channels)]), nn.ReLU()]
    return nn.Sequential(*parts)
