"""Pairs of nodes without a link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphkit.core.graph_input import as_tensor
from graphkit.tasks.split import STAGES

Blocks = list[tuple[Tensor, Tensor]]  # sources and targets of pairs that may be drawn: of two types, or of one


def link_keys(pairs: Tensor, num_nodes: int, undirected: bool) -> Tensor:
    """One number per pair ``[2, n]``; both directions of an undirected pair have the same."""
    first, second = pairs.long()  # 32 bits are too few for a key
    if undirected:
        first, second = torch.minimum(first, second), torch.maximum(first, second)
    return first * num_nodes + second


def pairs_of(keys: Tensor, num_nodes: int) -> Tensor:
    """The pairs ``[2, n]`` that have these keys."""
    return torch.stack([keys // num_nodes, keys % num_nodes])


def blocks_of(links: Tensor, node_type: Tensor, undirected: bool) -> Blocks:
    """The nodes of each two types between which there are links ``[2, n]``."""
    types = node_type[links]
    types = types.sort(dim=0).values if undirected else types
    ids = {int(kind): (node_type == kind).nonzero().view(-1) for kind in types.unique()}
    return [(ids[source], ids[target]) for source, target in types.unique(dim=1).t().tolist()]


def in_blocks(pairs: Tensor, blocks: Blocks, undirected: bool) -> Tensor:
    """Which pairs ``[2, n]`` lead between the nodes of a block."""
    ways = [pairs, pairs.flip(0)] if undirected else [pairs]
    found = torch.zeros(pairs.size(1), dtype=torch.bool)
    for source, target in blocks:
        for way in ways:
            found |= torch.isin(way[0], source) & torch.isin(way[1], target)
    return found


def sample_negatives(
    links: Tensor,
    num_nodes: int,
    count: int,
    undirected: bool,
    generator: torch.Generator | None = None,
    blocks: Blocks | None = None,
) -> Tensor:
    """Draw distinct pairs ``[2, count]``, uniformly from those that are neither a link nor a self-loop.

    Args:
        links: The sorted keys of all links; see :func:`link_keys`.
        num_nodes: The number of nodes.
        count: How many to draw.
        undirected: Whether (a, b) and (b, a) are the same pair.
        generator: The source of randomness (default: torch's global one).
        blocks: Between which nodes pairs may be; see :func:`blocks_of` (default: between all).

    Raises:
        ValueError: If there are fewer such pairs.
    """
    if blocks is None:
        size, ways, among = num_nodes * (num_nodes - 1) // (2 if undirected else 1), num_nodes**2, ""
    else:
        links = links[in_blocks(pairs_of(links, num_nodes), blocks, undirected)]
        size = ways = sum(_sizes(blocks, undirected))
        among = " between nodes of linked types"
    free = size - links.numel()
    if count > free:
        raise ValueError(
            f"{count} pairs without a link were asked for, but {num_nodes} nodes with {links.numel()} links have only "
            f"{free}{among}; ask for fewer negatives"
        )
    if 2 * count > free:  # drawing until enough are new would take long
        drawn = _every_pair(num_nodes, undirected) if blocks is None else _every_between(blocks, num_nodes, undirected)
        drawn = drawn[~torch.isin(drawn, links)]
    else:
        drawn, doubled = links.new_empty(0), 2 if undirected and blocks is None else 1
        while drawn.numel() < count:
            missing = int(1.1 * (count - drawn.numel()) * ways / (free * doubled)) + 16
            if blocks is None:
                pairs = torch.randint(num_nodes, (2, missing), generator=generator)
                pairs = pairs[:, pairs[0] != pairs[1]]
            else:
                pairs = _draw_between(blocks, missing, undirected, generator)
            keys = torch.cat([drawn, link_keys(pairs, num_nodes, undirected)]).sort().values
            place = torch.searchsorted(links, keys)  # sorted keys are looked up much faster
            fresh = torch.cat([links, links.new_tensor([-1])])[place] != keys
            fresh[1:] &= keys[1:] != keys[:-1]
            drawn = keys[fresh]
    surplus = torch.randperm(drawn.numel(), generator=generator)[count:]
    chosen = torch.ones(drawn.numel(), dtype=torch.bool).index_fill_(0, surplus, False)
    return pairs_of(drawn[chosen], num_nodes)


def with_negatives(
    parts: Mapping[str, Tensor],
    links: Tensor,
    num_nodes: int,
    undirected: bool,
    per_link: float,
    of_training: bool,
    generator: torch.Generator,
    node_type: Any,
) -> dict[str, Any]:
    """Links of parts by their keys as pairs, and as many distinct pairs without one."""
    sizes = {stage: round(per_link * parts[stage].numel()) for stage in STAGES if stage != "train" or of_training}
    types = None if node_type is None else as_tensor(node_type, "node_type").long().cpu()
    blocks = None if types is None else blocks_of(pairs_of(links, num_nodes), types, undirected)
    drawn = sample_negatives(links, num_nodes, sum(sizes.values()), undirected, generator, blocks)
    drawn = drawn[:, torch.randperm(drawn.size(1), generator=generator)]
    negatives = dict(zip(sizes, drawn.split(list(sizes.values()), dim=1), strict=True))
    return {
        **{stage: pairs_of(keys, num_nodes) for stage, keys in parts.items()},
        **{f"{stage}_negatives": negatives.get(stage) for stage in STAGES},
        "node_type": types,
    }


def _every_pair(num_nodes: int, undirected: bool) -> Tensor:
    everything = torch.arange(num_nodes * num_nodes)
    source, target = pairs_of(everything, num_nodes)
    return everything[(source < target) if undirected else (source != target)]


def _every_between(blocks: Blocks, num_nodes: int, undirected: bool) -> Tensor:
    pairs = torch.cat([torch.cartesian_prod(*block).t() for block in blocks], dim=1)
    return link_keys(pairs[:, pairs[0] != pairs[1]], num_nodes, undirected).unique()


def _sizes(blocks: Blocks, undirected: bool) -> list[int]:
    """How many pairs each block has, without loops; two types of nodes share none."""
    halves = 2 if undirected else 1
    return [
        len(source) * (len(source) - 1) // halves if torch.equal(source, target) else len(source) * len(target)
        for source, target in blocks
    ]


def _draw_between(blocks: Blocks, count: int, undirected: bool, generator: torch.Generator | None) -> Tensor:
    """Pairs, each with the same probability, of blocks in proportion to their sizes."""
    shares = torch.tensor(_sizes(blocks, undirected), dtype=torch.float64)
    block = torch.multinomial(shares, count, replacement=True, generator=generator)
    parts = []
    for number, (source, target) in enumerate(blocks):
        some, same = int((block == number).sum()), torch.equal(source, target)
        i = torch.randint(len(source), (some,), generator=generator)
        j = torch.randint(len(target) - same, (some,), generator=generator)
        parts.append(torch.stack([source[i], target[j + (j >= i) if same else j]]))
    return torch.cat(parts, dim=1)
