"""Link tasks: scores of pairs that change in every epoch, and drawing them."""

from __future__ import annotations

import torch
from torch_geometric.nn import InnerProductDecoder
from torch_geometric.utils import negative_sampling

from benchmarks.speed.common import Benchmark, benchmark, random_graph, with_gradients
from graphkit.ops import sddmm
from graphkit.tasks.negatives import link_keys, sample_negatives

NODES, LINKS = 20_000, 200_000


@benchmark("link_scores")
def link_scores() -> Benchmark:
    """Dot products of 200k pairs of 20k nodes, 128 wide, with gradients; pairs not seen before."""
    pairs, h = random_graph(NODES, LINKS), torch.randn(NODES, 128, requires_grad=True)

    def gathered() -> tuple[torch.Tensor, ...]:
        return with_gradients((h.index_select(0, pairs[0]) * h.index_select(0, pairs[1])).sum(1), h)

    return Benchmark(
        ours=lambda: with_gradients(sddmm(pairs.clone(), h, h), h),  # a clone: nothing is known of it
        opponent=gathered,
        against="(h[source] * h[target]).sum(1) by index_select",
        beside=(
            "torch_geometric.nn.InnerProductDecoder",
            lambda: with_gradients(InnerProductDecoder()(h, pairs, sigmoid=False), h),
        ),
    )


@benchmark("link_negatives")
def link_negatives() -> Benchmark:
    """200k distinct pairs without a link, drawn for 20k nodes with 200k links."""
    edge_index = random_graph(NODES, LINKS)
    links = link_keys(edge_index[:, edge_index[0] != edge_index[1]], NODES, True).unique()

    def ours() -> None:
        sample_negatives(links, NODES, LINKS, True)

    def theirs() -> None:
        negative_sampling(edge_index, NODES, LINKS, method="sparse")

    return Benchmark(ours=ours, opponent=theirs, against="torch_geometric.utils.negative_sampling, sparse")
