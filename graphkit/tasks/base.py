"""What all kinds of task share."""

from __future__ import annotations

import copy
import inspect
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property, reduce
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.data_folder import results_folder
from graphkit.core.deprecation import RenamedAttribute, adopt_renamed
from graphkit.core.docstrings import inherit_sections
from graphkit.core.hashing import hash_config, hash_data, hash_tensors
from graphkit.core.mapped_graph import MappedGraph
from graphkit.core.signatures import takes_arguments_of
from graphkit.core.validate import check_choice
from graphkit.samplers import Sampler
from graphkit.tasks.described import Described
from graphkit.tasks.link_split import LinkSplit
from graphkit.tasks.loaders.base import Draw, Loader
from graphkit.tasks.scoring import Scoring
from graphkit.tasks.split import STAGES, Split
from graphkit.tasks.targets import Target
from graphkit.transforms.base import Precompute, apply, has_own_space


class Task(Described):
    r"""Graphs, labels, a split, a loss and a metric: everything a trainer needs, checked before any training.

    Use :class:`NodeTask`, :class:`EdgeTask`, :class:`GraphTask`, :class:`LinkTask` or :class:`RankingTask`. A task is
    put together from a *target*, which says what labels mean, and a *loader*, which makes batches. The kinds of target
    and their losses are

    ==============  ============================  ===============================================
    target          labels                        loss on the outputs
    ==============  ============================  ===============================================
    ``multiclass``  ids in ``0..num_classes-1``   cross-entropy
    ``binary``      0 or 1                        binary cross-entropy on a single logit
    ``multilabel``  0, 1 or NaN per column        binary cross-entropy over the known labels
    ``regression``  numbers, NaN = missing        absolute error; squared error for mse, rmse, r2
    ``link``        1 for a link, 0 for none      binary cross-entropy on a score per pair of nodes
    ``ranking``     1 for what was chosen         Bayesian personalised ranking of rows of candidates
    ==============  ============================  ===============================================

    or an own subclass of :class:`~graphkit.tasks.Target`. Test labels are hidden (-1 or NaN, or the pairs are absent)
    in every batch but those of :meth:`batches` for the stage ``"test"``, and there as long as a model predicts.

    A new kind of task is a subclass with :meth:`make_loader`, :meth:`set_data` and :meth:`select`. Its type and its own
    attributes survive :meth:`transform`, :meth:`with_split` and :meth:`sampled`, which change a copy.

    Args:
        target: The kind of label: a name, a class or an instance of :class:`~graphkit.tasks.Target`.
        metric: The score: a name, a :class:`~graphkit.metrics.Metric` or one of torchmetrics (class or instance), or a
            function ``metric(prediction, label)`` of raw outputs, or scikit-learn's ``metric(y_true, ...)``; more is
            better but for ``higher_is_better=False`` and scikit-learn's errors and losses (default: the target's).
        num_outputs: The number of classes or label columns (default: as in the labels).
        allow_missing_classes: Accept a split whose training part lacks a class (default: ``False``).
        loss: The loss in place of the target's, for training and validation: a module or a function of the outputs
            ``[n, num_outputs]`` that are judged and their labels, such as
            ``torch.nn.CrossEntropyLoss(label_smoothing=0.1)`` or ``F.huber_loss``. Labels of classes are ``[n]``,
            others have the shape of the outputs. It returns the mean, or a value per row or label; where labels are
            missing or rows are weighed, values of single ones are asked for by ``reduction="none"``, or must be what it
            returns. Weights of its own are not trained, so it may have none; buffers move to the outputs' device
            (default: ``None``, that of the target).
        class_weight: How much rows count in the loss by their class: a number per class, or ``"balanced"``, which is
            as in scikit-learn :math:`n / (K n_k)` of the training labels. A mean is divided by the sum of its rows'
            weights, as torch's (default: ``None``, alike).
        pos_weight: How much labels of 1 count in the loss of a binary, multilabel or link target, as in torch's
            ``BCEWithLogitsLoss``: a number, or one per column (default: ``None``, as those of 0).

    Raises:
        TypeError: If something else stands in place of a target, a loss, a metric, a sampler, or nodes with labels.
        ValueError: If the task cannot have such a target, or loss, weights or metric do not fit it; a user's loss and
            metric are tried once on random outputs.

    Attributes:
        kind: What is judged, as a word for messages.
        judges_pairs: Whether pairs of nodes are judged (:meth:`pairs`).
        ranks: Whether they are judged by their place in a ranking, not one by one.
        label_key: What batches call the labels.
        joins_graphs: Whether batches join many graphs, which have the labels.
        readout: How a model is to come from nodes to answers: ``None``, ``"mean"`` or ``"mask"``.
        tables: What the columns of the tables hold that the task was made of (:meth:`FromTables.from_pandas`), if any.
        table_names: What the tables are called of which new ones are read.
        ids: What its nodes are called there.
        applied: The transforms that its graphs went through.
        dataset: The dataset it was loaded from, if any: what is computed from its graphs is kept under that name.
        stands_for: The description of the task that this one replaces in a loaded run, without its data; else empty.
    """

    kind: ClassVar[str]
    readout: str | None = None
    stands_for: str = ""
    tables: Any = None
    table_names: ClassVar[Sequence[str]] = ("nodes", "edges")
    ids: Any = None
    applied: tuple[BaseTransform, ...] = ()
    dataset: str = ""
    redraws = RenamedAttribute("resamples")
    keeps_batches = RenamedAttribute("caches_evaluation")
    graphs: list[Data]
    labels: Tensor
    split: Split | LinkSplit

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        adopt_renamed(cls)
        inherit_sections(cls)
        if cls.loss is not Task.loss:
            raise TypeError(f"{cls.__name__} overrides loss, which validation does not call; override loss_of")
        if cls.batches is not Task.batches and cls.make_loader is Task.make_loader:
            raise TypeError(
                f"{cls.__name__} defines batches, but a task's batches come from its loader: define make_loader, "
                "set_data and select, in place of batches, with_split and _with_graphs"
            )

    @takes_arguments_of(Scoring)
    def __init__(
        self, name: str, target: str | type[Target] | Target, metric: str | type | Any = None, **of_scoring: Any
    ) -> None:
        super().__init__(name, target, metric, **of_scoring)
        self._derived: dict[str, Self] = {}
        self.loader = self.make_loader()

    # What a kind of task says -------------------------------------------------------------------------------------

    @abstractmethod
    def make_loader(self) -> Loader:
        """What makes the batches."""

    @abstractmethod
    def set_data(self, graphs: Sequence[Data], split: Any) -> None:
        """Check graphs, labels and split, and take them; called at the beginning and again for a changed copy."""

    # What a model needs to know -----------------------------------------------------------------------------------

    @property
    def example(self) -> Data:
        """A graph as models see it: the first one, or a subgraph where these are drawn."""
        return self.graphs[0] if self.sampler is None else self.loader.example()

    @property
    def _sizes(self) -> Data:
        return self.example if self.loader.transforms else self.graphs[0]

    @property
    def num_features(self) -> int:
        """The number of node features; 0 without ``x``."""
        x = self._sizes.x
        return 0 if x is None else x.size(1)

    @property
    def num_edge_features(self) -> int:
        """The number of edge features; 0 without ``edge_attr``."""
        return self._sizes.num_edge_features

    def asked(self) -> list[Data]:
        """The graphs as new ones, of which everything is predicted (default: as they are)."""
        return self.graphs

    def unlabelled(self) -> Tensor:
        """Which rows of predictions of :meth:`asked` have no label (default: the task has no such rows)."""
        raise ValueError(f"task {self.name!r} is a {self.kind} task, which has no rows without a label; give a stage")

    def names(self, stage: str | None) -> Any:
        """What rows of predictions are called: those of a stage, or of :meth:`asked` (default: by number)."""
        if stage is None:
            return self.ids
        rows = getattr(self.split, stage)
        return rows.tolist() if self.ids is None else self.ids[rows.numpy()]

    def named(self, graph: Data, made: Any) -> tuple[Data, Any]:
        """A graph of new tables that says what is judged in it, and what rows of predictions are called.

        Args:
            graph: The graph, after all transforms.
            made: What the tables became (:class:`~graphkit.tasks.tables.Made`).
        """
        return graph, made.ids

    @cached_property
    def content_hash(self) -> str:
        """Twelve hexadecimal digits of all graphs and labels."""
        return hash_config([hash_tensors(self.labels), *(hash_data(graph) for graph in self.graphs)])

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """What classes are called in the tables that the task was made of, if they are."""
        return None if self.tables is None else self.tables.classes

    # What a trainer needs ----------------------------------------------------------------------------------------

    def batches(
        self,
        stage: str,
        batch_size: int | None = None,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] = (0, 1),
        epoch: int | None = None,
    ) -> Iterable[Data]:
        """The batches of one stage, each a PyG ``Data`` or ``Batch``, as the task's loader makes them.

        Args:
            stage: ``"train"``, ``"val"`` or ``"test"``.
            batch_size: The number of graphs per batch (graph tasks), of links or edges to train on (such tasks; each
                batch has the whole graph, or a subgraph around them), or of roots (sampled node tasks). Other node
                tasks are one batch (default: 32 graphs, or all links or edges).
            shuffle: Whether to draw an order, of all but node tasks of one batch (default: ``False``).
            generator: The source of randomness for ``shuffle``, for negatives and for subgraphs that are drawn
                (default: torch's).
            shard: This process's rank and the number of processes; each gets an equal share of a shuffled order
                (default: one process).
            epoch: The epoch of training, counted from 1, for loaders that change with it (default: ``None``).

        Raises:
            ValueError: If the task cannot be divided or shuffled as asked.
        """
        if shuffle and self.loader.ordered:
            raise ValueError(f"task {self.name!r}: its batches have an order of their own; leave shuffle at False")
        draw = Draw(batch_size, shuffle, generator, shard, epoch)
        return self.loader.batches(check_choice(stage, STAGES, "stage"), draw)

    @property
    def resamples(self) -> bool:
        """Whether training batches differ from epoch to epoch."""
        return self.loader.resamples

    @property
    def caches_evaluation(self) -> bool:
        """Whether the batches of validation and test fit into memory."""
        return self.loader.caches_evaluation

    @property
    def sampler(self) -> Any:
        """What draws the subgraphs of a sampled task; ``None`` of others."""
        return self.loader.sampler

    def baseline(self) -> float | None:
        """The score on the test part of one answer for all, the simplest predictor, which a model should beat.

        As scikit-learn's ``DummyClassifier`` and ``DummyRegressor``, it knows nothing but the known labels of training:
        it answers with the frequencies of classes (as logits), so with the class that occurs most often where a metric
        counts classes, or with the mean of each column of numbers. Pairs of nodes all have the same score.
        :meth:`~graphkit.tasks.Target.constant` of the target says it; metric and labels are those that judge models.

        Returns:
            The score; ``None`` where the target (one of your own) says no such answer, the task never calls
            :meth:`fit_target` or knows no labels of its batches (:meth:`target_labels`), or the metric is not defined
            for answers that are all alike.

        Example:
            >>> import graphkit as gk
            >>> task = gk.load("karate")
            >>> round(task.baseline(), 2)
            0.4
        """
        return self._baseline

    @cached_property
    def _baseline(self) -> float | None:
        labels = None if self._fitted_to is None else self.loader.labels("test")
        return None if labels is None else self.score_of_constant(labels)

    # Changes -----------------------------------------------------------------------------------------------------

    def transform(self, transform: BaseTransform, jobs: int | None = None) -> Self:
        """A new task whose graphs went through a PyG transform; this one stays as it is.

        A deterministic :class:`~graphkit.transforms.Precompute`, also as a part of a ``Compose``, is applied once per
        task and cached. Any other is applied once, too, as PyG's ``pre_transform``: what a random one draws here stays
        for all epochs, and so does what the transform of a PyG dataset draws when a task is made of it. A sampled task
        applies the transform to each subgraph, whenever one is drawn.

        Args:
            transform: Any PyG transform, graphkit's rewirings and features included.
            jobs: The number of parallel processes (default: as :func:`~graphkit.transforms.apply` chooses).
        """
        loader = self.loader.transformed(transform)
        if loader is not None:
            if has_own_space(transform):
                self._warn_of_spaces(
                    transform, "each subgraph that is drawn", "transform the task before it is sampled"
                )
            return self.with_loader(loader)
        if isinstance(transform, Compose):
            return reduce(lambda task, part: task.transform(part, jobs), transform.transforms, self)
        key = transform.cache_key() if isinstance(transform, Precompute) else None
        if key is not None and key in self._derived:
            return self._derived[key]
        graphs = self._through(transform, jobs)
        if any(f"{stage}_mask" in graphs[0] for stage in STAGES):
            warnings.warn(
                f"task {self.name!r}: {transform} sets masks, but the task keeps its split; "
                "use with_split(Split.from_masks(...))",
                stacklevel=2,
            )
        task = self._with_graphs(graphs)
        task.applied = (*self.applied, transform)
        if key is not None:
            self._derived[key] = task
        return task

    def _through(self, transform: BaseTransform, jobs: int | None) -> list[Data]:
        if len(self.graphs) > 1 and has_own_space(transform):
            self._warn_of_spaces(transform, "each graph", "those of FastRP can be compared")
        return apply(transform, self.graphs, jobs=jobs, cache_dir=results_folder("transforms", self.dataset))

    def in_memory(self) -> Self:
        """The same task with mapped graphs read into memory (:meth:`MappedGraph.in_memory`)."""
        if not any(isinstance(graph, MappedGraph) for graph in self.graphs):
            return self
        return self._with_graphs([g.in_memory() if isinstance(g, MappedGraph) else g for g in self.graphs])

    def _warn_of_spaces(self, transform: BaseTransform, each: str, remedy: str) -> None:
        warnings.warn(
            f"task {self.name!r}: {transform} gives {each} columns of its own, which no model can compare; {remedy}",
            stacklevel=4,
        )

    def with_split(self, split: Any) -> Self:
        """The same task with another split."""
        return self._changed(self.graphs, split)

    def with_loader(self, loader: Loader) -> Self:
        """The same task with the batches of another loader, of which it gets its own."""
        task = self._copied()
        task.loader = loader.for_task(task)
        return task

    def sampled(self, sampler: Any) -> Self:
        """The same task with batches of subgraphs that a sampler draws.

        The roots of training batches are training nodes, or the ends of links to train on; the trainer's ``batch_size``
        counts them, for samplers that grow subgraphs from roots. Validation and test are predicted as the sampler's
        ``evaluate`` says. A node's degree is that in the subgraph, which changes what GCN computes at its rim
        (:class:`~graphkit.samplers.NeighborSampler`). Transforms that come later, and the structure that a model wants
        precomputed, are applied to each subgraph (and to the whole graph where that is evaluated)::

            task.transform(features).sampled(sampler)   # features of the whole graph
            task.sampled(sampler).transform(features)   # features of each subgraph

        Batches of GraphSAINT carry ``node_weight``; their loss is the weighted sum over the batch's training nodes,
        whose expectation is the mean loss over all of them. ``train_index``, ``val_index`` and ``test_index`` are the
        nodes of each part of the split; those that count in the batch are ``root_index``.

        Args:
            sampler: The sampler, e.g. ``gk.samplers.NeighborSampler([15, 10])``.

        Raises:
            TypeError, ValueError: If ``sampler`` is none, or this is no task of one large graph, or is sampled already.

        Example:
            >>> import graphkit as gk
            >>> task = gk.load("karate").sampled(gk.samplers.NeighborSampler([5, 5]))
            >>> model = gk.models.GCN(task.num_features, 16, out_channels=task.num_outputs)
            >>> result = gk.Trainer(max_epochs=3, batch_size=2, progress=False).fit(model, task)
        """
        if self.sampler is not None:
            raise ValueError(f"task {self.name!r} is sampled by {self.sampler} already")
        if not isinstance(sampler, Sampler):
            raise TypeError(
                f"sampled needs a sampler such as gk.samplers.NeighborSampler([15, 10]), got {type(sampler).__name__}"
            )
        return self.with_loader(self.make_subgraph_loader(sampler))

    def make_subgraph_loader(self, sampler: Sampler) -> Loader:
        """The loader of a sampled task (default: there is none)."""
        raise ValueError(
            f"task {self.name!r} is a {self.kind} task, but samplers draw subgraphs around labelled nodes of one large "
            "graph; for smaller batches set batch_size"
        )

    def _with_graphs(self, graphs: list[Data]) -> Self:
        return self._changed(graphs, self.split)

    def _changed(self, graphs: Sequence[Data], split: Any) -> Self:
        task = self._copied()
        task.set_data(graphs, split)
        return task.with_loader(self.loader)

    def _copied(self) -> Self:
        task = copy.copy(self)
        for name in vars(self):
            if isinstance(inspect.getattr_static(type(self), name, None), cached_property):  # of what may have changed
                del vars(task)[name]
        task.target, task._derived = copy.copy(self.target), {}
        return task
