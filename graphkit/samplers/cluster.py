"""Cluster-GCN: unions of clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.algorithms.sampling.partition import partition
from graphkit.algorithms.sampling.subgraphs import Subgraph, SubgraphSource
from graphkit.core.constraints import Count, NonNegativeInt
from graphkit.samplers.base import Evaluation, Sampler, cached_on_disk, in_chunks, weighted_degree
from graphkit.transforms.base import float_dtype


class ClusterSampler(Sampler):
    r"""Cluster-GCN: the nodes are divided into clusters once, and a batch joins some clusters at random.

    From `"Cluster-GCN: An Efficient Algorithm for Training Deep and Large Graph Convolutional Networks"
    <https://arxiv.org/abs/1905.07953>`_ (Chiang et al., KDD 2019).

    A batch is the subgraph that is induced by the union of ``clusters_per_batch`` clusters, so that edges between these
    come back ("stochastic multiple partitions"). Every cluster with a node that counts is in one batch of each pass.

    With a ``halo``, nodes come along that are so many hops around the clusters; these are read and do not count.
    Batches then have

    - ``halo``, which nodes these are; they stand behind those of the clusters;
    - ``full_degree``, the weighted in-degree on the graph that is sampled.

    The paper divides the nodes by METIS, which is compiled; here :func:`~graphkit.algorithms.partition` does. Clusters
    are cached in a file of graphkit's data folder.

    Args:
        num_clusters: The number of clusters.
        clusters_per_batch: How many of them are joined (default: 1).
        halo: How many hops around the joined clusters come along (default: 0).

    Raises:
        ValueError: If a batch is to have more clusters than there are, or (when drawn) the graph has fewer nodes.

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> [batch.num_nodes for batch in ClusterSampler(4, clusters_per_batch=2).batches(KarateClub()[0])]
        [17, 17]
    """

    scope: ClassVar[str] = "clusters_per_batch"

    def __init__(
        self,
        num_clusters: Count,
        clusters_per_batch: Count = 1,
        evaluate: Evaluation = "whole",
        inductive: bool = False,
        halo: NonNegativeInt = 0,
    ) -> None:
        super().__init__(evaluate, inductive)
        if clusters_per_batch > num_clusters:
            raise ValueError(
                f"ClusterSampler: clusters_per_batch={clusters_per_batch}, must be at most num_clusters={num_clusters}"
            )
        self.num_clusters = num_clusters
        self.clusters_per_batch = clusters_per_batch
        self.halo = halo

    def prepare(self, data: Data, source: SubgraphSource, roots: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted in-degree of each node, and which nodes count."""
        counts = torch.zeros(source.num_nodes, dtype=torch.bool)
        counts[roots] = True
        return weighted_degree(data, source), counts

    def plan(
        self, source: SubgraphSource, roots: Tensor, batch_size: int, generator: torch.Generator | None, prepared: Any
    ) -> list[Tensor]:
        if self.num_clusters > source.num_nodes:
            raise ValueError(
                f"ClusterSampler: num_clusters={self.num_clusters}, must be at most the graph's number of nodes, "
                f"{source.num_nodes}"
            )
        cluster = cached_on_disk(
            self,
            ("clusters", self.num_clusters),
            source,
            lambda: [partition(source.edge_index(), source.num_nodes, self.num_clusters).numpy()],
            lambda arrays: torch.from_numpy(arrays[0]),
        )
        useful = cluster[roots].unique()
        members = cluster.sort(stable=True).indices.split(cluster.bincount().tolist())
        joined = in_chunks(useful, self.clusters_per_batch, generator)
        return [torch.cat([members[c] for c in group.tolist()]) for group in joined]

    def draw(self, source: SubgraphSource, job: Tensor, seed: int, index: int) -> Subgraph:
        if self.halo == 0:
            return source.induced(job.numpy())
        part = source.neighbors(job, [-1] * self.halo, induced=True)
        return replace(part, hop=(torch.arange(part.nodes.numel()) >= job.numel()).long())

    def annotate(self, batch: Data, subgraph: Subgraph, source: SubgraphSource, prepared: Any) -> None:
        if subgraph.hop is not None:
            degree, counts = prepared
            batch.halo = subgraph.hop > 0
            batch.full_degree = degree[subgraph.nodes].to(float_dtype(batch))
            batch.root_index = (counts[subgraph.nodes] & ~batch.halo).nonzero().view(-1)
