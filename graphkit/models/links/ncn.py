"""Neural common neighbours: scores of pairs from those whom both nodes know, or may know."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import attributes_of
from graphkit.core.constraints import Count, Finite, Positive
from graphkit.core.signatures import takes_arguments_of
from graphkit.models.links.pair_scorer import PairScorer
from graphkit.nn.common_neighbours import CommonNeighbourDecoder, Completion
from graphkit.ops import SparsityPattern, sparsity_pattern

_PARTS = 3  # at most one of so many edges is hidden at a time


class NCN(PairScorer):
    r"""Neural Common Neighbor: any encoder of nodes, and scores that see the common neighbours of a pair.

    From `"Neural Common Neighbor with Completion for Link Prediction" <https://arxiv.org/abs/2302.00890>`_ (Wang, Yang,
    Zhang, ICLR 2024).

    .. math::
        s_{ij} = \mathrm{lin}\Big(\beta \, \mathrm{xcnlin}\Big(\sum_{u \in N(i) \cap N(j)} \tilde h_u\Big)
        + \mathrm{xijlin}(h_i \odot h_j)\Big), \qquad \tilde h = h + \mathrm{xlin}(h)

    with the encoder's :math:`h_u` for node :math:`u` and its neighbours :math:`N(u)` in the graph that may be seen;
    :class:`~graphkit.nn.common_neighbours.CommonNeighbourDecoder` explains the networks. Directions of edges do not
    count.

    **While training, a link is not seen when it is predicted**: the pairs of the batch are taken out of the graph,
    which encoder and scores then read. As a graph without most of its edges teaches little, a batch that hides more
    than a third of them is taken in several parts, each in the graph without its own pairs; that is what training
    without a batch size does. What an encoder wants precomputed, such as hops or paths, is that of all training links.
    The official code instead drops the last, incomplete batch of an epoch.

    Args:
        encoder: A model for nodes: graphkit's, PyG's or any other that has ``reset_parameters`` and that
            :class:`PyGModel` can call. :meth:`from_task` also takes the name of a graphkit model, or its ``class_path``
            and ``init_args``. :class:`PureGCN` is the paper's on most graphs.
        hidden_channels: The width of the scoring networks (default: 64).
        dropout: The probability of dropping an entry in them (default: 0).
        edge_dropout: The probability that a node forgets a neighbour while training (default: 0).
        layer_norm: Whether they have layer normalisation (default: ``True``).
        use_xlin: Whether :math:`\tilde h` differs from :math:`h` (default: ``True``).
        tail_act: Whether ``xcnlin`` and ``xijlin`` end with a rectifier instead of a linear map (default: ``False``).
        two_layer_lin: Whether ``lin`` has another layer (default: ``False``).
        beta: The initial :math:`\beta`, which is trained (default: 1).

    Shapes:
        - **input:** a PyG ``Data`` with what the encoder needs, ``edge_index`` and ``edge_label_index``
          ``[2, num_pairs]``

    Example:
        >>> from graphkit.models import GCN
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> data.edge_label_index = torch.tensor([[0, 0], [1, 2]])
        >>> NCN(GCN(4, 8))(data).shape
        torch.Size([2, 1])
    """

    @takes_arguments_of(CommonNeighbourDecoder, without=("in_channels", "completion"))
    def __init__(
        self,
        encoder: Any,
        *,
        embedding_channels: Count | None = None,
        **of_decoder: Any,
    ) -> None:
        super().__init__(encoder, embedding_channels)
        self.keep_arguments(of_decoder)
        self.reads = replace(self.reads, edge_index=True)
        self.scorer = CommonNeighbourDecoder(self._width, **of_decoder)
        self.reset_parameters()

    @classmethod
    def check_task(cls, task: Any) -> None:
        """Refuse labels of edges, which are not the question whether an edge is there, and rankings."""
        super().check_task(task)
        if task.judges_pairs and not task.judges_links:
            raise ValueError(
                f"{cls.__name__} tells links from pairs without one, but task {task.name!r} has labels of edges that "
                "are known; use LinkPredictor"
            )

    def outputs(self, batch: Data) -> Tensor:
        """The scores of the batch's pairs; while training, without the edges between them."""
        pairs = batch.get("edge_label_index")
        if not self.training or pairs is None:
            return super().outputs(batch)
        graph = sparsity_pattern(batch.edge_index, batch.num_nodes)
        hidden = int(_between(graph, pairs).sum())
        parts = max(1, min(math.ceil(_PARTS * hidden / max(1, graph.num_edges)), pairs.size(1)))
        scores = [super(NCN, self).outputs(_without(batch, graph, pairs[:, k::parts])) for k in range(parts)]
        order = torch.cat([torch.arange(k, pairs.size(1), parts) for k in range(parts)])
        return torch.cat(scores)[order.argsort().to(pairs.device)]

    def score(self, h: Tensor, pairs: Tensor, batch: Data) -> Tensor:
        return self.scorer(h, batch.edge_index, pairs)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.scorer.reset_parameters()


