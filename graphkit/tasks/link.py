"""Links between nodes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.attributes import edge_subgraph
from graphkit.core.constraints import Positive
from graphkit.core.hashing import hash_config, hash_data
from graphkit.core.validate import check_edge_index
from graphkit.metrics import HitsAt
from graphkit.ops import sddmm
from graphkit.tasks.checks import as_graphs, check_graphs, check_names
from graphkit.tasks.from_tables import FromTables
from graphkit.tasks.link_split import LinkSplit
from graphkit.tasks.loaders import Draw, Loader, Pairs
from graphkit.tasks.negatives import blocks_of, in_blocks, link_keys, sample_negatives, with_negatives
from graphkit.tasks.pair_task import DividedTask
from graphkit.tasks.split import STAGES, Split, without_masks

if TYPE_CHECKING:
    from graphkit.tasks.tables import Made


class LinkTask(FromTables, DividedTask):
    r"""Predict which pairs of nodes of one graph are linked.

    A batch is the graph with the edges that may carry messages at its stage (see :class:`LinkSplit`), or a subgraph of
    it around the pairs (:meth:`Task.sampled`); with the pairs to judge ``edge_label_index`` ``[2, num_pairs]`` and
    their labels ``edge_label`` ``[num_pairs]``, 1 for a link. The loss is the binary cross-entropy of one score per
    pair. A model returns either

    - an embedding :math:`h_v` per node, of any width above 1; the score of a pair is
      :math:`\langle h_u, h_v \rangle`. So every model and every strategy for nodes works; or
    - a score per pair, of shape ``[num_pairs, 1]``, as :class:`~graphkit.models.LinkPredictor` does.

    Args:
        data: The graph, with ``edge_index`` ``[2, num_edges]``: links that may carry messages at some stage; and, for
            models that read them, features ``x`` ``[num_nodes, num_features]``. Labels ``y`` and masks are left out.
        split: The links of each part and the pairs without a link.
        metric: The score: ``"roc_auc"``, ``"average_precision"``, ``"hits@20"``, ``"mrr"``, ..., or one of your own.
            With fewer negatives than K, ``"hits@K"`` is 1 for every model, as in OGB, and a warning says so (default:
            ``"roc_auc"``).
        num_negatives: Where the split fixes no negatives for training, how many are drawn per link in every epoch,
            uniformly from the pairs without a training link, of types of nodes that are linked if the split has such;
            at least one pair in all (default: 1).
        group_by_source: Whether links of the same source, and negatives likewise, are trained on in the same batch, the
            sources in random order, as in `"LiGNN: Graph Neural Networks at LinkedIn"
            <https://arxiv.org/abs/2402.11139>`_ (Borisyuk et al., KDD 2024). In a sampled task each node is a root once
            per batch, so batches have fewer roots, and the loss of given pairs is the same; but batches are no longer
            independent draws (default: ``False``).

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
    labelled, has_labels = "edges", False
    table_names = ("nodes", "edges", "pairs")
    ends_are = "links are pairs of the old ones; apply it to the graph before the links are split"
    split_first = "load the other split"
    split: LinkSplit

    def __init__(
        self,
        name: str,
        data: Any,
        split: Any,
        metric: str | type | Any = "roc_auc",
        num_negatives: Positive = 1.0,
        loss: Any = None,
        pos_weight: Any = None,
        group_by_source: bool = False,
    ) -> None:
        super().__init__(name, "link", metric, loss=loss, pos_weight=pos_weight)
        self.group_by_source = group_by_source
        self.num_negatives = num_negatives
        self.set_data([data], split)

    @classmethod
    def arguments(
        cls, made: Made, y: Tensor, kind: Any, split: Any, shares: Tensor, seed: int, undirected: bool
    ) -> dict[str, Any]:
        if split is None:
            split = LinkSplit.random(made.data.edge_index, made.data.num_nodes, seed=seed, undirected=undirected)
        elif isinstance(split, Split):
            split = _split_by_rows(made, split, seed, undirected)
        return {"data": made.data, "split": split}

    def make_loader(self) -> Loader:
        return Pairs(self)

    def set_data(self, graphs: Sequence[Data], split: LinkSplit) -> None:
        place = f"task {self.name!r}"
        (data,) = map(copy.copy, as_graphs(graphs, place))  # attributes that the user sets later change no task
        if not isinstance(split, LinkSplit):
            raise TypeError(f"{place}: split is a {type(split).__name__}; link tasks need a gk.LinkSplit")
        check_graphs([data], place)
        check_names([data], place)
        for key in {"edge_label", "edge_label_index"} & set(data.keys()):
            warnings.warn(f"{place}: data.{key} is not read, as pairs and labels are those of the split", stacklevel=3)
            del data[key]
        for stage in STAGES:
            for pairs, what in ((getattr(split, stage), "links"), (split.negatives(stage), "negatives")):
                if pairs is not None:
                    check_edge_index(
                        pairs.flatten(1), data.num_nodes, f"{place}: {stage} {what} of split {split.name!r}"
                    )
        if split.train_negatives is None and self.num_negatives * split.train.size(1) <= 0.5:
            raise ValueError(
                f"{place}: num_negatives={self.num_negatives} draws no pair for {split.train.size(1)} training links, "
                f"must be at least {1 / split.train.size(1):.2g}"
            )
        if self._metric.name == "mrr" and min(split.val_negatives.dim(), split.test_negatives.dim()) == 2:
            raise ValueError(
                f"{place}: mrr ranks each link among negatives of its own, but those of split {split.name!r} are "
                "shared by all links; give negatives of shape [2, num_links, k], or choose hits@K"
            )
        self._warn_of_few_negatives(split)
        if split.train_negatives is not None and self.num_negatives != 1:
            text = (
                f"{place}: num_negatives={self.num_negatives} is unused, as split {split.name!r} fixes train_negatives"
            )
            warnings.warn(text, stacklevel=3)
        self._data = data
        self.split = split
        self.graphs, self._graph_of = _stage_graphs(data, split)
        if not split.undirected and not split.recurring:
            _warn_of_reverses(self, place)
        _check_types(data, split, place)
        trained = torch.cat([data.edge_index[:, split.messages(data.edge_index, "val")], split.train], dim=1)
        trained = trained[:, trained[0] != trained[1]]
        self._trained = link_keys(trained, self.num_nodes, split.undirected).unique()
        self.fit_target(torch.tensor([1.0, 0.0]).repeat(8))

    def _warn_of_few_negatives(self, split: LinkSplit) -> None:
        if not isinstance(self._metric, HitsAt):
            return
        for stage in ("val", "test"):
            count = getattr(split, f"{stage}_negatives").flatten(1).size(1)
            if count < self._metric.k:
                warnings.warn(
                    f"task {self.name!r}: split {split.name!r} has {count} {stage} negatives, so every model scores "
                    f"100 % in {self._metric.name}, as in OGB; choose hits@{count} or below, or give more negatives",
                    stacklevel=4,
                )

    @cached_property
    def content_hash(self) -> str:
        return hash_config([self.split.hash, self.num_negatives, *(hash_data(graph) for graph in self.graphs)])

    def names(self, stage: str | None) -> Any:
        return None if stage is None else self.by_ids(self.pairs_of(stage), self.ids)

    def pairs_of(self, stage: str) -> Tensor:
        """The pairs that are judged at a stage, links first ``[2, n]``."""
        return Pairs(self).whole(stage, Draw())["edge_label_index"]

    def stage_graph(self, stage: str) -> Data:
        return self.graphs[self._graph_of[stage]]

    def draw_negatives(self, generator: torch.Generator | None = None) -> Tensor:
        """Pairs to train on that are no training link ``[2, n]``; without a generator always the same."""
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        count = round(self.num_negatives * self.split.train.size(1))
        split = self.split
        return sample_negatives(self._trained, self.num_nodes, count, split.undirected, generator, split.blocks)

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        shape, count = list(out.shape) if isinstance(out, Tensor) else type(out).__name__, batch.edge_label.numel()
        if shape == [count, 1]:
            return out, batch.edge_label
        pairs, rows = self.ends(out, batch)
        if not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != rows or out.size(1) < 2:
            raise ValueError(
                f"task {self.name!r} needs an embedding per node, [{rows}, width] with a width above 1, or "
                f"a score per pair, [{count}, 1]; the model returned {shape}; a link task needs a model "
                "without readout, with several outputs"
            )
        return sddmm(pairs, out, out).unsqueeze(1), batch.edge_label

    def _describe_graphs(self) -> str:
        edges = "/".join(str(self.stage_graph(stage).num_edges) for stage in STAGES)
        return f"{self.num_nodes} nodes, {edges} edges"

    def _describe_target(self) -> str:
        return "links"


