"""What a linear model reads from embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from graphkit.core.constraints import Count, Positive, Seed, Share, checked, not_empty
from graphkit.core.validate import check_features


@dataclass(frozen=True)
class Probe:
    """Scores at one share of labelled nodes, over all draws of them.

    Attributes:
        share: The share of nodes whose labels were known.
        micro: The micro-averaged F1 of each draw.
        macro: The macro-averaged F1 of each draw.
    """

    share: float
    micro: list[float]
    macro: list[float]

    def __str__(self) -> str:
        parts = [
            f"{name} F1 {np.mean(v):.3f} ± {np.std(v):.3f} (std)" for name, v in vars(self).items() if name != "share"
        ]
        return f"{self.share:.0%} labelled: {', '.join(parts)}"


@checked
def probe(
    x: Tensor,
    y: Tensor,
    shares: Annotated[Sequence[Share], not_empty] = (0.1, 0.3, 0.5, 0.7, 0.9),
    repeats: Count = 10,
    C: Positive = 1.0,
    seed: Seed = 0,
) -> list[Probe]:
    r"""Classify nodes by one-vs-rest logistic regression on embeddings: the protocol of DeepWalk, LINE and node2vec.

    A share of the nodes, drawn at random, is labelled. Of every other node the number of its labels is known, and those
    of the largest probability are predicted. Labels that no node has are left out; so are nodes without any, such as
    those of class -1.

    Args:
        x: Embeddings ``[num_nodes, channels]``.
        y: Classes ``[num_nodes]`` or ``[num_nodes, 1]``, or 0 and 1 ``[num_nodes, num_labels]`` for several labels per
            node.
        shares: The shares that are labelled (default: (0.1, 0.3, 0.5, 0.7, 0.9)).
        repeats: The number of draws (default: 10).
        C: The inverse strength of regularisation, as in scikit-learn (default: 1).
        seed: The seed of the draws (default: 0).

    Raises:
        ValueError: If there is not one row of labels per row of embeddings, these are neither classes nor 0 and 1, or
            an embedding is not finite.

    Example:
        >>> y = torch.arange(40) % 2
        >>> print(probe(torch.eye(2)[y], y, shares=[0.5], repeats=2)[0])
        50% labelled: micro F1 1.000 ± 0.000 (std), macro F1 1.000 ± 0.000 (std)
    """
    from sklearn.metrics import f1_score

    if x.dim() != 2 or y.size(0) != x.size(0):
        raise ValueError(f"probe: x has shape {list(x.shape)} and y {list(y.shape)}, must have one row per node")
    check_features(x, "probe", codes=True)
    table = _table(y.squeeze(1) if y.dim() == 2 else y).cpu().numpy()
    table = table[:, table.any(axis=0)]
    labelled = table.any(axis=1)
    x = x if x.layout == torch.strided else x.to_dense()
    features, table = x.detach().cpu().double().numpy()[labelled], table[labelled]
    found = []
    for share in shares:
        micro: list[float] = []
        macro: list[float] = []
        for repeat in range(repeats):
            order = np.random.default_rng([seed, repeat]).permutation(len(table))
            known, rest = np.split(order, [max(1, round(share * len(order)))])
            predicted = _largest(_probabilities(features, table, known, rest, C), table[rest].sum(axis=1))
            for scores, average in ((micro, "micro"), (macro, "macro")):
                scores.append(float(f1_score(table[rest], predicted, average=average, zero_division=0)))
        found.append(Probe(share, micro, macro))
    return found


def _table(y: Tensor) -> Tensor:
    """Which labels each node has, ``[num_nodes, num_labels]``."""
    if y.dim() == 1 and not y.is_floating_point():
        return y.long()[:, None] == torch.arange(int(y.max()) + 1, device=y.device)
    wrong = y[(y != 0) & (y != 1)]
    if y.dim() != 2 or wrong.numel():
        value = f" with {wrong[0].item():g}" if wrong.numel() else ""
        raise ValueError(
            f"probe: y is {y.dtype} of shape {list(y.shape)}{value}, must be integers [num_nodes], or 0 and 1 "
            "[num_nodes, num_labels]; leave out nodes whose labels are not known"
        )
    return y.bool()


def _probabilities(
    x: np.ndarray, table: np.ndarray, known: np.ndarray, rest: np.ndarray, strength: float
) -> np.ndarray:
    """The probability of each label for the rest; where all or none of the known nodes have it, their share."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    out = np.tile(table[known].mean(axis=0), (len(rest), 1))
    for label in np.flatnonzero(table[known].any(axis=0) & ~table[known].all(axis=0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength, max_iter=200).fit(x[known], table[known, label])
        out[:, label] = model.predict_proba(x[rest])[:, 1]
    return out


def _largest(score: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The ``count`` largest entries of each row."""
    rank = np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1)
    return rank < count[:, None]
