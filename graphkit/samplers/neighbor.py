"""GraphSAGE's neighbour sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.sampling.subgraphs import Subgraph, SubgraphSource
from graphkit.core.constraints import not_empty
from graphkit.samplers.base import Evaluation, Fanout, Sampler


class NeighborSampler(Sampler):
    r"""Neighbour sampling: so many random neighbours of the roots, so many of theirs, and so on.

    From `"Inductive Representation Learning on Large Graphs" <https://arxiv.org/abs/1706.02216>`_ (Hamilton, Ying,
    Leskovec, NeurIPS 2017).

    .. math::
        V_0 = B, \qquad V_{i+1} = V_i \cup \bigcup_{v \in V_i \setminus V_{i-1}} S_{k_i}(N(v))

    where :math:`B` are the roots of a batch and :math:`S_k` draws :math:`k` neighbours uniformly, all if there are no
    more. A model of :math:`L` layers needs :math:`L` fan-outs. With all neighbours (-1), roots get exactly what they
    get on the whole graph, if layers read nothing but the neighbours' states. Nodes at the rim come without the edges
    that enter them: a layer that divides by the degree of the source, as GCN does, needs one hop more for that, and
    computes something else with :math:`L` fan-outs, here as in PyG. ``evaluate="whole"`` and ``"layerwise"`` judge by
    the degrees of the whole graph.

    Roots come first among a batch's nodes; its ``batch_size`` says how many they are, as with PyG's ``NeighborLoader``.

    Args:
        num_neighbors: The number of neighbours per hop, e.g. ``[15, 10, 5]``; -1 takes all.
        replace: Draw with replacement (default: ``False``).
        subgraph_type: ``"directional"`` for the edges that were drawn, ``"induced"`` for all edges between the nodes
            drawn (default: ``"directional"``).

    Raises:
        ValueError: If there are no fan-outs, or one is 0 or below -1.

    Example:
        >>> import torch
        >>> from torch_geometric.datasets import KarateClub
        >>> batch = next(NeighborSampler([3, 2]).batches(KarateClub()[0], torch.tensor([0, 5]), batch_size=2))
        >>> batch.n_id[:2].tolist(), batch.root_index.tolist(), batch.batch_size
        ([0, 5], [0, 1], 2)
    """

    default_batch_size: ClassVar[int | None] = 1024
    scope: ClassVar[str] = "num_neighbors"

    def __init__(
        self,
        num_neighbors: Fanout | Annotated[Sequence[Fanout], not_empty],
        replace: bool = False,
        subgraph_type: Literal["directional", "induced"] = "directional",
        evaluate: Evaluation = "sampled",
        inductive: bool = False,
    ) -> None:
        super().__init__(evaluate, inductive)
        self.num_neighbors = list(num_neighbors) if isinstance(num_neighbors, Sequence) else [num_neighbors]
        self.replace = replace
        self.subgraph_type = subgraph_type

    def draw(self, source: SubgraphSource, job: Tensor, seed: int, index: int) -> Subgraph:
        return source.neighbors(job, self.num_neighbors, self.replace, self.subgraph_type == "induced", seed, index)

    def annotate(self, batch: Data, subgraph: Subgraph, source: SubgraphSource, prepared: Any) -> None:
        batch.batch_size = batch.root_index.numel()
