"""Streams of events from the user's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from graphkit.core.constraints import checked
from graphkit.core.deprecation import warn_renamed
from graphkit.tasks.pair_task import PairTask
from graphkit.tasks.targets import Link, Target, is_kind


class FromEvents(PairTask):
    """Tasks of events that one table can hold.

    Arguments and errors are those of :class:`Task`.
    """

    _classes: tuple[Any, ...] | None = None  # what classes are called in the table

    @property
    def classes(self) -> tuple[Any, ...] | None:
        return self._classes

    @classmethod
    @checked
    def from_pandas(
        cls,
        events: Any,
        source: str | None = None,
        destination: str | None = None,
        time: str | None = None,
        messages: Sequence[str] = (),
        bipartite: bool = False,
        name: str = "events",
        label: str | Sequence[str] | None = None,
        target: str | type[Target] | Target | None = None,
        **options: Any,
    ) -> Self:
        """A task of a pandas table with a row per event; nodes are numbered in the order in which they first occur.

        Args:
            events: The table.
            source: The column of sources, of any type (default: ``None``, the first column).
            destination: The column of destinations (default: ``None``, the second).
            time: The column of times, numbers or dates (default: ``None``, the third).
            messages: The columns of numbers that are messages (default: none).
            bipartite: Whether sources and destinations are of two kinds, so that equal ids are different nodes
                (default: ``False``).
            name: The task's name in results (default: ``"events"``).
            label: The column of labels, missing where unknown, or several (default: ``None``, what is judged is which
                events come next).
            target: The kind of label (default: ``None``, as the values are; see :meth:`NodeTask.from_pandas`).
            **options: Further arguments of the class, such as ``negatives``.

        Raises:
            ImportError: If pandas is not installed.
            TypeError: If it is no table, times are strings or messages are no numbers.
            ValueError: If a column, an id or a time is missing, or the kind of label could be either; and as the class.

        Example:
            >>> import pandas as pd
            >>> from graphkit import EventTask, Split
            >>> mails = pd.DataFrame({"from": list("abcabcabc"), "to": list("bcabcabca"), "day": range(9)})
            >>> task = EventTask.from_pandas(mails, split=Split.by_time(mails.day))
            >>> task.num_nodes, task.split.sizes, list(task.ids)
            (3, (5, 2, 2), ['a', 'b', 'c'])
            >>> mails["kind"] = list("spmspmspm")
            >>> EventTask.from_pandas(mails, label="kind", split=task.split).target.name
            'multiclass'
        """
        from graphkit.tasks.event_tables import stream_of
        from graphkit.tasks.tables import labels_of

        place, names = f"task {name!r}", [label] if isinstance(label, str) else list(label or ())
        destination, target = _not_a_column(destination, target, label)
        data, ids = stream_of(events, (source, destination, time), messages, names, bipartite, place)
        classes = None
        if names and is_kind(target, Link):
            raise ValueError(f"{place}: label={label!r} is not read, as target='link'; leave one of them out")
        if names:
            data.edge_label, options["target"], classes = labels_of(events, names, target, place)
        make: Any = cls  # whose arguments are those of its subclasses
        task = make(name, data, **options)
        task.ids, task._classes = ids, classes
        return task

    @classmethod
    @checked
    def from_csv(
        cls,
        path: str | Path,
        source: str | None = None,
        destination: str | None = None,
        time: str | None = None,
        name: str | None = None,
        target: str | type[Target] | Target | None = None,
        **options: Any,
    ) -> Self:
        """:meth:`from_pandas` of a file of text, whose columns are divided by commas, tabulators, semicolons or blanks.

        A first line without a letter is an event, and columns are then called ``"0"``, ``"1"``, ... Columns of ids that
        are named here are texts, as they stand in the file.

        Args:
            path: The file.
            source: The column of sources (default: ``None``, the first column).
            destination: The column of destinations (default: ``None``, the second).
            time: The column of times (default: ``None``, the third).
            name: The task's name (default: ``None``, that of the file).
            target: The kind of label (default: ``None``, as the values are).
            **options: Further arguments of :meth:`from_pandas`.

        Raises:
            FileNotFoundError: If there is no such file.
            ImportError, TypeError, ValueError: As :meth:`from_pandas`.
        """
        from graphkit.tasks.event_tables import read_events

        destination, target = _not_a_column(destination, target, options.get("label"))
        options |= {"name": Path(path).stem if name is None else name, "target": target}
        return cls.from_pandas(read_events(path, (source, destination)), source, destination, time, **options)


def _not_a_column(destination: str | None, target: Any, label: Any) -> tuple[str | None, Any]:
    """The column of destinations, which was called ``target`` before, and the kind of label."""
    if label is not None or target in (None, "link"):
        return destination, target
    warn_renamed("EventTask.from_pandas(target=)", "EventTask.from_pandas(destination=)")
    return target, None
