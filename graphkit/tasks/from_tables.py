"""Tasks of the user's tables."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from graphkit.core.constraints import Seed, checked
from graphkit.tasks.base import Task
from graphkit.tasks.split import Split
from graphkit.tasks.tables.columns import Impute
from graphkit.tasks.targets import Target

if TYPE_CHECKING:
    from graphkit.tasks.tables import Made


class FromTables(Task):
    """Tasks of one graph that two tables, a folder of files or a networkx graph can hold.

    Arguments and errors are those of :class:`Task`.
    """

    labelled: ClassVar[Literal["nodes", "edges"]] = "nodes"  # the table whose rows are judged
    has_labels: ClassVar[bool] = True  # or that a row is there is what is judged

    @classmethod
    @checked
    def from_pandas(
        cls,
        nodes: Any,
        edges: Any,
        label: str | Sequence[str] | None = None,
        id: str | None = None,
        features: Sequence[str] | None = None,
        categorical: Sequence[str] = (),
        texts: Sequence[str] = (),
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
    ) -> Self:
        r"""A task of two pandas tables; predictions of it, and of new tables with the same columns, come by id.

        Words, categories and columns named in ``categorical`` become a column of 0 and 1 per category; numbers and
        truth values stay as they are, unless ``standardize`` scales the numbers. What a column holds is learned once,
        from all rows, and applied to new tables alike (:meth:`Trainer.predict`, in another process, too), and so are
        transforms of the task. Repeated edges count once; in an undirected graph so do the two directions of one.

        Args:
            nodes: A row per node.
            edges: A row per edge.
            label: The column of labels, of nodes for a :class:`NodeTask`, of edges for an :class:`EdgeTask`, missing
                where unknown; or several, of a multilabel target or a regression (default: none, as of a
                :class:`LinkTask`).
            id: The column of node ids, of any type that ``edges`` names alike (default: the index of ``nodes``).
            features: The columns of features of nodes (default: all others but ``texts``).
            categorical: The columns of numbers, of nodes or edges, that are names of categories (default: none).
            texts: The columns of nodes that are texts: they become lists of strings of the same names in ``task.data``,
                empty where missing, of which ``gk.features.TextEmbedding`` makes features (default: none).
            impute: What takes the place of missing features: ``"mean"``, ``"median"`` or ``"most_frequent"`` of the
                column, as in scikit-learn; of categories always the most frequent (default: ``None``, refuse them).
            standardize: Whether numbers among the features get the mean 0 and the standard deviation 1 of this table;
                truth values and weights do not (default: ``False``).
            ends: The columns of source and target of an edge (default: those called so, else the first two that are
                named for nothing else).
            edge_weight: The column of edge weights (default: edges have none).
            edge_features: The columns of edge features (default: none).
            directed: Whether an edge leads from source to target only (default: ``False``).
            split: The column that says ``train``, ``val`` or ``test``, or a :class:`Split` of row numbers of the table
                with the labels (default: 60/20/20 of what has a label, drawn by ``seed``, with the same share of each
                class). Links are divided by a column of ``edges`` or a :class:`LinkSplit` of row numbers of ``nodes``
                (default: :meth:`LinkSplit.random`).
            seed: The seed of that draw (default: 0).
            target: The kind of label (default: ``"multiclass"`` of texts, categories, truth values and integers,
                ``"regression"`` of other numbers, ``"multilabel"`` of several columns of 0 and 1).
            name: The task's name in results (default: ``"tables"``).
            **options: Further arguments of the class, such as ``metric``.

        Raises:
            ImportError: If pandas is not installed.
            TypeError: If a table is none, a column holds neither numbers nor categories, or one of ``texts`` holds
                something else.
            ValueError: If no label is named, an id is missing, repeated or unknown, a value is missing or not finite,
                or the kind of label could be either; the message names the table, the column, the row and the remedy.

        Example:
            >>> import pandas as pd
            >>> from graphkit import EdgeTask, LinkTask, NodeTask
            >>> nodes = pd.DataFrame({"age": [20, 30, 40, 50, 60, 70], "team": list("aabbab")}, index=list("uvwxyz"))
            >>> edges = pd.DataFrame({"source": list("uvwxy"), "target": list("vwxyz"), "calls": [3.5, 1, 2, 4, 1]})
            >>> ends = edges[["source", "target"]]
            >>> task = NodeTask.from_pandas(nodes, ends, label="team", split=Split("s", [0, 2], [1, 3], [4, 5]))
            >>> task.tables.classes, task.num_features, task.data.num_edges
            (('a', 'b'), 1, 10)
            >>> EdgeTask.from_pandas(nodes, edges, label="calls", features=["age"]).split.sizes
            (6, 2, 2)
            >>> parts = ends.assign(part=["train", "train", "train", "val", "test"])
            >>> LinkTask.from_pandas(nodes, parts, features=["age"], split="part").split.sizes
            (3, 1, 1)
        """
        from graphkit.tasks.tables import Tables, classes_to_share, labels_of, pandas_needed, told_split

        pandas_needed(f"{cls.__name__}.from_pandas")
        place = f"task {name!r}"
        names = [label] if isinstance(label, str) else list(label or ())
        table = nodes if cls.labelled == "nodes" else edges
        cls._check_label(table, names, target, place)
        columns = (id, features, categorical, texts, impute, standardize, ends, edge_weight, edge_features, directed)
        part = split if isinstance(split, str) else None
        tables = Tables.learned(nodes, edges, names, cls.labelled, part, *columns)
        y, kind, classes = labels_of(table, names, target, place) if names else (torch.ones(len(table)), None, None)
        made = tables.graph(nodes, edges, labels=None if cls.labelled == "nodes" else y)
        shares = classes_to_share(y, classes is not None)
        given = cls.arguments(made, y, kind, told_split(table, split, place), shares, seed, not directed)
        make: Any = cls  # whose arguments are those of its subclasses
        task = make(name, **given, **options)
        task.tables, task.ids = replace(tables, label=tuple(names), classes=classes), made.ids
        return task

    @classmethod
    def _check_label(cls, table: Any, names: Sequence[str], target: Any, place: str) -> None:
        if cls.has_labels and not names:
            columns = [str(name) for name in getattr(table, "columns", ["..."])]
            raise ValueError(
                f"{place}: the column of labels is not told, as by label={columns[-1]!r}; {cls.labelled} has {columns}"
            )
        if not cls.has_labels and (names or target is not None):
            raise ValueError(f"{place}: label and target are not read, as every edge is a link; leave them out")

    @classmethod
    @abstractmethod
    def arguments(
        cls, made: Made, y: Tensor, kind: Any, split: Any, shares: Tensor, seed: int, undirected: bool
    ) -> dict[str, Any]:
        """What a task of two tables is made of: the graph with labels, the split, and what else the tables tell.

        Args:
            made: What two tables became.
            y: The labels of rows.
            kind: The kind of target.
            split: The split that was told, or ``None``.
            shares: By what a random one is stratified.
            seed: Its seed.
            undirected: Whether edges have no direction.
        """

    @classmethod
    @checked
    def from_csv(
        cls, folder: str | Path, label: str | Sequence[str] | None = None, id: str | None = None, **options: Any
    ) -> Self:
        """:meth:`from_pandas` of a folder with ``nodes.csv`` and ``edges.csv``.

        Ids are texts, as they stand in the files (``007`` stays what it is).

        Args:
            folder: The folder.
            label: The column of labels, or several (default: none, as of links).
            id: The column of node ids (default: the first one).
            **options: Further arguments of :meth:`from_pandas`.

        Raises:
            FileNotFoundError: If a file is missing.
            ImportError, TypeError, ValueError: As :meth:`from_pandas`.
        """
        from graphkit.tasks.tables import read_folder

        labels = [label] if isinstance(label, str) else label or ()
        others = [*labels, options.get("edge_weight"), options.get("split"), *options.get("edge_features", ())]
        nodes, edges = read_folder(folder, id, options.get("ends"), options.get("texts", ()), others)
        name = options.pop("name", Path(folder).expanduser().resolve().name)
        return cls.from_pandas(nodes, edges, label, nodes.columns[0] if id is None else id, name=name, **options)

    @classmethod
    @checked
    def from_networkx(cls, graph: Any, label: str | Sequence[str] | None = None, **options: Any) -> Self:
        """:meth:`from_pandas` of a networkx graph: attributes of nodes and edges are columns, its nodes are the ids.

        Args:
            graph: The graph, directed or not.
            label: The attribute that is the label, or several (default: none, as of links).
            **options: Further arguments of :meth:`from_pandas`, but ``id``, ``ends`` and ``directed``.

        Raises:
            ImportError, TypeError, ValueError: As :meth:`from_pandas`.

        Example:
            >>> import networkx as nx
            >>> from graphkit import EdgeTask, NodeTask
            >>> club = nx.karate_club_graph()
            >>> task = NodeTask.from_networkx(club, "club", edge_weight="weight", seed=1)
            >>> task.tables.classes, task.data.num_edges
            (('Mr. Hi', 'Officer'), 156)
            >>> EdgeTask.from_networkx(club, "weight", target="regression").num_outputs
            1
        """
        from graphkit.tasks.tables import from_graph

        nodes, edges = from_graph(graph)
        return cls.from_pandas(nodes, edges, label, directed=graph.is_directed(), **{"name": "graph"} | options)
