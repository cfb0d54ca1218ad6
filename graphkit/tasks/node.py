"""Labels of nodes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.constraints import Count, Seed, checked
from graphkit.samplers import Sampler
from graphkit.tasks.base import Task
from graphkit.tasks.checks import as_graphs, as_labels, check_graphs, check_names, check_split
from graphkit.tasks.loaders import Loader, NodeSubgraphs, WholeGraph
from graphkit.tasks.split import Split
from graphkit.tasks.tables.columns import Impute
from graphkit.tasks.targets import Target


class NodeTask(Task):
    r"""Predict a label per node of one graph; the whole graph is one batch, or its subgraphs (:meth:`Task.sampled`).

    Args:
        name: The task's name in results.
        data: The graph, with ``edge_index`` ``[2, num_edges]``, the labels ``y`` ``[num_nodes]`` or ``[num_nodes,
            num_outputs]`` and, for models that read them, features ``x`` ``[num_nodes, num_features]``.
        split: The nodes to train on, to validate on and to test on.
        target: The kind of label (default: ``"multiclass"``); see :class:`Task`.
        num_outputs: The number of classes or label columns (default: as in ``y``).

    Raises:
        TypeError: If ``edge_index`` is not integer or ``x`` not floating point.
        IndexError: If ``edge_index`` names a node that does not exist.
        ValueError: If anything else does not fit; the message names the value, the place and the remedy.

    Example:
        >>> import torch
        >>> data = Data(x=torch.eye(4), edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), y=torch.tensor([0, 1, 0, 1]))
        >>> task = NodeTask("toy", data, Split("s", torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([3])))
        >>> task.num_features, task.num_outputs
        (4, 2)
    """

    kind = "node"
    split: Split
    _num_given = 0

    def __init__(
        self,
        name: str,
        data: Any,
        split: Any,
        target: str | type[Target] | Target = "multiclass",
        metric: str | type | Any = None,
        num_outputs: Count | None = None,
        allow_missing_classes: bool = False,
        loss: Any = None,
        class_weight: Any = None,
        pos_weight: Any = None,
    ) -> None:
        weights = {"class_weight": class_weight, "pos_weight": pos_weight}
        super().__init__(name, target, metric, num_outputs, allow_missing_classes, loss, **weights)
        self.set_data([data], split)

    @classmethod
    @checked
    def from_pandas(
        cls,
        nodes: Any,
        edges: Any,
        label: str | Sequence[str],
        id: str | None = None,
        features: Sequence[str] | None = None,
        categorical: Sequence[str] = (),
        impute: Impute | None = None,
        standardize: bool = False,
        ends: Sequence[str] | None = None,
        edge_weight: str | None = None,
        edge_features: Sequence[str] = (),
        directed: bool = False,
        split: str | Split | None = None,
        seed: Seed = 0,
        target: str | type[Target] | Target | None = None,
        name: str = "tables",
        **options: Any,
    ) -> NodeTask:
        r"""A task of two pandas tables; predictions of it, and of new tables with the same columns, come by node id.

        Texts, categories and columns named in ``categorical`` become a column of 0 and 1 per category; numbers and
        truth values stay as they are, unless ``standardize`` scales the numbers. What a column holds is learned once,
        from all rows, and applied to new tables alike (:meth:`Trainer.predict`, in another process, too), and so are
        transforms of the task. Repeated edges count once; in an undirected graph so do the two directions of one.

        Args:
            nodes: A row per node.
            edges: A row per edge.
            label: The column of labels, missing where unknown; or several, of a multilabel target or a regression.
            id: The column of node ids, of any type that ``edges`` names alike (default: the index of ``nodes``).
            features: The columns of features (default: all others).
            categorical: The columns of numbers, of nodes or edges, that are names of categories (default: none).
            impute: What takes the place of missing features: ``"mean"``, ``"median"`` or ``"most_frequent"`` of the
                column, as in scikit-learn; of categories always the most frequent (default: ``None``, refuse them).
            standardize: Whether numbers among the features get the mean 0 and the standard deviation 1 of this table;
                truth values and weights do not (default: ``False``).
            ends: The columns of source and target of an edge (default: the first two).
            edge_weight: The column of edge weights (default: edges have none).
            edge_features: The columns of edge features (default: none).
            directed: Whether an edge leads from source to target only (default: ``False``).
            split: The column that says ``train``, ``val`` or ``test``, or a :class:`Split` of row numbers (default:
                60/20/20 of the nodes with a label, drawn by ``seed``, with the same share of each class).
            seed: The seed of that draw (default: 0).
            target: The kind of label (default: ``"multiclass"`` of texts, categories, truth values and integers,
                ``"regression"`` of other numbers, ``"multilabel"`` of several columns of 0 and 1).
            name: The task's name in results (default: ``"tables"``).
            **options: Further arguments of :class:`NodeTask`, such as ``metric``.

        Raises:
            ImportError: If pandas is not installed.
            TypeError: If a table is none, or a column holds neither numbers nor categories.
            ValueError: If an id is missing, repeated or unknown, a value is missing or not finite, or the kind of label
                could be either; the message names the table, the column, the row and the remedy.

        Example:
            >>> import pandas as pd
            >>> nodes = pd.DataFrame({"age": [20, 30, 40, 50, 60, 70], "team": list("aabbab")}, index=list("uvwxyz"))
            >>> edges = pd.DataFrame({"source": list("uvwxy"), "target": list("vwxyz")})
            >>> task = NodeTask.from_pandas(nodes, edges, label="team", split=Split("s", [0, 2], [1, 3], [4, 5]))
            >>> task.tables.classes, task.num_features, task.data.num_edges
            (('a', 'b'), 1, 10)
        """
        from graphkit.tasks.tables import Tables, labels_of, pandas_needed, split_of

        pandas_needed(f"{cls.__name__}.from_pandas")
        place = f"task {name!r}"
        names = [label] if isinstance(label, str) else list(label)
        left_out = [split] if isinstance(split, str) else []
        columns = (features, categorical, impute, standardize, ends, edge_weight, edge_features, directed, left_out)
        tables = Tables.learned(nodes, edges, names, id, *columns)
        data, ids = tables.graph(nodes, edges)
        data.y, kind, classes = labels_of(nodes, names, target, place)
        made = split_of(nodes, split, data.y, seed, classes is not None, place)
        task = cls(name, data, made, kind, **options)
        task.tables, task.ids = replace(tables, label=tuple(names), classes=classes), ids
        return task

    @classmethod
    @checked
    def from_csv(
        cls, folder: str | Path, label: str | Sequence[str], id: str | None = None, **options: Any
    ) -> NodeTask:
        """:meth:`from_pandas` of a folder with ``nodes.csv`` and ``edges.csv``.

        Ids are texts, as they stand in the files (``007`` stays what it is).

        Args:
            folder: The folder.
            label: The column of labels, or several.
            id: The column of node ids (default: the first one; of edges, the first two name the ends).
            **options: Further arguments of :meth:`from_pandas`.

        Raises:
            FileNotFoundError: If a file is missing.
            ImportError, TypeError, ValueError: As :meth:`from_pandas`.
        """
        from graphkit.tasks.tables import read_folder

        nodes, edges = read_folder(folder, id, options.get("ends"))
        name = options.pop("name", Path(folder).expanduser().resolve().name)
        return cls.from_pandas(nodes, edges, label, nodes.columns[0] if id is None else id, name=name, **options)

    @classmethod
    @checked
    def from_networkx(cls, graph: Any, label: str, **options: Any) -> NodeTask:
        """:meth:`from_pandas` of a networkx graph: attributes of nodes and edges are columns, its nodes are the ids.

        Args:
            graph: The graph, directed or not.
            label: The attribute of nodes that is the label.
            **options: Further arguments of :meth:`from_pandas`, but ``id``, ``ends`` and ``directed``.

        Raises:
            ImportError, TypeError, ValueError: As :meth:`from_pandas`.

        Example:
            >>> import networkx as nx
            >>> club = nx.karate_club_graph()
            >>> task = NodeTask.from_networkx(club, "club", edge_weight="weight", seed=1)
            >>> task.tables.classes, task.data.num_edges
            (('Mr. Hi', 'Officer'), 156)
        """
        from graphkit.tasks.tables import from_graph

        nodes, edges = from_graph(graph)
        return cls.from_pandas(nodes, edges, label, directed=graph.is_directed(), **{"name": "graph"} | options)

    def make_loader(self) -> Loader:
        return WholeGraph(self)

    def make_subgraph_loader(self, sampler: Sampler) -> Loader:
        return NodeSubgraphs(self, sampler, self.loader)

    def set_data(self, graphs: Sequence[Data], split: Split) -> None:
        place = f"task {self.name!r}"
        (data,) = as_graphs(graphs, place)
        self.graphs, self.split = [copy.copy(data)], split  # attributes that the user sets later change no task
        check_graphs(self.graphs, place)
        check_names(self.graphs, place)
        if self.data.y is None:
            raise ValueError(f"{place}: the graph has no labels; set data.y")
        labels, count = as_labels(self.data.y, place), self.data.num_nodes
        if labels.dim() == 0 or labels.size(0) != count:
            raise ValueError(f"{place}: there are {labels.size(0) if labels.dim() else 'no'} labels for {count} nodes")
        self._num_given = self._num_given or count  # a virtual node comes later
        if count < self._num_given:
            raise ValueError(
                f"{place}: a transform left {count} of {self._num_given} nodes, so the ids of the split name others; "
                "apply it to the graph before the split and the task are made"
            )
        check_split(split, count, self.kind, place, self._num_given)
        self.labels = self.target.check(labels, split, self.kind, place)
        self.fit_target(self.labels[split.train])

    @property
    def data(self) -> Data:
        """The graph."""
        return self.graphs[0]

    def visible_labels(self, stage: str) -> Tensor:
        """The labels of all nodes, those of the test hidden at any other stage."""
        return self.labels if stage == "test" else self.target.hide(self.labels, self.split.test)

    def target_index(self, batch: Data, stage: str) -> Tensor:
        return batch.root_index if "root_index" in batch else batch[f"{stage}_index"]

    def label_index(self, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        rows = self.target_index(batch, stage)
        return rows, rows

    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        rows = self.target_index(batch, stage)
        at_roots = "readout_mask" in batch and "root_index" in batch
        if at_roots and isinstance(out, Tensor) and out.size(0) == rows.numel():
            self.check_columns(out, rows.numel(), "")
            return out, batch.y[rows]  # the model has read the roots itself
        self.check_columns(out, batch.num_nodes, "a node task needs a model without readout")
        return out[rows], batch.y[rows]

    def weight(self, batch: Data) -> Tensor | None:
        sampled = "root_index" in batch and "node_weight" in batch
        return batch.node_weight[batch.root_index] if sampled else None

    def spread(self, values: Tensor, batch: Data, stage: str) -> Tensor:
        rows = self.target_index(batch, stage)
        return values.new_zeros(batch.num_nodes, values.size(1)).index_copy(0, rows, values)
