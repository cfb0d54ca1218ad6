"""Items for users."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Seed, Share, checked
from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.text import in_number
from graphkit.ops import sddmm
from graphkit.ops.indices import look_up
from graphkit.samplers import Sampler
from graphkit.tasks.checks import as_graphs, check_graphs, check_names, check_split
from graphkit.tasks.interactions import check_pairs, checked_types, without_edges
from graphkit.tasks.loaders import Loader, Rankings
from graphkit.tasks.pair_task import DividedTask
from graphkit.tasks.split import STAGES, Split


class RankingTask(DividedTask):
    r"""Rank all items for each user, by interactions of users with items.

    The graph has the interactions to train on as edges, from users to items and then from items to users, at all
    stages. A model returns either

    - an embedding :math:`h_v` per node, of any width; the score of user :math:`u` and item :math:`i` is
      :math:`\langle h_u, h_i \rangle`. So every model for nodes works that needs no labels; or
    - a table of scores ``[num_users, num_items]``.

    **Training** draws, anew in every epoch, for each interaction items that its user has not interacted with in
    training, uniformly. A batch has the pairs ``edge_label_index`` ``[2, n (1 + num_negatives)]`` and their labels
    ``edge_label`` ``[n, 1 + num_negatives]``, in each row 1 for the interaction and then 0; the loss is that of
    Bayesian personalised ranking (:class:`~graphkit.tasks.targets.Ranking`). The trainer's ``batch_size`` counts
    interactions (default: all). The official code of Sheaf4Rec draws users instead, with an interaction of each, so
    active users count less there.

    **Validation and test** rank all items for each user who has interactions of that part, but those of training, whose
    score becomes :math:`-\infty`; metrics are means over these users. :meth:`~graphkit.Trainer.predict` returns the
    scores ``[num_users, num_items]`` of these users, or with ``stage=None`` of all, with the labels; ``as_frame=True``
    makes a table of the ten best items of each. Interactions of validation and test whose user or item has none in
    training are not judged, as nothing is known of them; a warning counts them (:attr:`unseen`). Items without
    interactions in training are ranked like others.

    Args:
        data: The graph: ``edge_index`` ``[2, num_interactions]`` from users to items, each pair once; ``node_type``
            ``[num_nodes]``, 0 for users, who come first, and 1 for items, as PyG's ``HeteroData.to_homogeneous``
            numbers them; and features ``x``, if models are to read some. Other attributes of edges are left out.
        split: Which interactions, as columns of ``edge_index``, are for training, validation and test.
        metric: The score: ``"ndcg@10"``, ``"recall@20"``, ``"precision@10"``, ``"f1@10"``, ``"mrr@10"``, ``"map@10"``,
            ..., or one of your own that takes scores and labels ``[num_users, num_items]`` (default: ``"ndcg@10"``).
        num_negatives: How many items are drawn per interaction to train on (default: 1).
        official_masking: Give what was seen in training the score 0, as the official code of Sheaf4Rec does, so that it
            may be ranked before items of negative scores (default: ``False``).

    Raises:
        TypeError: If ``edge_index`` is not integer, ``x`` not floating point or ``split`` no :class:`Split`.
        IndexError: If an edge names a node that does not exist.
        ValueError: If anything else does not fit; the message names the value, the place and the remedy.

    Attributes:
        num_users: The number of users.
        num_items: The number of items.
        users: What users are called, if the task was made of a table.
        items: What items are called.
        unseen: How many interactions of ``"val"`` and ``"test"`` are not judged, how many of them have an unseen user
            (``"users"``), and how many an unseen item (``"items"``).

    Example:
        >>> users, items = torch.tensor([[0, 0, 0, 1, 1, 1], [2, 3, 4, 3, 4, 5]])
        >>> data = Data(edge_index=torch.stack([users, items]), node_type=torch.tensor([0, 0, 1, 1, 1, 1]))
        >>> task = RankingTask("tiny", data, Split("s", [0, 2, 3, 5], [4], [1]), metric="recall@2")
        >>> task
        RankingTask(tiny: 2 users, 4 items, 4/1/1 interactions, recall@2, split s [...])
        >>> task.chosen("train").tolist()
        [[0, 0, 1, 1], [0, 2, 1, 3]]
    """

    kind = "ranking"
    ranks = True
    ends_are = "they are the users and items; leave it out"
    split_first = "give the split first"
    split: Split
    users: Any = None
    items: Any = None

    def __init__(
        self,
        name: str,
        data: Any,
        split: Any,
        metric: str | type | Any = "ndcg@10",
        num_negatives: Count = 1,
        official_masking: bool = False,
    ) -> None:
        super().__init__(name, "ranking", metric)
        self.num_negatives, self.official_masking = num_negatives, official_masking
        self.set_data([data], split)

    @classmethod
    @checked
    def from_pandas(
        cls,
        interactions: Any,
        user: str = "user",
        item: str = "item",
        rating: str | None = None,
        threshold: float | None = None,
        time: str | None = None,
        val: Share = 0.1,
        test: Share = 0.1,
        seed: Seed = 0,
        name: str = "interactions",
        **options: Any,
    ) -> Self:
        """A task of a pandas table with a row per interaction.

        Args:
            interactions: The table; repeated pairs count once, with a warning.
            user: The column of users, of any type (default: ``"user"``).
            item: The column of items (default: ``"item"``).
            rating: The column of ratings, of which those of at least ``threshold`` count as interactions (default:
                ``None``, every row counts).
            threshold: The smallest rating that counts (default: ``None``).
            time: The column of times, by which the split trains on the past (:meth:`Split.by_time`); ``None`` for a
                random split (default: ``None``).
            val: The share for validation (default: 0.1).
            test: The share for the test (default: 0.1).
            seed: The seed of the random split (default: 0).
            name: The task's name in results (default: ``"interactions"``).
            **options: Further arguments of the class, such as ``metric``.

        Raises:
            ImportError: If pandas is not installed.
            TypeError: If the table is none.
            ValueError: If a column or a value is missing, or no row is left.

        Example:
            >>> import pandas as pd
            >>> table = pd.DataFrame({"user": list("aaabbbccc"), "item": list("xywyzwzxw"), "stars": [5, 4, 1] * 3})
            >>> task = RankingTask.from_pandas(table, rating="stars", threshold=3, val=0.2, test=0.2, seed=2)
            >>> task.num_users, list(task.items), task.split.sizes
            (3, ['x', 'y', 'z'], (4, 1, 1))
        """
        from graphkit.tasks.tables.interactions import interactions_of

        place = f"task {name!r}"
        made = interactions_of(interactions, user, item, rating, threshold, [] if time is None else [time], place)
        if time is None:
            split = Split.random(len(made.table), val, test, seed)
        else:
            split = Split.by_time(made.table[time].to_numpy(), val, test)
        task = cls(name, made.data, split, **options)
        task.users, task.items = made.users, made.items
        return task

    @classmethod
    @checked
    def from_csv(cls, path: str | Path, user: str = "user", item: str = "item", sep: str = ",", **options: Any) -> Self:
        r"""A task of a file with a row per interaction and the names of its columns in the first line.

        Users and items are texts, as they stand in the file (``007`` stays what it is).

        Args:
            path: The file.
            user: The column of users (default: ``"user"``).
            item: The column of items (default: ``"item"``).
            sep: What separates columns (default: ``","``).
            **options: Further arguments of :meth:`from_pandas`.

        Raises:
            FileNotFoundError: If the file is missing.
            ImportError, TypeError, ValueError: As :meth:`from_pandas`.
        """
        from graphkit.tasks.tables import pandas_needed

        pd, file = pandas_needed(f"{cls.__name__}.from_csv"), Path(path).expanduser()
        table = pd.read_csv(file, sep=sep, dtype={user: str, item: str}, engine="c" if len(sep) == 1 else "python")
        return cls.from_pandas(table, user, item, **{"name": file.stem} | options)

    def make_loader(self) -> Loader:
        return Rankings(self)

    def make_subgraph_loader(self, sampler: Sampler) -> Loader:
        raise ValueError(
            f"task {self.name!r} is a ranking task, whose metrics need all users and items; for smaller batches of "
            "interactions set batch_size"
        )

    # Data --------------------------------------------------------------------------------------------------------

    def set_data(self, graphs: Sequence[Data], split: Split) -> None:
        place = f"task {self.name!r}"
        (data,) = map(copy.copy, as_graphs(graphs, place))
        data.node_type = checked_types(data.get("node_type"), place)
        if data.get("x") is None:
            data.num_nodes = data.node_type.numel()
        check_graphs([data], place)
        if data.node_type.numel() != data.num_nodes:
            raise ValueError(
                f"{place}: data.node_type is of {data.node_type.numel()} nodes, but the graph has {data.num_nodes}"
            )
        self.num_items = int(data.node_type.sum())
        self.num_users = data.node_type.numel() - self.num_items
        check_names([data], place)
        pairs = data.edge_index - torch.tensor([[0], [self.num_users]])
        check_pairs(pairs, self.num_users, self.num_items, place)
        check_split(split, pairs.size(1), "interaction", place)
        train = data.edge_index[:, split.train]
        graph = without_edges(data, place)
        graph.edge_index = torch.cat([train, train.flip(0)], dim=1)
        self._data, self.graphs, self.split = data, [graph], split
        self._take(pairs)

    def _take(self, pairs: Tensor) -> None:
        """Take the interactions as users and items ``[2, n]``."""
        train = pairs[:, self.split.train]
        self._seen = (train[0] * self.num_items + train[1]).sort().values
        full = train[0].bincount(minlength=self.num_users) == self.num_items
        if full.any():
            user = int(full.nonzero()[0])
            raise ValueError(
                f"task {self.name!r}: user {user} has all {self.num_items} items in training, so none is left to rank; "
                "leave the user out"
            )
        known = [torch.zeros(n, dtype=torch.bool) for n in (self.num_users, self.num_items)]
        for side, ids in zip(known, train, strict=True):
            side[ids] = True
        self._chosen, self.unseen = {"train": train}, {}
        for stage in ("val", "test"):
            given = pairs[:, getattr(self.split, stage)]
            users, items = (side[ids] for side, ids in zip(known, given, strict=True))
            self._chosen[stage] = given[:, users & items]
            lost = {"interactions": ~(users & items), "users": ~users, "items": ~items}
            self.unseen[stage] = {key: int(value.sum()) for key, value in lost.items()}
            if not self._chosen[stage].numel():
                raise ValueError(
                    f"task {self.name!r}: no {stage} interaction has a user and an item of training; use another split"
                )
        lost_rows = {stage: counts for stage, counts in self.unseen.items() if counts["interactions"]}
        if lost_rows:
            told = "; ".join(
                f"{counts['interactions']} of {stage} (unseen users in {counts['users']}, items in {counts['items']})"
                for stage, counts in lost_rows.items()
            )
            warnings.warn(f"task {self.name!r}: interactions without a past are not judged: {told}", stacklevel=4)

    def chosen(self, stage: str) -> Tensor:
        """The interactions of a stage that are judged, users and items ``[2, n]``, each counted from 0."""
        return self._chosen[stage]

    def judged_users(self, stage: str) -> Tensor:
        """The users who have interactions of a stage, in order."""
        return self._chosen[stage][0].unique()

    def judged_items(self, stage: str) -> str:
        return in_number(self.judged_users(stage).numel(), "user")

    def draw_negatives(self, users: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Items that users have not seen in training ``[n, num_negatives]``; without a generator always the same.

        Args:
            users: The users ``[n]``.
            generator: The source of randomness (default: one with the seed 0).
        """
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        rows = users.repeat_interleave(self.num_negatives)
        items, todo = torch.empty_like(rows), torch.arange(rows.numel())
        while todo.numel():
            drawn = torch.randint(self.num_items, (todo.numel(),), generator=generator)
            items[todo] = drawn
            todo = todo[self._has_seen(rows[todo], drawn)]
        return items.view(-1, self.num_negatives)

    def _has_seen(self, users: Tensor, items: Tensor) -> Tensor:
        return look_up(self._seen, users * self.num_items + items)[1]

    @cached_property
    def content_hash(self) -> str:
        return hash_config([hash_tensors(*self._chosen.values()), *(hash_data(graph) for graph in self.graphs)])

    def stage_graph(self, stage: str) -> Data:
        return self.graphs[0]

    # What a model's outputs say ----------------------------------------------------------------------------------

    def scored_by(self, scores_pairs: bool | None) -> Self:
        if scores_pairs:
            raise ValueError(
                f"task {self.name!r} ranks all items by embeddings of nodes, but the model scores single pairs; use "
                "its encoder alone"
            )
        return self

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        label, shape = batch.edge_label, list(out.shape) if isinstance(out, Tensor) else type(out).__name__
        is_table = shape == [self.num_users, self.num_items]
        if not is_table and (not isinstance(out, Tensor) or out.dim() != 2 or out.size(0) != batch.num_nodes):
            raise ValueError(
                f"task {self.name!r} needs an embedding per node, [{batch.num_nodes}, width], or a table of scores, "
                f"[{self.num_users}, {self.num_items}]; the model returned {shape}; a ranking task needs a model "
                "without readout"
            )
        if "user_index" in batch:
            return self._masked(self._rows(out, batch.user_index, is_table), batch.seen), label
        pairs = batch.edge_label_index
        scores = out[pairs[0], pairs[1] - self.num_users] if is_table else sddmm(pairs, out, out)
        return scores.view(label.size(0), -1), label

    def _rows(self, out: Tensor, users: Tensor, is_table: bool) -> Tensor:
        return out[users] if is_table else out[users] @ out[self.num_users :].t()

    def _masked(self, scores: Tensor, seen: Tensor) -> Tensor:
        scores[seen[0], seen[1]] = 0.0 if self.official_masking else -math.inf
        return scores

    def judged(self, predict: Callable[..., Tensor], batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        if "outputs" not in batch:
            return super().judged(predict, batch, stage)
        once = batch.outputs
        return super().judged(lambda batch, stage: once(lambda: predict(batch, stage=stage)), batch, stage)

    @property
    def has_own_loss(self) -> bool:
        return True

    @cached_property
    def _baseline(self) -> float | None:
        """The score of the items in the order of their popularity, for everyone."""
        popularity = self._chosen["train"][1].bincount(minlength=self.num_items).float()
        table, metric = popularity.expand(self.num_users, -1), self.fresh_metric()
        for batch in self.batches("test"):
            metric.update(*self.select(table, batch, "test"))
        score = float(metric.compute())
        return score if math.isfinite(score) else None

    def names(self, stage: str | None) -> Any:
        users = torch.arange(self.num_users) if stage is None else self.judged_users(stage)
        return users.tolist() if self.users is None else self.users[users.numpy()]

    def frame(self, prediction: Tensor, users: Any, label: Tensor | None = None, k: int = 10) -> Any:
        """The best items of each user as a pandas table: user, rank, item, score, and whether it was chosen.

        Args:
            prediction: Scores ``[num_users, num_items]``.
            users: What their rows are called.
            label: Their labels (default: not known).
            k: The number of items (default: 10).
        """
        import pandas as pd

        scores, items = prediction.topk(min(k, prediction.size(1)))
        rows, ranks = (scores > -math.inf).nonzero().unbind(1)
        best = items[rows, ranks]
        columns = {
            "user": pd.Index(users)[rows.numpy()],
            "rank": ranks.numpy() + 1,
            "item": best.numpy() if self.items is None else self.items[best.numpy()],
            "score": scores[rows, ranks].numpy(),
        }
        if label is not None:
            columns["chosen"] = label[rows, best].bool().numpy()
        return pd.DataFrame(columns).set_index("user")

    # Changes -----------------------------------------------------------------------------------------------------

    def _describe_graphs(self) -> str:
        counts = "/".join(str(self._chosen[stage].size(1)) for stage in STAGES)
        return f"{self.num_users} users, {self.num_items} items, {counts} interactions"

    def _facts(self) -> dict[str, str]:
        known = super()._facts()
        del known["target"]
        if not self.num_features:
            del known["features"]
        return known | {"split": f"split {self.split.name} [{self.split.hash}]"}
