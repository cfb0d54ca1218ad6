"""Paths as attributes of a graph."""

from __future__ import annotations

from typing import Annotated

from torch_geometric.data import Data

from graphkit.algorithms import enumerate_paths
from graphkit.algorithms.paths.enumeration import PATHS
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, OneOf
from graphkit.transforms.base import Precompute


class Paths(Precompute):
    r"""Adds the paths of lengths :math:`1, \dots, K`; see :func:`~graphkit.algorithms.enumerate_paths`.

    PyG batches the new attributes correctly: their names contain "index" where they hold numbers of nodes. Apply this
    after everything that changes edges. :class:`~graphkit.models.PathNN` asks for this transform by itself.

    Args:
        length: The largest length :math:`K`, in edges (default: 3).
        paths: ``"shortest"``, ``"all_shortest"`` or ``"simple"`` (default: ``"shortest"``).
        max_paths: How many paths a graph may have; more are an error, before anything is allocated (default: 10
            million).

    Shapes:
        - ``path_index_k`` for :math:`k = 1, \dots, K`: ``[k + 1, num_paths]``, int32; row 0 is where a path ends
        - ``path_distance_k`` (simple paths only): ``[num_paths, k + 1]``, int8; distances to where the path ends

    Raises:
        ValueError: If an argument is out of range or unknown, or a graph has too many paths.

    Example:
        >>> import torch
        >>> data = Paths(2)(Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3))
        >>> data.path_index_2
        tensor([[0, 2],
                [1, 1],
                [2, 0]], dtype=torch.int32)
    """

    checks = Checks([{}, {"length": 2, "paths": "simple"}, {"paths": "all_shortest"}])

    expensive = True

    def __init__(
        self, length: Count = 3, paths: Annotated[str, OneOf(PATHS)] = "shortest", max_paths: Count = 10_000_000
    ) -> None:
        self.length, self.paths, self.max_paths = length, paths, max_paths

    def forward(self, data: Data) -> Data:
        """Add the paths to ``data`` (a shallow copy when called through ``transform(data)``)."""
        groups = enumerate_paths(data.edge_index, int(data.num_nodes or 0), self.length, self.paths, self.max_paths)
        for k, paths in enumerate(groups, 1):
            data[f"path_index_{k}"] = paths.nodes
            if paths.distances is not None:
                data[f"path_distance_{k}"] = paths.distances
        return data