class NCNC(NCN):
    r"""Neural Common Neighbor with Completion: :class:`NCN` that also counts those who may become common neighbours.

    From `"Neural Common Neighbor with Completion for Link Prediction" <https://arxiv.org/abs/2302.00890>`_ (Wang, Yang,
    Zhang, ICLR 2024).

    A neighbour :math:`u` of :math:`i` alone is added to the sum over common neighbours with the probability
    :math:`P_{ju}` that the link :math:`(j, u)` is missing, which the model itself guesses:

    .. math::
        P_{ju} = \alpha \frac{\pi p}{\pi p + 1 - p}, \qquad
        p = \mathrm{sigmoid}(\mathrm{scale} \, (s_{ju} - \mathrm{offset}))

    and so for neighbours of :math:`j` alone. The guesses are scores of NCN, or with ``depth`` above 1 those of NCNC of
    a depth less, without gradient.

    Args:
        depth: How often guesses are guessed (default: 1).
        scale: The slope of the guess (default: 5).
        offset: The score where :math:`p` is one half (default: 3).
        alpha: The largest weight :math:`\alpha` of a guessed neighbour (default: 1).
        pt: The odds :math:`\pi` by which a link is missing (default: 0.5).

    Example:
        >>> from graphkit.models import GCN
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> data.edge_label_index = torch.tensor([[0, 0], [1, 2]])
        >>> NCNC(GCN(4, 8), alpha=0.5)(data).shape
        torch.Size([2, 1])
    """

    @takes_arguments_of(NCN)
    def __init__(
        self,
        encoder: Any,
        *,
        depth: Count = 1,
        scale: Finite = 5.0,
        offset: Finite = 3.0,
        alpha: Finite = 1.0,
        pt: Positive = 0.5,
        **of_ncn: Any,
    ) -> None:
        super().__init__(encoder, **of_ncn)
        self.depth, self.scale, self.offset, self.alpha, self.pt = depth, scale, offset, alpha, pt
        self.scorer.completion = Completion(depth, scale, offset, alpha, pt)


def _between(graph: SparsityPattern, pairs: Tensor) -> Tensor:
    """Which entries of a structure join the nodes of one of the pairs, in either direction."""
    n = graph.num_rows
    entries = graph.row * n + graph.col  # sorted
    wanted = torch.cat([pairs[0] * n + pairs[1], pairs[1] * n + pairs[0]])
    start, end = (torch.searchsorted(entries, wanted, right=right) for right in (False, True))
    change = torch.zeros(entries.numel() + 1, dtype=torch.long, device=entries.device)
    one = torch.ones_like(start)
    return change.index_add(0, start, one).index_add(0, end, -one).cumsum(0)[:-1] > 0


def _without(batch: Data, graph: SparsityPattern, pairs: Tensor) -> Data:
    """The batch with these pairs alone, and without the edges between their nodes."""
    visible = (~_between(graph, pairs)).nonzero().squeeze(1)
    out = copy.copy(batch)
    out.edge_index = torch.stack([graph.col[visible], graph.row[visible]])  # sorted: its structure comes cheaply
    for key in attributes_of("edge", batch, "NCNC"):
        out[key] = graph.to_csr(batch[key])[visible]
    out.edge_label_index = pairs
    return out