def _split_by_rows(made: Made, split: Split, seed: int, undirected: bool) -> LinkSplit:
    """Links divided as the rows that tell them, and as many pairs without one; what is in no part carries messages."""
    edges, size = made.data.edge_index, made.data.num_nodes
    keys, proper = link_keys(edges, size, undirected), edges[0] != edges[1]
    parts = {stage: keys[mask & proper].unique() for stage, mask in zip(STAGES, made.masks(split), strict=True)}
    generator = torch.Generator().manual_seed(seed)
    drawn = with_negatives(parts, keys[proper].unique(), size, undirected, 1.0, False, generator, None)
    return LinkSplit(split.name, **drawn, undirected=undirected)


def _check_types(data: Data, split: LinkSplit, place: str) -> None:
    """Types of nodes are those of the graph, and if it has some, negatives between others are too easy."""
    if split.node_type is not None and split.node_type.numel() != data.num_nodes:
        raise ValueError(
            f"{place}: split {split.name!r} has types of {split.node_type.numel()} nodes for {data.num_nodes} nodes"
        )
    types = data.get("node_type")
    if split.node_type is None and types is not None:
        blocks = blocks_of(torch.cat([split.train, split.val, split.test], dim=1), types, split.undirected)
        negatives = torch.cat([split.val_negatives.flatten(1), split.test_negatives.flatten(1)], dim=1)
        odd = ~in_blocks(negatives, blocks, split.undirected)
        if odd.any():
            warnings.warn(
                f"{place}: {odd.sum()} of {odd.numel()} negatives of split {split.name!r} are pairs of types "
                "(data.node_type) between which there are no links, so easily told; LinkSplit.random(..., "
                "node_type=data.node_type) draws none of these",
                stacklevel=4,
            )


