"""Path convolution: an LSTM or a perceptron reads the paths that end at each node."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch_geometric import EdgeIndex
from torch_geometric.utils import is_sparse

from graphkit.algorithms import enumerate_paths
from graphkit.algorithms.paths.enumeration import PATHS, PathSet
from graphkit.core.caching import of_tensor
from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Count, OneOf, Probability
from graphkit.core.devices import CPU, Asked, ask_ahead, moved
from graphkit.core.overriding import check_as_written
from graphkit.core.validate import check_codes
from graphkit.nn.layer import Layer
from graphkit.nn.node_axis import one_graph
from graphkit.nn.path_lstm import AskedPaths, Step, ask_paths, edges_between, is_closed, path_lstm, read_paths
from graphkit.nn.perceptron import Perceptron
from graphkit.ops import SparsityPattern, backend, sparsity_pattern, unweighted_pattern
from graphkit.ops.groups import Groups
from graphkit.ops.segment import group_rows, reduce_groups

_UNTRACED = "which paths there are follows from the contents of edges"


_KEPT = 7  # numbers per step and channel: four gates, both states, and a tanh


class _Block(NamedTuple):
    """Some of the paths, ``nodes`` ``[k + 1, num_paths]`` and ``distances`` ``[num_paths, k + 1]``, with its number."""

    number: int
    nodes: Tensor
    distances: Tensor | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells the results of blocks apart in a cache that knows the contents."""
        return self.number, self.nodes.size(0), self.distances is None


