"""Propagation of predictions: all iterates of three kernels, and their limits."""

from __future__ import annotations

import numpy as np
import torch

from graphkit.stacking import propagate_predictions
from tests.golden.files import GoldenFile

METHODS = ()
ORACLE = "independent computation"

TOLERANCE = 1e-12


def check(file: GoldenFile) -> None:
    adjacency = file["adjacency"]
    target, source = np.nonzero(adjacency)
    weight = torch.from_numpy(adjacency[target, source])
    given = (file.tensor("x"), torch.from_numpy(np.stack([source, target])), weight, float(file.scalar("alpha")))
    for kernel in ("DAD", "AD", "DA"):
        states = list(propagate_predictions(*given, steps=int(file.scalar("num_steps")), kernel=kernel))
        file.assert_close(f"stack_{kernel}", torch.stack(states), TOLERANCE)
        *_, last = propagate_predictions(*given, steps=2000, kernel=kernel)
        file.assert_close(f"limit_{kernel}", last, TOLERANCE)
