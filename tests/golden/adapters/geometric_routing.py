"""Geometric routing: the ways of all packets by two policies, shortest paths, and the shares of good ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphkit.algorithms import Routes, greedy_forwarding, greedy_tensile, route
from tests.golden.files import GoldenFile

METHODS = ()
ORACLE = "independent computation"

TOLERANCE = 1e-12


def check(file: GoldenFile) -> None:
    pos, eps = file.tensor("position"), float(file.scalar("eps"))
    joined = (torch.cdist(pos, pos) <= float(file.scalar("radius"))).fill_diagonal_(False)
    file.assert_close("adjacency", joined.double(), 0)
    for name, policy in (("gf", greedy_forwarding), ("tensile", greedy_tensile)):
        routes = route(joined.nonzero().T, pos, policy)
        shortest = _matrix(routes, routes.shortest, len(pos)).fill_diagonal_(0)
        file.assert_close("shortest_path_length", shortest, TOLERANCE)
        file.assert_close(f"{name}_path_length", _matrix(routes, routes.length, len(pos)), TOLERANCE)
        file.assert_close(f"{name}_delivery_fraction", np.array(routes.delivery), TOLERANCE)
        file.assert_close(f"{name}_near_shortest_fraction", np.array(routes.near_shortest(eps)), TOLERANCE)


def _matrix(routes: Routes, values: Tensor, n: int) -> Tensor:
    matrix = torch.full((n, n), -1.0, dtype=values.dtype)
    matrix[*routes.pairs] = values.masked_fill(values.isinf(), -1)
    return matrix
