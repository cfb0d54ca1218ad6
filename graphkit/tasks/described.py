"""A task in words."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch_geometric.data import Data

from graphkit.core.display import html_table
from graphkit.core.text import in_number
from graphkit.tasks.scoring import Scoring
from graphkit.tasks.split import STAGES


class Described(Scoring):
    """Mixin of tasks: their line in a terminal and their table in a notebook."""

    graphs: Sequence[Data]
    split: Any
    loader: Any
    stands_for: str

    @property
    @abstractmethod
    def num_features(self) -> int:
        """The number of features of a node."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def describe(self) -> str:
        """One line: sizes, target, split and metric."""
        if self.stands_for:
            return self.stands_for
        return f"{self.name}: {', '.join(self._facts().values())}"

    def judged_items(self, stage: str) -> str:
        """How many items the score of a stage is of, in words: ``"1000 nodes"``."""
        return in_number(self.split.sizes[STAGES.index(stage)], self.kind)

    def _repr_html_(self) -> str:
        return html_table(f"{type(self).__name__} {self.name}", () if self.stands_for else self._facts().items())

    def _facts(self) -> dict[str, str]:
        return {
            "graphs": self._describe_graphs(),
            "features": f"{self.num_features} features",
            "target": f"{self._describe_target()}{self.target.describe_loss()}",
            "metric": self.metric,
            "split": f"split {self.split.name} {'/'.join(map(str, self.split.sizes))} [{self.split.hash}]"
            f"{self.loader.describe()}",
        }

    def _describe_graphs(self) -> str:
        nodes, edges = (sum(sizes) for sizes in zip(*((g.num_nodes, g.num_edges) for g in self.graphs), strict=True))
        return f"{nodes} nodes, {edges} edges"

    def _describe_target(self) -> str:
        return f"{self.target} with {self.num_outputs} outputs"