class PathConv(Layer):
    r"""Path convolution: the sum over all paths of one length that end at a node, each read by an LSTM.

    From `"Path Neural Networks: Expressive and Accurate Graph Neural Networks" <https://arxiv.org/abs/2306.05955>`_
    (Michel, Nikolentzos, Lutzeyer, Vazirgiannis, ICML 2023).

    .. math::
        s_v = \bigoplus_{p \in P_k(v)} \mathrm{LSTM}(z_k, \dots, z_1, z_0), \qquad
        z_i = [\, x_{p_i} \;\|\; D_{d(p_i, v)} \;\|\; e_{p_{i+1} \to p_i} \,]

    :math:`P_k(v)` holds the paths :math:`p_k \to \dots \to p_1 \to p_0 = v` of length :math:`k`; the LSTM reads them
    from the far end and its last hidden state counts. :math:`D` embeds the distance :math:`d` to :math:`v`
    (``encode_distances``) and :math:`e` are the features of the edge that was taken, zeros at the far end
    (``edge_dim``). A node without paths gets zeros. On an undirected graph paths run in both directions; self-loops and
    repeated edges do not count.

    The LSTM's state depends only on what it has read, so common beginnings of paths are run once, and the product of
    the inputs with the LSTM's weights is taken once per node, edge and distance. Dropout while training acts on each
    input of each path, as in the official code, and rules both out.

    With ``encoder="mlp"`` a perceptron of two layers reads all :math:`z_i` of a path at once, and with ``close_cycles``
    also whether an edge leads from :math:`v` back to :math:`p_k` (for :math:`k \ge 2`): as many simple paths are closed
    as there are directed cycles of :math:`k + 1` edges through :math:`v`. This is our own reading of the k-path rooted
    subgraphs of `"Revisiting Graph Neural Networks on Graph-level Tasks" <https://arxiv.org/abs/2501.00773>`_ (Li et
    al., 2025), whose encoder is described by a sentence only and has no published code.

    Its messages are paths: with PyG's masks of edges, a path counts as much as the product of its edges' masks.

    Args:
        in_channels: The size of each node's features.
        out_channels: The size of the LSTM's state, or of the perceptron's output.
        length: The length :math:`k` of paths; for the LSTM also the largest length of given ones (default: 2).
        paths: Which paths there are: ``"shortest"`` (one per pair of nodes, which depends on the numbering of nodes),
            ``"all_shortest"`` or ``"simple"`` (default: ``"simple"``); see
            :func:`~graphkit.algorithms.enumerate_paths`.
        encode_distances: Whether the distance to :math:`v` is read, too (default: for simple paths, as in the official
            code; along shortest paths it is the position).
        encoder: What reads a path, ``"lstm"`` or ``"mlp"`` (default: ``"lstm"``).
        close_cycles: Whether a perceptron also reads which paths are closed (default: ``False``).
        edge_dim: The size of each edge's features that are read, too (default: none are).
        aggr: ``"sum"`` or ``"mean"`` (default: ``"sum"``).
        dropout: The probability of dropping an entry of the encoder's inputs (default: 0).

    Shapes:
        - **input:** ``x`` ``[num_nodes, in_channels]``, ``edge_index`` ``[2, num_edges]``, ``edge_attr`` ``[num_edges,
          edge_dim]`` if there is an ``edge_dim``; optionally paths of one length as
          :class:`~graphkit.transforms.Paths` gives them, ``path_index`` ``[k + 1, num_paths]`` and, for simple paths,
          ``path_distance`` ``[num_paths, k + 1]`` (default: computed, and cached with ``edge_index``); optionally
          ``edge_kind`` ``[num_edges]``, the row of ``edge_attr`` that each edge has, where few kinds of edges make
          products with fewer rows (default: ``edge_attr`` has one row per edge)
        - **output:** ``[num_nodes, out_channels]``

    Raises:
        ValueError: If an argument is out of range, edge features are missing or of another size, there are too many
            paths, a given path is too long (for a perceptron: has another length) or not in the graph, or an LSTM is to
            close cycles.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> PathConv(4, 8, length=2)(torch.ones(3, 4), edge_index).count_nonzero(1)
        tensor([8, 0, 8])
    """

    takes_sparse = False
    fast_aggr = ("sum", "mean")  # of paths
    checks = Checks(
        [
            {},
            {"edge_dim": None, "aggr": "mean"},
            {"paths": "all_shortest", "encode_distances": True, "dropout": 0.5},
            # longer ones depend on the numbering of nodes
            {"paths": "shortest", "length": 1, "encode_distances": True},
            {"encoder": "mlp", "close_cycles": True, "dropout": 0.5},
        ],
        expected_failures=untraced(_UNTRACED) | {"edge_masks": "a self-loop is on no path, so its mask has no effect"},
    )

    def __init__(
        self,
        in_channels: Count,
        out_channels: Count,
        length: Count = 2,
        paths: Annotated[str, OneOf(PATHS)] = "simple",
        encode_distances: bool | None = None,
        edge_dim: Count | None = None,
        aggr: Literal["sum", "mean"] = "sum",
        dropout: Probability = 0.0,
        encoder: Literal["lstm", "mlp"] = "lstm",
        close_cycles: bool = False,
        **kwargs: Any,
    ) -> None:
        if close_cycles and encoder != "mlp":
            raise ValueError(f"PathConv: close_cycles is read by encoder='mlp' only, but encoder={encoder!r}")
        super().__init__(aggr, **kwargs)
        self.in_channels, self.out_channels, self.length, self.paths = in_channels, out_channels, length, paths
        self.encode_distances = paths == "simple" if encode_distances is None else encode_distances
        self.edge_dim, self.dropout, self.close_cycles = edge_dim, dropout, close_cycles
        self.distance_encoder = nn.Embedding(length + 1, in_channels) if self.encode_distances else None
        width = in_channels * (1 + self.encode_distances) + (edge_dim or 0)
        self.lstm = nn.LSTM(width, out_channels) if encoder == "lstm" else None
        whole = width * (length + 1) + close_cycles
        self.mlp = Perceptron(whole, out_channels, out_channels) if encoder == "mlp" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform for distances and the perceptron, torch's defaults for the LSTM."""
        if self.distance_encoder is not None:
            nn.init.xavier_uniform_(self.distance_encoder.weight)
        for encoder in (self.lstm, self.mlp):
            if encoder is not None:
                encoder.reset_parameters()

    @one_graph
    @torch.compiler.disable(reason=_UNTRACED)
    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None = None,
        path_index: Tensor | None = None,
        path_distance: Tensor | None = None,
        edge_kind: Tensor | None = None,
    ) -> Tensor:
        """One convolution; see the class for shapes."""
        self.refuse_messages("sends paths, not messages along single edges")
        check_as_written(self, "lstm", "distance_encoder")
        if path_index is None and _is_plain(edge_index):
            ask_ahead(_ask_edges, edge_index)
        graph = unweighted_pattern(self.edges(edge_index, x.size(0)), x.size(0), "PathConv")
        if graph.traced:
            cast(Any, graph).refuse("the paths")
        if self.edge_dim is None:
            edge_attr = edge_kind = None
        else:
            self._check_edges(edge_attr, edge_kind, graph.num_edges)
        if path_index is None:
            key = ("paths", self.paths, self.length)
            paths = graph.cached(key, lambda: self._find(edge_index, graph))
            path_index, path_distance = paths.nodes, paths.distances
        if path_index.size(0) > self.length + 1 or (self.mlp is not None and path_index.size(0) <= self.length):
            most = "lengths up to " if self.mlp is None else ""
            raise ValueError(
                f"PathConv: paths of length {path_index.size(0) - 1} were given, but the layer was made for {most}"
                f"length={self.length}"
            )
        if not self.encode_distances:
            path_distance = None
        elif self.paths != "simple":
            path_distance = _shortest(graph, path_index)
        elif path_distance is None:
            raise ValueError("PathConv: path_distance is missing; simple paths need it to encode distances")
        blocks = self._blocks(graph, path_index, path_distance)
        for block in blocks:
            self._ask(block, graph)
        sums: Any = functools.partial(self._sum, x, edge_attr, edge_kind, graph)
        if len(blocks) > 1:
            sums = functools.partial(checkpoint, sums, use_reentrant=False)
        total = functools.reduce(torch.add, (sums(block) for block in blocks))
        if self.aggr == "sum":
            return total
        counts = [self._ends(block, graph).counts(total.dtype) for block in blocks]
        return total / functools.reduce(torch.add, counts).clamp_(min=1).unsqueeze(1)

    def _find(self, edge_index: Tensor, graph: SparsityPattern) -> PathSet:
        """The paths, which a CPU finds."""
        given, size = graph, graph.num_rows
        if graph.device != CPU and _is_plain(edge_index):
            edges = torch.tensor(_ask_edges(edge_index).values).view(2, -1)
            given = sparsity_pattern(self.edges(edges, size), size)
        return moved(enumerate_paths(given, size, self.length, self.paths)[-1], graph.device)

    def ask_ahead(self, graph: SparsityPattern, path_index: Tensor, path_distance: Tensor | None) -> None:
        """Ask a device of paths that this layer will read, so that the host waits once for those of several layers."""
        if not self.encode_distances:
            path_distance = None
        elif self.paths != "simple":
            path_distance = _shortest(graph, path_index)
        elif path_distance is None:  # is told of when they are read
            return
        for block in self._blocks(graph, path_index, path_distance):
            self._ask(block, graph)

    def _blocks(self, graph: SparsityPattern, index: Tensor, distance: Tensor | None) -> list[_Block]:
        """The paths, on a device in as many parts as it takes that what their encoder keeps is of limited size."""
        width = index.size(0) * (self.in_channels + _KEPT * self.out_channels)
        step = max(1, backend.DEVICE_BLOCK // width)
        if index.device == CPU or index.size(1) <= step:
            return [_Block(0, index, distance)]

        def split(index: Tensor, distance: Tensor | None) -> list[_Block]:
            rows = [None] * -(-index.size(1) // step) if distance is None else distance.split(step)
            return [_Block(number, *part) for number, part in enumerate(zip(index.split(step, dim=1), rows))]

        return graph.cached(("blocks of paths", step, index.size(0), distance is None), split, index, distance)

    def _ask(self, block: _Block, graph: SparsityPattern) -> AskedPaths | None:
        if block.nodes.device == CPU:
            return None
        merge = self._merges
        return graph.cached(
            ("asked of paths", merge, *block.key),
            lambda index, distance: ask_paths(index, distance, graph, merge),
            block.nodes,
            block.distances,
        )

    def _ends(self, block: _Block, graph: SparsityPattern) -> Groups:
        """The paths of a block by the node where they end."""
        asked = self._ask(block, graph)
        return graph.cached(
            ("ends", *block.key),
            lambda index: group_rows(index[0].long() if asked is None else asked.ends, index.size(1), graph.num_rows),
            block.nodes,
        )

    @property
    def _merges(self) -> bool:
        """Whether paths that begin alike are read once as far as they do."""
        return self.mlp is None and not (self.training and self.dropout > 0)

    def _check_edges(self, edge_attr: Tensor | None, edge_kind: Tensor | None, num_edges: int) -> None:
        rows = edge_attr if edge_kind is None else edge_kind
        if edge_attr is None or rows is None or (len(rows), edge_attr.size(-1)) != (num_edges, self.edge_dim):
            given = "none" if edge_attr is None else list(edge_attr.shape)
            kinds = "" if edge_kind is None else f" for edge_kind of shape {list(edge_kind.shape)}"
            raise ValueError(f"PathConv needs edge_attr of shape [{num_edges}, {self.edge_dim}], got {given}{kinds}")
        if edge_kind is not None:
            check_codes(edge_kind.view(-1, 1), [len(edge_attr)], "edge_kind of PathConv")

    def _sum(
        self, x: Tensor, edge_attr: Tensor | None, edge_kind: Tensor | None, graph: SparsityPattern, block: _Block
    ) -> Tensor:
        """The sum over the paths of a block that end at each node."""
        states = self._read(x, edge_attr, edge_kind, graph, block)
        if self._explain:
            nodes, mask = block.nodes.long(), self._mask(graph.edge_id, graph.num_edges)
            for source, target in zip(nodes[1:], nodes):
                states = states * mask[edges_between(source, target, graph)].unsqueeze(1)
        return reduce_groups(states, self._ends(block, graph), "sum")

    def _read(
        self, x: Tensor, edge_attr: Tensor | None, edge_kind: Tensor | None, graph: SparsityPattern, block: _Block
    ) -> Tensor:
        """What the encoder makes of each path."""
        asked, merge, index = self._ask(block, graph), self._merges, block.nodes
        steps = graph.cached(
            ("steps", merge, *block.key),
            lambda index, distance: read_paths(index, distance, graph, merge, asked),
            index,
            block.distances,
        )
        if self.mlp is not None:
            inputs = self._inputs(steps, x, edge_attr, edge_kind)
            inputs += [is_closed(index, graph).to(x.dtype).unsqueeze(1)] if self.close_cycles else []
            return self.mlp(F.dropout(torch.cat(inputs, dim=1), self.dropout, self.training))
        assert self.lstm is not None
        parents = [step.parent for step in steps]
        distances = None if self.distance_encoder is None else self.distance_encoder.weight
        weight_ih, weight_hh = cast(Tensor, self.lstm.weight_ih_l0), cast(Tensor, self.lstm.weight_hh_l0)
        bias = cast(Tensor, self.lstm.bias_ih_l0) + cast(Tensor, self.lstm.bias_hh_l0)
        if not merge:
            inputs = self._inputs(steps, x, edge_attr, edge_kind)
            table = F.linear(F.dropout(torch.cat(inputs), self.dropout), weight_ih, bias)
            places = torch.arange(table.size(0), device=x.device).view(index.shape)
            return path_lstm([(*pair, None) for pair in zip(parents, places)], weight_hh, table)
        widths = [x.size(1), x.size(1) if distances is not None else 0, self.edge_dim or 0]
        of_nodes, of_distances, of_edges = weight_ih.split(widths, dim=1)
        table = F.linear(x, of_nodes, bias)
        rows = [step.node for step in steps]
        if edge_attr is not None:  # from the second step on, one row per edge: its features and those of its target
            along = F.linear(edge_attr, of_edges)
            along = along if edge_kind is None else along.index_select(0, edge_kind)
            table = torch.cat([table, table.index_select(0, graph.edge_index()[1]) + along])
            rows[1:] = [x.size(0) + cast(Tensor, step.edge) for step in steps[1:]]
        hops = [step.distance for step in steps]
        distance_table = None if distances is None else F.linear(distances, of_distances)
        return path_lstm(list(zip(parents, rows, hops)), weight_hh, table, distance_table)

    def _inputs(
        self, steps: Sequence[Step], x: Tensor, edge_attr: Tensor | None, edge_kind: Tensor | None
    ) -> list[Tensor]:
        """What is read in each step, a row per path."""
        if edge_attr is not None and edge_kind is not None:
            edge_attr = edge_attr[edge_kind]
        inputs = []
        for step in steps:
            parts = [x[step.node]]
            if self.distance_encoder is not None:
                parts.append(self.distance_encoder.weight[step.distance])
            if edge_attr is not None:
                none = edge_attr.new_zeros(step.node.numel(), edge_attr.size(1))
                parts.append(none if step.edge is None else edge_attr[step.edge])
            inputs.append(torch.cat(parts, dim=1))
        return inputs

    def __repr__(self) -> str:
        sizes = f"{self.in_channels}, {self.out_channels}"
        return f"{type(self).__name__}({sizes}, length={self.length}, paths={self.paths!r})"


def _is_plain(edge_index: Any) -> bool:
    return isinstance(edge_index, Tensor) and not isinstance(edge_index, EdgeIndex) and not is_sparse(edge_index)


def _ask_edges(edge_index: Tensor) -> Asked:
    """The edges themselves, for the CPU, read with what their pattern asks of them."""
    return of_tensor(edge_index, "edges", lambda: Asked([edge_index]))


def _shortest(graph: SparsityPattern, index: Tensor) -> Tensor:
    """The distances of the nodes of shortest paths, the same tensor each time."""
    size, number = index.shape
    return graph.cached(("distances", size, number), lambda: torch.arange(size, device=index.device).expand(number, -1))
