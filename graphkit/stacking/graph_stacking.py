"""Models of tables, stacked over a graph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.utils.metadata_routing import UNUSED
from torch import Tensor

from graphkit.core.constraints import Checked, Count, Jobs, NonNegativeInt, Probability, Seed
from graphkit.stacking.columns import encoder
from graphkit.stacking.inputs import Nodes, Source, as_labels, known, nodes_of
from graphkit.stacking.propagation import Kernel, propagate_predictions
from graphkit.tasks import NodeTask


class GraphStacking(Checked, BaseEstimator):
    r"""BestowGNN: models of tables whose out-of-fold predictions, spread along edges, are features of further ones.

    From "A Robust Stacking Framework for Training Deep Graph Models with Multifaceted Node Features" (Chen, Mueller,
    Ioannidis, Goldstein, Wipf, 2022). No network reads the features: any classifier or regressor of scikit-learn does.

    1. Each estimator is trained on all but one of ``folds`` parts of the labelled nodes, in turn. A labelled node is
       predicted by the copy that has not seen its label, all others by the mean of the copies.
    2. Predictions are spread along edges (:func:`propagate_predictions`), and :math:`Y_0, Y_1, Y_2, Y_4, Y_8, \dots,
       Y_T` join the features of the next layer's estimators.
    3. The last layer's predictions are averaged over estimators, and smoothed once more if ``smooth`` says how.

    It is an estimator of scikit-learn whose rows are the nodes of a graph. With ``layers=1`` the graph is not read:
    that is the estimators alone, bagged. Of a :class:`~graphkit.tasks.NodeTask` it reads the features of its graph;
    of a pandas frame numbers (missing ones, too, if the estimators take them), categories (one column each) and texts
    (TF-IDF). :func:`gk.compare` takes it beside networks.

    Args:
        estimators: Classifiers, or regressors (default: scikit-learn's ``HistGradientBoostingClassifier``, or
            ``Regressor`` for a target of numbers).
        layers: The number of layers (default: 2).
        folds: The number of parts of the labelled nodes (default: 5).
        alpha: The share of neighbours in propagation (default: 0.95).
        steps: The number of steps :math:`T` (default: 50).
        kernel: ``"DAD"``, ``"AD"`` or ``"DA"``; see :func:`propagate_predictions` (default: ``"DA"``).
        smooth: PyG's ``CorrectAndSmooth``, applied to the classes of the last layer of the nodes that ``fit`` has seen
            (default: none).
        random_state: The seed of folds and estimators (default: 0).
        n_jobs: The number of processes in which the copies of a layer are trained (default: 1).

    Attributes:
        classes_: The classes; of a regression there are none.
        fitted_: The predictions of all nodes that ``fit`` has seen, labelled ones out of fold.

    Raises:
        ValueError: If tables, edges or labels do not fit together, or classifiers and regressors are mixed.

    Example:
        >>> import graphkit as gk
        >>> from sklearn.linear_model import LogisticRegression
        >>> stacking = GraphStacking([LogisticRegression()], folds=2).fit(gk.load("karate"))
        >>> stacking.predict().shape
        (34,)
    """

    # Edges are no metadata that a meta-estimator would pass on.
    __metadata_request__fit = {"edges": UNUSED}
    __metadata_request__predict = {"edges": UNUSED}
    __metadata_request__predict_proba = {"edges": UNUSED}
    __metadata_request__score = {"edges": UNUSED}

    def __init__(
        self,
        estimators: Sequence[Any] | None = None,
        layers: Count = 2,
        folds: Count = 5,
        alpha: Probability = 0.95,
        steps: NonNegativeInt = 50,
        kernel: Kernel = "DA",
        smooth: Any = None,
        random_state: Seed = 0,
        n_jobs: Jobs = 1,
    ) -> None:
        self.estimators, self.layers, self.folds = estimators, layers, folds
        self.alpha, self.steps, self.kernel, self.smooth = alpha, steps, kernel, smooth
        self.random_state, self.n_jobs = random_state, n_jobs

    def fit(self, X: Any, y: Any = None, edges: Any = None) -> Self:
        """Train on the labelled nodes of a graph; the others are seen without their labels.

        Args:
            X: A task, whose training part is labelled; or a table of features, a row per node, as a pandas frame or an
                array.
            y: Labels in the order of the rows of ``X``, missing (NaN or ``None``) where unknown
                (default: those of the task).
            edges: A frame with columns ``source`` and ``target`` of row labels of ``X`` (its index), both directions
                of an undirected edge or one, as they are; or ids of rows ``[2, num_edges]`` (default: those of the
                task).
        """
        nodes = nodes_of(X, y, edges)
        rows, labels = nodes.rows, nodes.labels
        if not rows.size:
            raise ValueError("GraphStacking: y is missing, the labels to train on")
        self._source = Source(X.name, X.tables, X.applied) if isinstance(X, NodeTask) else None
        self._encoder = encoder(nodes.table).fit(nodes.table) if hasattr(nodes.table, "columns") else None
        estimators = self._estimators(labels)
        self.classes_ = np.unique(labels) if is_classifier(estimators[0]) else None
        if self.classes_ is not None and self.classes_[:2].tolist() == [-1, 0]:
            text = "GraphStacking: y has -1, a class like others here; give None or NaN for unknown labels"
            warnings.warn(text, stacklevel=2)
        self._labelled, self._models = (rows, labels), []
        parts = self._parts(labels)
        base = features = self._encoded(nodes.table)
        self._width = base.shape[1]
        for layer in range(self.layers):
            models = self._trained(estimators, features[rows], labels, parts)
            self._models.append(models)
            outputs = self._bagged(models, features)
            for number, part in enumerate(parts):
                unseen = rows[part]
                out_of_fold = [self._output(copies[number], features[unseen]) for copies in models]
                outputs[unseen] = np.concatenate(out_of_fold, axis=1)
            if layer < self.layers - 1:
                features = self._spread(outputs, base, nodes)
        self.fitted_ = self._smoothed(self._mean(outputs), nodes)
        return self

    def predict_proba(self, X: Any = None, edges: Any = None) -> np.ndarray:
        """Probabilities of classes ``[num_nodes, num_classes]``.

        Args:
            X: Another task or table, whose nodes are all predicted (default: the nodes that ``fit`` has seen, labelled
                ones out of fold). Where ``fit`` was given a task that was made of tables, new ones are read as those
                were: a frame of nodes, or the folder of both files.
            edges: The edges of that table (default: those of the task or folder).

        Raises:
            AttributeError: If it is a regression.
            ValueError: If the table lacks columns that ``fit`` has seen, or nothing tells how to read it.
        """
        self._fitted()
        if self.classes_ is None:
            raise AttributeError("GraphStacking: a regression has no probabilities; call predict")
        return self._outputs(X, edges)

    def predict(self, X: Any = None, edges: Any = None) -> np.ndarray:
        """Classes, or numbers, of all nodes; arguments are those of :meth:`predict_proba`."""
        self._fitted()
        outputs = self._outputs(X, edges)
        return outputs[:, 0] if self.classes_ is None else self.classes_[outputs.argmax(axis=1)]

    def score(self, X: Any, y: Any = None, edges: Any = None) -> float:
        """The accuracy, or of a regression the coefficient of determination.

        Args:
            X: A task, whose test part counts, or a table.
            y: The labels of the table (default: those of the task).
            edges: The edges of the table (default: those of the task).
        """
        from sklearn.metrics import accuracy_score, r2_score

        predicted = self.predict(X, edges)
        if isinstance(X, NodeTask):
            rows, labels = X.split.test.numpy(), X.labels.numpy()
        else:
            labels = as_labels(y)
            rows = np.flatnonzero(known(labels))
        judge = r2_score if self.classes_ is None else accuracy_score
        return float(judge(labels[rows].reshape(len(rows)), predicted[rows]))

    def outputs(self, task: NodeTask) -> Tensor:
        """What a model of the task would return ``[num_nodes, num_outputs]``: logarithms of odds, or numbers."""
        found = torch.from_numpy(self._outputs(None if self._same(task) else task, None))
        if self.classes_ is None:
            return found
        logs = found.clamp(min=torch.finfo(found.dtype).eps).log()
        if task.num_outputs == 1:
            return (logs[:, 1:] - logs[:, :1]).float()
        out = torch.full((len(found), task.num_outputs or 0), float(np.log(torch.finfo(found.dtype).eps)))
        out[:, torch.from_numpy(self.classes_.astype(np.int64))] = logs.float()
        return out

    # How it is done -------------------------------------------------------------------------------------------------

    def _same(self, task: NodeTask) -> bool:
        rows, seen = nodes_of(task, None, None).rows, self._labelled[0]
        return len(self.fitted_) == task.data.num_nodes and np.array_equal(rows, seen)

    def _fitted(self) -> None:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "fitted_")

    def _encoded(self, table: Any) -> np.ndarray:
        if self._encoder is not None:
            missing = [name for name in self._encoder.feature_names_in_ if name not in getattr(table, "columns", ())]
            if missing:
                raise ValueError(
                    f"GraphStacking: X has no column {missing[0]!r}, but it was fitted on a frame with that; give a "
                    f"frame with the columns {', '.join(map(str, self._encoder.feature_names_in_))}"
                )
            table = self._encoder.transform(table)
        try:
            encoded = np.asarray(table, dtype=np.float64)
        except ValueError as error:
            raise ValueError(
                f"GraphStacking: X holds what is no number ({error}), but it was fitted on numbers alone; give such "
                "columns, or fit it on a frame, whose categories and texts it encodes"
            ) from error
        return encoded

    def _estimators(self, labels: np.ndarray) -> list[Any]:
        if self.estimators is None:
            from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
            from sklearn.utils.multiclass import type_of_target

            numbers = type_of_target(labels) == "continuous"
            return [HistGradientBoostingRegressor() if numbers else HistGradientBoostingClassifier()]
        if not self.estimators or len({is_classifier(one) for one in self.estimators}) > 1:
            raise ValueError(f"GraphStacking: estimators={self.estimators!r}, must be classifiers or regressors alone")
        return list(self.estimators)

    def _parts(self, labels: np.ndarray) -> list[np.ndarray]:
        """The positions of the labelled nodes that each copy does not see."""
        from sklearn.model_selection import KFold, StratifiedKFold

        if self.folds < 2 or self.folds > len(labels):
            raise ValueError(f"GraphStacking: folds={self.folds}, must be in [2, {len(labels)}], labelled nodes")
        enough = self.classes_ is not None and np.unique(labels, return_counts=True)[1].min() >= self.folds
        folds = (StratifiedKFold if enough else KFold)(self.folds, shuffle=True, random_state=self.random_state)
        return [unseen for _, unseen in folds.split(labels, labels)]

    def _trained(self, estimators: list[Any], x: np.ndarray, y: np.ndarray, parts: list[np.ndarray]) -> list[list[Any]]:
        from joblib import Parallel, delayed

        jobs = []
        for number, estimator in enumerate(estimators):
            for part in parts:
                copy = clone(estimator)
                if copy.get_params().get("random_state", 0) is None:
                    copy.set_params(random_state=self.random_state + number)
                seen = np.setdiff1d(np.arange(len(y)), part)
                jobs.append(delayed(copy.fit)(x[seen], y[seen]))
        done = Parallel(n_jobs=self.n_jobs)(jobs)
        return [done[i : i + len(parts)] for i in range(0, len(done), len(parts))]

    def _output(self, model: Any, x: np.ndarray) -> np.ndarray:
        if self.classes_ is None:
            return model.predict(x).reshape(len(x), 1)
        out = np.zeros((len(x), len(self.classes_)))
        out[:, np.searchsorted(self.classes_, model.classes_)] = model.predict_proba(x)
        return out

    def _bagged(self, models: list[list[Any]], x: np.ndarray) -> np.ndarray:
        return np.concatenate([np.mean([self._output(one, x) for one in copies], axis=0) for copies in models], axis=1)

    def _spread(self, outputs: np.ndarray, base: np.ndarray, nodes: Nodes) -> np.ndarray:
        given = (torch.from_numpy(outputs), nodes.edge_index, nodes.edge_weight)
        kept = {0, self.steps, *(2**i for i in range(self.steps.bit_length()))}
        steps = propagate_predictions(*given, self.alpha, self.steps, self.kernel)
        return np.concatenate([*(y.numpy() for t, y in enumerate(steps) if t in kept), base], axis=1)

    def _mean(self, outputs: np.ndarray) -> np.ndarray:
        width = 1 if self.classes_ is None else len(self.classes_)
        return outputs.reshape(len(outputs), -1, width).mean(axis=1)

    def _smoothed(self, mean: np.ndarray, nodes: Nodes) -> np.ndarray:
        if self.smooth is None or self.classes_ is None:
            return mean
        labels = torch.from_numpy(np.searchsorted(self.classes_, self._labelled[1]))
        given = (labels, torch.from_numpy(self._labelled[0]), nodes.edge_index, nodes.edge_weight)
        return self.smooth.smooth(self.smooth.correct(torch.from_numpy(mean), *given), *given).numpy()

    def _outputs(self, X: Any, edges: Any) -> np.ndarray:
        if X is None:
            return self.fitted_
        if self._source is not None and (hasattr(X, "columns") or isinstance(X, str | Path)):
            nodes = self._source.nodes(X, edges)
        else:
            nodes = nodes_of(X, None, edges)
        base = self._encoded(nodes.table)
        if base.shape[1] != self._width:
            raise ValueError(
                f"GraphStacking: X has {base.shape[1]} features, but it was fitted on {self._width}; give the same ones"
            )
        outputs = self._bagged(self._models[0], base)
        for models in self._models[1:]:
            outputs = self._bagged(models, self._spread(outputs, base, nodes))
        return self._mean(outputs)
