"""What a task is judged by."""

from __future__ import annotations

import copy
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from torch import Tensor
from torch_geometric.data import Data

from graphkit import metrics
from graphkit.core.constraints import Checked, Count
from graphkit.core.validate import check_choice
from graphkit.tasks import targets
from graphkit.tasks.targets import GivenLoss, Target
from graphkit.tasks.targets.base import random_outputs


class Scoring(Checked, ABC):
    """The target, the loss and the metric of a :class:`~graphkit.tasks.Task`, which tells of the arguments.

    :meth:`loss_of`, :meth:`count` and :meth:`new_metric` are for subclasses to override: training by every strategy
    that can use a task's loss, validation and test call them.

    Args:
        name: The task's name in results.
        target: The kind of label.
        metric: The score (default: the target's default).
        num_outputs: The number of classes or label columns (default: as in the labels).
        allow_missing_classes: Whether a part of the split may lack a class (default: ``False``).
        loss: The loss in place of the target's (default: the target's).
        class_weight: How much rows count by their class (default: alike).
        pos_weight: How much labels of 1 count (default: as those of 0).

    Raises:
        TypeError: If something else stands in place of a target, a loss or a metric.
        ValueError: If the task cannot have such a target, or loss, weights or metric do not fit it.
    """

    kind: ClassVar[str]
    judges_pairs: ClassVar[bool] = False
    ranks: ClassVar[bool] = False
    label_key: ClassVar[str] = "y"
    joins_graphs: ClassVar[bool] = False
    _fitted_to: Tensor | None = None

    def __init__(
        self,
        name: str,
        target: str | type[Target] | Target,
        metric: str | type | Any = None,
        num_outputs: Count | None = None,
        allow_missing_classes: bool = False,
        loss: Any = None,
        class_weight: Any = None,
        pos_weight: Any = None,
    ) -> None:
        self.name = name
        if isinstance(target, str):
            known = targets.registry.classes()
            fitting = [key for key, cls in known.items() if issubclass(cls, targets.Link) == self.judges_links]
            check_choice(target, fitting, "target")
        self.target = targets.resolve(target)
        if isinstance(self.target, targets.Link) and not self.judges_links:
            raise ValueError(f"task {name!r} judges {self.kind}s, but a {self.target} target is of pairs; use LinkTask")
        if num_outputs is not None:
            self.target.num_outputs = num_outputs
        self.target.allow_missing_classes |= allow_missing_classes
        self._metric = metrics.resolve(metric or self.target.default_metric)
        self.target.metric = self._metric
        _check_metric(self._metric, self.target)
        self.target.given_loss = None if loss is None else GivenLoss(loss, f"task {name!r}")
        self.target.class_weight, self.target.pos_weight = class_weight, pos_weight

    @property
    def judges_links(self) -> bool:
        """Whether it is judged which pairs of nodes are linked."""
        return self.judges_pairs

    @property
    def num_outputs(self) -> int | None:
        """The number of columns that a model must return: classes, 1 for a binary target, or the label's columns.

        ``None`` for links: their task takes node embeddings of any width.
        """
        return self.target.num_outputs

    @property
    def num_classes(self) -> int:
        """The number of classes that labels tell apart; 0 of labels that are no classes."""
        return self.target.num_classes

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.fresh_metric().name

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger metric is a better one."""
        return self.fresh_metric().higher_is_better

    def fit_target(self, labels: Tensor) -> None:
        """Let loss and metric see the labels of training; :meth:`~graphkit.tasks.Task.set_data` calls it.

        Args:
            labels: The checked labels of the training part.
        """
        place, self._fitted_to = f"task {self.name!r}", labels
        self.target.fit(labels, place)
        if isinstance(self._metric, metrics.GivenMetric):
            _try_metric(copy.deepcopy(self._metric), self.num_outputs or 1, labels, place)

    def score_of_constant(self, labels: Tensor) -> float | None:
        """The metric of the target's constant answer (:meth:`~graphkit.tasks.Target.constant`) to some examples.

        ``None`` where the target has none, or the metric is not defined for answers that are all alike.

        Args:
            labels: The labels of the examples.
        """
        constant = None if self._fitted_to is None else self.target.constant(self._fitted_to)
        if constant is None:
            return None
        metric = self.fresh_metric()
        try:
            with warnings.catch_warnings(action="ignore"):  # of what a run has been told of, or answers all alike
                metric.update(constant.repeat(labels.size(0), 1), labels)
                score = float(metric.compute())
        except Exception as error:  # of a user's metric: no run is to be lost for its sake
            warnings.warn(
                f"task {self.name!r}: metric {metric.name} fails where all answers are alike ({error}), so results "
                "have no baseline",
                stacklevel=2,
            )
            return None
        return score if math.isfinite(score) else None

    def loss(self, out: Tensor, batch: Data, stage: str = "train") -> Tensor:
        """The mean loss of the model's outputs for one batch (a scalar); a weighted sum where a sampler gives weights.

        Raises:
            ValueError: If ``out`` does not have the rows or columns that the task needs.
        """
        return self.loss_or_zero(*self.select(out, batch, stage), self.weight(batch))

    def loss_or_zero(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """:meth:`loss_of`, but 0 where no label is known, of which there is no mean."""
        if not self.count(label):
            return prediction[:0].sum()
        return self.loss_of(prediction, label) if weight is None else self.loss_of(prediction, label, weight)

    def loss_of(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean loss of selected predictions ``[n, num_outputs]`` against their labels: what a subclass overrides.

        With weights ``[n]`` it is the weighted sum instead; of several columns, the mean counts.
        """
        return self.target.objective(prediction, label, weight)

    def count(self, label: Tensor) -> float | Tensor:
        """How much :meth:`loss_of` of these labels counts in a mean over batches: as many as are known."""
        return self.target.count(label)

    def batch_count(self, batch: Data) -> float | Tensor:
        """How much a training batch counts in means over an epoch: as :meth:`count` says of its labels.

        Batches count alike where a sampler weighs rows, as each batch estimates the mean over all, and where the task
        knows no labels of a batch (:meth:`target_labels`).
        """
        labels = self.target_labels(batch, "train")
        return 1 if labels is None or self.weight(batch) is not None else self.count(labels)

    @property
    def has_own_loss(self) -> bool:
        """Whether the loss is another than graphkit's for this kind of label, which not every strategy can use."""
        return type(self).loss_of is not Scoring.loss_of or self.target.customised

    @abstractmethod
    def select(self, out: Tensor, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        """The rows of ``out`` that count at this stage, ``[n, num_outputs]``, or scores of pairs, and their labels."""

    def check_columns(self, out: Any, rows: int, hint: str) -> None:
        """Check that a model's outputs have the rows and columns that are judged; ``hint`` says what has such rows."""
        if not isinstance(out, Tensor) or out.dim() != 2 or out.size(1) != self.num_outputs:
            shape = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
            remedy = f"set its out_channels to task.num_outputs = {self.num_outputs}"
            if [*shape, 1] == [rows, self.num_outputs]:
                remedy = "return out.unsqueeze(-1)"
            raise ValueError(
                f"task {self.name!r} needs outputs of shape [{rows}, {self.num_outputs}], the model returned {shape}; "
                f"{remedy}"
            )
        if out.size(0) != rows:
            raise ValueError(
                f"task {self.name!r} needs {rows} rows of outputs, the model returned {out.size(0)}; {hint}"
            )

    def weight(self, batch: Data) -> Tensor | None:
        """How much each judged row counts in the loss of a batch (default: equally)."""
        return None

    def new_metric(self) -> Any:
        """A fresh metric for one evaluation, of any kind that ``metric=`` takes: what a subclass overrides."""
        metric = copy.deepcopy(self._metric)
        metric.reset()
        return metric

    def fresh_metric(self) -> metrics.Metric:
        """:meth:`new_metric` as a metric of graphkit's."""
        return metrics.resolve(self.new_metric())

    # What a strategy needs that judges single layers -----------------------------------------------------------------

    def target_index(self, batch: Data, stage: str) -> Tensor | None:
        """The nodes that are judged one by one at a stage ``[n]``; ``None`` where graphs or pairs are."""
        return None

    def pairs(self, batch: Data) -> Tensor | None:
        """The pairs of nodes that are judged ``[2, n]``; ``None`` where nodes or graphs are."""
        return None

    def target_labels(self, batch: Data, stage: str) -> Tensor:
        """The labels of what is judged (default: those of ``batch.y``; ``None`` where it has none)."""
        rows, y = self.target_index(batch, stage), batch.get("y")
        return y if rows is None or y is None else y[rows]

    def label_index(self, batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        """Rows of ``batch.y``, and for each a node that it is the label of: judged ones, or all of a graph."""
        raise TypeError(f"task {self.name!r}: {self.kind}s have no nodes with labels")

    def judged(self, predict: Callable[..., Tensor], batch: Data, stage: str) -> tuple[Tensor, Tensor]:
        """Predictions and labels of what is judged, as :meth:`select` takes them; a test hides the labels meanwhile.

        Args:
            predict: What makes outputs, ``predict(batch, stage=stage)``.
            batch: A batch of the stage.
            stage: ``"train"``, ``"val"`` or ``"test"``.
        """
        labels = batch.get(self.label_key)
        if stage == "test" and labels is not None:
            rows = None if self.joins_graphs else self.target_index(batch, stage)
            batch[self.label_key] = self.target.hide(labels, slice(None) if rows is None else rows)
        try:
            out = predict(batch, stage=stage)
        finally:
            if labels is not None:
                batch[self.label_key] = labels
        return self.select(out, batch, stage)

    def scored_by(self, scores_pairs: bool | None) -> Self:
        """This task for a model that scores pairs itself, or gives outputs of nodes (``None``: not known)."""
        return self

    def pool(self, h: Tensor, batch: Data) -> Tensor:
        """From states of nodes to one per row that :meth:`select` takes (default: the same)."""
        return h

    def spread(self, values: Tensor, batch: Data, stage: str) -> Tensor:
        """Values of what is judged ``[n, channels]``, with the rows that :meth:`select` takes (default: the same)."""
        return values


def _check_metric(metric: metrics.Metric, target: Target) -> None:
    kinds = {vars(cls).get("name") for cls in type(target).__mro__}

    def judges(metric: metrics.Metric | type[metrics.Metric]) -> bool:
        return not metric.targets or not kinds.isdisjoint(metric.targets)

    if not judges(metric):
        fitting = [key for key, cls in metrics.registry.classes().items() if judges(cls)]
        raise ValueError(f"metric {metric.name!r} cannot judge a {target} target; choose from: {', '.join(fitting)}")


def _try_metric(metric: metrics.Metric, num_outputs: int, labels: Tensor, task: str) -> None:
    """Let a metric that is not graphkit's judge random outputs, before any training."""
    out, some = random_outputs(num_outputs, labels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of outputs that are random
            metric.update(out, some)
            metric.compute()
    except Exception as error:
        of_classes = isinstance(metric, metrics.FunctionMetric) and metric.labels_first and not some.is_floating_point()
        remedy = (
            f"; if it is of classes, give lambda out, label: {metric.name}(label, out.argmax(1))" if of_classes else ""
        )
        raise ValueError(
            f"{task}: metric {metric.name} fails for outputs {list(out.shape)} and labels {list(some.shape)} of "
            f"{some.dtype}: {error}{remedy}"
        ) from error
