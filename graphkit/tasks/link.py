"""Links between nodes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import edge_subgraph, with_int64_ids
from graphkit.core.hashing import hash_config, hash_data
from graphkit.core.validate import check_choice, check_edge_index
from graphkit.ops import sddmm
from graphkit.tasks.base import Task
from graphkit.tasks.checks import check_graphs
from graphkit.tasks.link_split import LinkSplit, link_keys, sample_negatives
from graphkit.tasks.split import STAGES


class LinkTask(Task):
    r"""Predict which pairs of nodes of one graph are linked.

    A batch is the graph with the edges that may carry messages at its stage (see :class:`LinkSplit`), the pairs to
    judge ``edge_label_index`` ``[2, num_pairs]`` and their labels ``edge_label`` ``[num_pairs]``, 1 for a link. The
    loss is the binary cross-entropy of one score per pair. A model returns either

    - an embedding :math:`h_v` per node, of any width above 1; the score of a pair is
      :math:`\langle h_u, h_v \rangle`. So every model and every strategy for nodes works; or
    - a score per pair, of shape ``[num_pairs, 1]``, as :class:`~graphkit.models.LinkPredictor` does.

    Args:
        name: The task's name in results.
        data: The graph, with ``x`` ``[num_nodes, num_features]`` and ``edge_index`` ``[2, num_edges]``: links that may
            carry messages at some stage. Labels ``y`` and masks are left out.
        split: The links of each part and the pairs without a link.
        metric: The score: ``"roc_auc"``, ``"average_precision"``, ``"hits@20"``, ``"mrr"``, ... (default:
            ``"roc_auc"``).
        num_negatives: Where the split fixes no negatives for training, how many are drawn per link in every epoch,
            uniformly from the pairs without a training link (default: 1).

    Raises:
        TypeError: If ``edge_index`` is not integer, ``x`` not floating point or ``split`` no :class:`LinkSplit`.
        IndexError: If an edge or a pair names a node that does not exist.
        ValueError: If anything else does not fit; the message names the value, the place and the remedy.

    Example:
        >>> from torch_geometric.datasets import KarateClub
        >>> data = KarateClub()[0]
        >>> split = LinkSplit.random(data.edge_index, data.num_nodes)
        >>> LinkTask("karate club", data, split)
        LinkTask(karate club: 34 nodes, 136/136/142 edges, 34 features, links, roc_auc, split random/0 68/3/7 [...])
    """

    kind = "link"
    targets = ("link",)
    split: LinkSplit

    def __init__(
        self, name: str, data: Data, split: LinkSplit, metric: str | type | Any = "roc_auc", num_negatives: float = 1.0
    ) -> None:
        place = f"task {name!r}"
        if not isinstance(split, LinkSplit):
            raise TypeError(f"{place}: split is a {type(split).__name__}; link tasks need a gk.LinkSplit")
        if num_negatives <= 0:
            raise ValueError(f"{place}: num_negatives={num_negatives}, must be positive")
        check_graphs([data], place)
        data = with_int64_ids(data)
        for stage in STAGES:
            for pairs, what in ((getattr(split, stage), "links"), (split.negatives(stage), "negatives")):
                if pairs is not None:
                    check_edge_index(
                        pairs.flatten(1), data.num_nodes, f"{place}: {stage} {what} of split {split.name!r}"
                    )
        self._data: Data | None = data
        graphs, self._graph_of = _stage_graphs(data, split)
        super().__init__(name, graphs, split, "link", metric)
        if self.metric == "mrr" and min(split.val_negatives.dim(), split.test_negatives.dim()) == 2:
            raise ValueError(
                f"{place}: mrr ranks each link among negatives of its own, but those of split {split.name!r} are "
                "shared by all links; give negatives of shape [2, num_links, k], or choose hits@K"
            )
        self.num_negatives = num_negatives
        trained = torch.cat([data.edge_index[:, split.messages(data.edge_index, "val")], split.train], dim=1)
        trained = trained[:, trained[0] != trained[1]]
        self._trained = link_keys(trained, self.num_nodes, split.undirected).unique()
        self._kept: dict[str, Data] = {}

    @property
    def num_nodes(self) -> int:
        """The number of nodes."""
        return self.graphs[0].num_nodes

    @property
    def num_outputs(self) -> None:
        """``None``: embeddings may have any width."""
        return None

    @cached_property
    def content_hash(self) -> str:
        return hash_config([self.split.hash, self.num_negatives, *(hash_data(graph) for graph in self.graphs)])

    def batches(
        self,
        stage: str,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Iterable[Data]:
        check_choice(stage, STAGES, "stage")
        fixed = self.split.negatives(stage)
        whole = stage != "train" or (batch_size is None and shard[1] == 1)
        if whole and fixed is not None:
            if stage not in self._kept:
                self._kept[stage] = self._batch(stage, getattr(self.split, stage), fixed)
            return [self._kept[stage]]
        if fixed is None:
            generator = torch.Generator().manual_seed(0) if generator is None else generator
            count = round(self.num_negatives * self.split.train.size(1))
            fixed = sample_negatives(self._trained, self.num_nodes, count, self.split.undirected, generator)
        if whole:
            return [self._batch(stage, self.split.train, fixed)]
        return self._mini_batches(self.split.train, fixed, batch_size, generator if shuffle else None, shard)

    def _mini_batches(
        self,
        links: Tensor,
        negatives: Tensor,
        batch_size: int | None,
        generator: torch.Generator | None,
        shard: tuple[int, int],
    ) -> Iterator[Data]:
        """Batches of so many links, each with its share of the negatives; every process gets equally many."""
        rank, world = shard
        steps = 1 if batch_size is None else -(-links.size(1) // (batch_size * world))
        parts = []
        for pairs in (links, negatives):
            order = torch.arange(pairs.size(1))
            if generator is not None:
                order = torch.randperm(pairs.size(1), generator=generator)
            parts.append(pairs[:, order].tensor_split(steps * world, dim=1)[rank::world])
        for own_links, own_negatives in zip(*parts, strict=True):
            yield self._batch("train", own_links, own_negatives)

    def _batch(self, stage: str, links: Tensor, negatives: Tensor) -> Data:
        """Links first, then negatives; but each link before its own negatives, where there are such."""
        pairs = torch.cat([links, negatives.flatten(1)], dim=1)
        label = torch.zeros(pairs.size(1))
        label[: links.size(1)] = 1
        if negatives.dim() == 3:
            pairs = torch.cat([links.unsqueeze(2), negatives], dim=2).flatten(1)
            label = torch.zeros(links.size(1), 1 + negatives.size(2))
            label[:, 0] = 1
        batch = copy.copy(self.graphs[self._graph_of[stage]])
        batch.edge_label_index = pairs
        batch.edge_label = label.view(-1)
        return batch

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        pairs = batch.edge_label_index
        shape = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
        if shape == [pairs.size(1), 1]:
            return out, batch.edge_label
        if not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != batch.num_nodes or out.size(1) < 2:
            raise ValueError(
                f"task {self.name!r} needs an embedding per node, [{batch.num_nodes}, width] with a width above 1, or "
                f"a score per pair, [{pairs.size(1)}, 1]; the model returned {shape}; a link task needs a model "
                "without readout, with several outputs"
            )
        return sddmm(pairs, out, out).unsqueeze(1), batch.edge_label

    def with_split(self, split: LinkSplit) -> LinkTask:
        if self._data is None:
            raise ValueError(
                f"task {self.name!r} was transformed, which depends on its split; load the other split and transform it"
            )
        return LinkTask(self.name, self._data, split, self._metric, self.num_negatives)

    def _with_graphs(self, graphs: list[Data]) -> LinkTask:
        check_graphs(graphs, f"task {self.name!r}")
        if any(graph.num_nodes != self.num_nodes for graph in graphs):
            raise ValueError(
                f"task {self.name!r}: the transform changed the number of nodes, but links are pairs of the old ones; "
                "apply it to the graph before the links are split"
            )
        task = copy.copy(self)
        task.graphs, task._data, task._derived, task._kept = graphs, None, {}, {}
        vars(task).pop("content_hash", None)
        return task

    def describe(self) -> str:
        edges = "/".join(str(self.graphs[self._graph_of[stage]].num_edges) for stage in STAGES)
        return (
            f"{self.name}: {self.num_nodes} nodes, {edges} edges, {self.num_features} features, links, {self.metric}, "
            f"{self._describe_split()}"
        )


def _stage_graphs(data: Data, split: LinkSplit) -> tuple[list[Data], dict[str, int]]:
    """The graph of each stage without what may not be seen there; equal ones once, and which stage has which."""
    graphs: list[Data] = []
    masks: list[Tensor] = []
    position = {}
    plain = copy.copy(data)
    for key in ("y", *(f"{stage}_mask" for stage in STAGES)):
        if key in plain:
            del plain[key]
    for stage in STAGES:
        mask = split.messages(data.edge_index, stage)
        known = next((i for i, other in enumerate(masks) if torch.equal(mask, other)), None)
        if known is None:
            known = len(graphs)
            masks.append(mask)
            graphs.append(plain if mask.all() else edge_subgraph(plain, mask, "links"))
        position[stage] = known
    return graphs, position
