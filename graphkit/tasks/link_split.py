"""Which links are for training, validation and test, and the pairs of nodes that they are told apart from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils.num_nodes import maybe_num_nodes

from graphkit.core.constraints import NonNegative, NonNegativeInt, Probability, Seed, Share, checked
from graphkit.core.graph_input import as_tensor
from graphkit.core.hashing import hash_tensors
from graphkit.core.validate import check_edge_index
from graphkit.tasks.negatives import Blocks, blocks_of, in_blocks, link_keys, pairs_of, with_negatives
from graphkit.tasks.split import STAGES, set_ids
from graphkit.tasks.times import as_times, check_known, parts_by_time, time_bounds


@dataclass(frozen=True, eq=False)
class LinkSplit:
    r"""Disjoint train, validation and test links, and pairs without a link, with a name and a content hash.

    A link is a pair of nodes: row 0 holds sources, row 1 targets. Which edges of a graph carry messages follows from
    the split, so that no link to be predicted can be seen:

    ==========  ===================================================================================
    stage       all edges of the graph but
    ==========  ===================================================================================
    ``train``   validation and test links (and, with ``disjoint``, the links to train on)
    ``val``     validation and test links
    ``test``    test links (and, without ``val_messages``, validation links)
    ==========  ===================================================================================

    Args:
        name: The split's name, e.g. ``"official"``.
        train: The links to train on, of shape ``[2, num_train]``.
        val: The links for validation.
        test: The links for the final score.
        val_negatives: Pairs without a link: ``[2, n]`` shared by all validation links, or ``[2, num_val, k]``, the
            ``k`` that each one is ranked among.
        test_negatives: Likewise for the test.
        train_negatives: Fixed pairs for training, ``[2, n]``; ``None`` draws new ones every epoch (default: ``None``).
        undirected: Whether (a, b) and (b, a) are the same link (default: ``True``).
        disjoint: Whether the links to train on carry no messages while training (default: ``False``).
        recurring: Whether links come back, as in a graph that grows by events: then parts may share links, negatives
            may be links of another part, and all edges of the graph carry messages at all stages, so it must hold
            only those of the past (default: ``False``).
        val_messages: Whether validation links carry messages at the test (default: ``True``).
        node_type: The type of each node ``[num_nodes]``, as PyG's ``HeteroData.to_homogeneous`` numbers them: negatives
            are pairs of types between which there are links, so in a bipartite graph they go from one side to the
            other (default: ``None``, any pairs).
        edge_part: The part in whose time each edge of the graph comes to be, 0 (training), 1 or 2 ``[num_edges]``, in
            the order of ``edge_index``: no edge carries messages before (default: ``None``, edges have no time).

    Raises:
        TypeError: If ids are not integers.
        ValueError: If a part is empty or has a self-loop, or negatives are missing; and, unless links are recurring,
            if a part repeats a link or shares one with another part, or if negatives contain a link.

    Example:
        >>> pairs = torch.tensor([[0, 0, 0], [1, 2, 3]])
        >>> split = LinkSplit("s", *pairs.split(1, dim=1), torch.tensor([[1], [2]]), torch.tensor([[2], [3]]))
        >>> split
        LinkSplit(s: 1/1/1, 68c439242c43)
        >>> split.messages(torch.tensor([[0, 1, 0, 2, 0, 3], [1, 0, 2, 0, 3, 0]]), "train").tolist()
        [True, True, False, False, False, False]
    """

    name: str
    train: Tensor
    val: Tensor
    test: Tensor
    val_negatives: Tensor
    test_negatives: Tensor
    train_negatives: Tensor | None = None
    undirected: bool = True
    disjoint: bool = False
    recurring: bool = False
    val_messages: bool = True
    node_type: Tensor | None = None
    edge_part: Tensor | None = None

    def __post_init__(self) -> None:
        further = (*(f"{stage}_negatives" for stage in STAGES), "node_type", "edge_part")
        set_ids(self, *STAGES, *(name for name in further if getattr(self, name) is not None))
        for stage in STAGES:
            self._check_pairs(getattr(self, stage), f"the {stage} part", (2,))
            negatives = self.negatives(stage)
            if negatives is not None:
                self._check_pairs(negatives, f"{stage}_negatives", (2,) if stage == "train" else (2, 3))
                if negatives.dim() == 3 and negatives.size(1) != getattr(self, stage).size(1):
                    raise ValueError(
                        f"split {self.name!r}: {stage}_negatives has the shape {list(negatives.shape)} for "
                        f"{getattr(self, stage).size(1)} links; expected [2, num_links, k] or [2, n]"
                    )
            elif stage != "train":
                raise ValueError(
                    f"split {self.name!r}: {stage}_negatives are missing; fix pairs without a link, e.g. by "
                    "LinkSplit.random"
                )
        if not self.recurring:
            self._check_overlap()
        if self.node_type is not None:
            self._check_types()

    @classmethod
    @checked
    def random(
        cls,
        edge_index: Any,
        num_nodes: NonNegativeInt,
        val: Share = 0.05,
        test: Share = 0.1,
        seed: Seed = 0,
        undirected: bool = True,
        num_negatives: NonNegative = 1.0,
        fixed_negatives: bool = False,
        disjoint: Probability = 0.0,
        val_messages: bool = True,
        name: str | None = None,
        node_type: Any = None,
    ) -> LinkSplit:
        r"""Draw the links of every part uniformly, and as many distinct pairs without a link.

        The parts have the sizes of PyG's ``RandomLinkSplit``. Self-loops of the graph are no links and repeated edges
        are one.

        Args:
            edge_index: The graph's edges ``[2, num_edges]``.
            num_nodes: The number of nodes.
            val: The share of links for validation (default: 0.05).
            test: The share of links for the test (default: 0.1).
            seed: The seed (default: 0).
            undirected: Whether (a, b) and (b, a) are the same link (default: ``True``).
            num_negatives: The number of pairs without a link, per link (default: 1).
            fixed_negatives: Whether those for training are drawn here, not every epoch (default: ``False``).
            disjoint: The share of training links to train on, while the others carry the messages; 0 lets all do both
                (default: 0).
            val_messages: Whether validation links carry messages at the test (default: ``True``).
            name: The split's name (default: ``"random/<seed>"``).
            node_type: The type of each node, between some of which links are, as in :class:`LinkSplit` (default: none).

        Raises:
            TypeError, IndexError: If ``edge_index`` is not integer or names a node that does not exist.
            ValueError: If a share is out of range, or there are too few links or too few pairs without one.
        """
        place = "LinkSplit.random"
        if val + test >= 1:
            raise ValueError(f"{place}: val={val} and test={test} must have a sum below 1")
        edge_index = _checked_edges(edge_index, num_nodes, place)
        links = link_keys(edge_index[:, edge_index[0] != edge_index[1]], num_nodes, undirected).unique()
        sizes = {"val": int(val * links.numel()), "test": int(test * links.numel())}
        sizes["train"] = links.numel() - sizes["val"] - sizes["test"]
        if disjoint > 0:
            sizes["train"] = int(disjoint * sizes["train"])
        if min(sizes.values()) == 0:
            raise ValueError(
                f"{place}: the graph has {links.numel()} links, too few for val={val}, test={test} and disjoint="
                f"{disjoint}; each part needs at least one"
            )
        generator = torch.Generator().manual_seed(seed)
        order = links[torch.randperm(links.numel(), generator=generator)]
        parts = {"val": order[: sizes["val"]], "test": order[sizes["val"] : sizes["val"] + sizes["test"]]}
        parts["train"] = order[sizes["val"] + sizes["test"] :][: sizes["train"]]
        return cls(
            f"random/{seed}" if name is None else name,
            **with_negatives(parts, links, num_nodes, undirected, num_negatives, fixed_negatives, generator, node_type),
            undirected=undirected,
            disjoint=disjoint > 0,
            val_messages=val_messages,
        )

    @classmethod
    @checked
    def by_time(
        cls,
        edge_index: Any,
        time: Any,
        num_nodes: NonNegativeInt,
        val: Share = 0.05,
        test: Share = 0.1,
        seed: Seed = 0,
        undirected: bool = True,
        num_negatives: NonNegative = 1.0,
        fixed_negatives: bool = False,
        val_messages: bool = True,
        name: str = "time",
        node_type: Any = None,
    ) -> LinkSplit:
        r"""Train on the links of the past, validate and test on those that come after.

        A link comes to be with its first edge; what repeats it later is no new link. As in PyG's
        ``TemporalData.train_val_test_split``, links up to the ``1 - val - test`` quantile of their times are for
        training, later ones up to the ``1 - test`` quantile for validation, all others for the test: links of one time
        are never divided, so parts may be smaller or larger than their shares. No edge carries messages before its
        time is the past: while training and at the validation those of the training time do, repeated ones included,
        at the test also those of the validation time. Negatives are pairs that are linked at no time.

        Args:
            edge_index: The graph's edges ``[2, num_edges]``; the task must have the same ones in the same order.
            time: The time of each edge ``[num_edges]``, as numbers or dates.
            num_nodes: The number of nodes.
            val: The share of links for validation (default: 0.05).
            test: The share of links for the test (default: 0.1).
            seed: The seed of the negatives (default: 0).
            undirected: Whether (a, b) and (b, a) are the same link (default: ``True``).
            num_negatives: The number of pairs without a link, per link (default: 1).
            fixed_negatives: Whether those for training are drawn here, not every epoch (default: ``False``).
            val_messages: Whether edges of the validation time carry messages at the test (default: ``True``).
            name: The split's name (default: ``"time"``).
            node_type: The type of each node, between some of which links are, as in :class:`LinkSplit` (default: none).

        Raises:
            TypeError, IndexError: If ``edge_index`` is not integer or names a node that does not exist.
            ValueError: If a time is missing, so many are equal that a part is empty, or there are too few pairs without
                a link.

        Example:
            >>> edges = torch.tensor([[0, 1, 2, 3, 0, 1], [1, 2, 3, 4, 2, 0]])  # the last one repeats the first
            >>> split = LinkSplit.by_time(edges, [1, 1, 2, 3, 4, 9], num_nodes=5, val=0.2, test=0.2)
            >>> split.sizes, split.messages(edges, "train").tolist()
            ((3, 1, 1), [True, True, True, False, False, False])
        """
        place = f"LinkSplit.by_time, split {name!r}"
        edge_index = _checked_edges(edge_index, num_nodes, place)
        times = as_times(time, place)
        if times.shape != (edge_index.size(1),):
            raise ValueError(f"{place}: time has the shape {list(times.shape)}, expected [{edge_index.size(1)}]")
        check_known(times, place)
        proper = (edge_index[0] != edge_index[1]).numpy()
        links, link_of = link_keys(edge_index[:, proper], num_nodes, undirected).unique(return_inverse=True)
        first = np.full(links.numel(), np.inf)
        np.minimum.at(first, link_of.numpy(), times[proper])
        bounds = time_bounds(first, val, test, place)
        part = torch.from_numpy(parts_by_time(first, bounds))
        parts = {stage: links[part == number] for number, stage in enumerate(STAGES)}
        generator = torch.Generator().manual_seed(seed)
        return cls(
            name,
            **with_negatives(parts, links, num_nodes, undirected, num_negatives, fixed_negatives, generator, node_type),
            undirected=undirected,
            val_messages=val_messages,
            edge_part=torch.from_numpy(parts_by_time(times, bounds)),
        )

    def negatives(self, stage: str) -> Tensor | None:
        """The fixed pairs without a link of one stage."""
        return getattr(self, f"{stage}_negatives")

    def messages(self, edge_index: Tensor, stage: str) -> Tensor:
        """A mask ``[num_edges]`` of the graph's edges that carry messages at one stage."""
        if self.recurring:
            return torch.ones(edge_index.size(1), dtype=torch.bool)
        hidden = ["test"] if stage == "test" and self.val_messages else ["val", "test"]
        if stage == "train" and self.disjoint:
            hidden.append("train")
        num_nodes = max(self.num_nodes, maybe_num_nodes(edge_index))
        concealed = [link_keys(getattr(self, part), num_nodes, self.undirected) for part in hidden]
        visible = ~torch.isin(link_keys(edge_index, num_nodes, self.undirected), torch.cat(concealed))
        return visible if self.edge_part is None else self._of_the_past(edge_index, stage, visible)

    def _of_the_past(self, edge_index: Tensor, stage: str, visible: Tensor) -> Tensor:
        """Which edges come to be before the links of a stage; none may be a link to be predicted."""
        assert self.edge_part is not None
        if self.edge_part.numel() != edge_index.size(1):
            raise ValueError(
                f"split {self.name!r} knows the times of {self.edge_part.numel()} edges, but the graph has "
                f"{edge_index.size(1)}; make both of the same edges"
            )
        past = self.edge_part <= int(stage == "test" and self.val_messages)
        if (past & ~visible).any():
            u, v = edge_index[:, int((past & ~visible).nonzero()[0])].tolist()
            raise ValueError(
                f"split {self.name!r}: edge {u} -> {v} has the place of one of the past, but is to be predicted; "
                "give the graph the edges that the split was made of, in their order"
            )
        return past

    @cached_property
    def blocks(self) -> Blocks | None:
        """Between which nodes negatives may be; ``None`` for any."""
        if self.node_type is None:
            return None
        return blocks_of(torch.cat([self.train, self.val, self.test], dim=1), self.node_type, self.undirected)

    @property
    def num_nodes(self) -> int:
        """One more than the largest id."""
        given = [part for stage in STAGES for part in (getattr(self, stage), self.negatives(stage)) if part is not None]
        return 1 + max(int(part.max()) for part in given)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of all links and negatives; the order of pairs does not matter."""
        keys = []
        for stage in STAGES:
            for part in (getattr(self, stage), self.negatives(stage)):
                known = None if part is None else link_keys(part.flatten(1), self.num_nodes, self.undirected)
                keys.append(None if known is None else known.sort().values)
        later = [self.recurring, not self.val_messages]
        while later and not later[-1]:  # a split without them keeps the hash from before they came
            later.pop()
        keys += [each for each in (self.node_type, self.edge_part) if each is not None]
        flags = [self.undirected, self.disjoint, *later]
        return hash_tensors(torch.tensor(flags), *keys)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of train, validation and test links."""
        return self.train.size(1), self.val.size(1), self.test.size(1)

    def _check_pairs(self, pairs: Tensor, what: str, dims: tuple[int, ...]) -> None:
        where = f"split {self.name!r}: {what}"
        if pairs.dtype != torch.int64:
            raise TypeError(f"{where} has dtype {pairs.dtype}, but node ids must be int64; use .long()")
        if pairs.dim() not in dims or pairs.size(0) != 2:
            raise ValueError(f"{where} has the shape {list(pairs.shape)}, expected [2, n]; a list of pairs needs .t()")
        if pairs.numel() == 0:
            raise ValueError(f"{where} is empty; give it at least one pair")
        if pairs.min() < 0:
            raise ValueError(f"{where} has the negative id {int(pairs.min())}")
        if pairs.max() >= 2**31:  # a pair of ids is to fit into one number
            raise ValueError(f"{where} has the id {int(pairs.max())}, must be below 2**31")
        loops = pairs[0] == pairs[1]
        if loops.any():
            raise ValueError(f"{where} has the self-loop of node {int(pairs[0][loops][0])}; leave self-loops out")

    def _check_overlap(self) -> None:
        size = self.num_nodes
        keys = {stage: link_keys(getattr(self, stage), size, self.undirected) for stage in STAGES}
        links, counts = torch.cat(list(keys.values())).unique(return_counts=True)
        if (counts > 1).any():
            repeated = links[counts > 1][:1]
            owners = [stage for stage in STAGES if torch.isin(keys[stage], repeated).any()]
            where = f"{owners[0]} and {owners[1]} share" if len(owners) > 1 else f"{owners[0]} repeats"
            either = " (in either direction)" if self.undirected else ""
            raise ValueError(
                f"split {self.name!r}: {where} the link {_as_text(repeated, size)}{either}; each link may occur once"
            )
        for stage in STAGES:
            negatives = self.negatives(stage)
            if negatives is None:
                continue
            pairs = link_keys(negatives.flatten(1), size, self.undirected)
            linked = pairs[torch.isin(pairs, links)]
            if linked.numel():
                raise ValueError(
                    f"split {self.name!r}: {stage}_negatives contain {_as_text(linked, size)}, which is a link; "
                    "take it out"
                )

    def _check_types(self) -> None:
        types = self.node_type
        if types is None or types.dtype != torch.int64 or types.dim() != 1 or types.numel() < self.num_nodes:
            raise ValueError(
                f"split {self.name!r}: node_type must be whole numbers [num_nodes] of at least {self.num_nodes} nodes"
            )
        for stage in STAGES:
            negatives = self.negatives(stage)
            if negatives is None or self.blocks is None:
                continue
            pairs = negatives.flatten(1)
            odd = pairs[:, ~in_blocks(pairs, self.blocks, self.undirected)]
            if odd.numel():
                u, v = odd[:, 0].tolist()
                raise ValueError(
                    f"split {self.name!r}: {stage}_negatives contain ({u}, {v}), of types {int(types[u])} and "
                    f"{int(types[v])}, between which there is no link; take it out"
                )

    def __repr__(self) -> str:
        return f"LinkSplit({self.name}: {'/'.join(map(str, self.sizes))}, {self.hash})"


def _checked_edges(edge_index: Any, num_nodes: int, place: str) -> Tensor:
    edge_index = as_tensor(edge_index, f"{place}: edge_index")
    check_edge_index(edge_index, num_nodes, place)
    return edge_index.long().cpu()


def _as_text(keys: Tensor, num_nodes: int) -> str:
    source, target = pairs_of(keys[:1], num_nodes).view(-1).tolist()
    return f"({source}, {target})"