def _warn_of_reverses(task: LinkTask, place: str) -> None:
    """Say that the links to predict can be seen in the other direction, where most of them can."""
    seen = task.stage_graph("test").edge_index
    reverses = torch.isin(*(link_keys(pairs, task.num_nodes, False) for pairs in (task.split.test.flip(0), seen)))
    if reverses.float().mean() > 0.5:
        warnings.warn(
            f"{place}: of {reverses.sum()} of {reverses.numel()} test links (a, b) a model sees the edge (b, a), so it "
            f"may know the answer; if both are one link, replace split {task.split.name!r} by one with undirected=True",
            stacklevel=4,
        )


def _stage_graphs(data: Data, split: LinkSplit) -> tuple[list[Data], dict[str, int]]:
    """The graph of each stage without what may not be seen there; equal ones once, and which stage has which."""
    graphs: list[Data] = []
    position: dict[str, int] = {}
    number_of: dict[bytes, int] = {}
    plain = without_masks(data)
    plain.pop("y", None)
    for stage in STAGES:
        mask = split.messages(data.edge_index, stage)
        position[stage] = number_of.setdefault(mask.cpu().numpy().tobytes(), len(graphs))
        if position[stage] == len(graphs):
            graphs.append(plain if mask.all() else edge_subgraph(plain, mask, "links"))
    return graphs, position
