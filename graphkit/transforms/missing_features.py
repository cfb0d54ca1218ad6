"""Features that are not known of every node: hidden for an experiment, filled in, or left out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import BaseTransform, FeaturePropagation

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Probability, Seed
from graphkit.core.graph_input import as_tensor
from graphkit.core.reads import Reads
from graphkit.transforms.base import Precompute, float_dtype


class MissingFeatures(Precompute):
    """What becomes of entries of ``data.x`` that are not known: those where ``data.feature_mask`` is ``False``.

    With a ``rate``, each entry that is known is hidden with this probability first, as in studies of missing features.
    ``x`` then holds

    =================  ================================================================================================
    fill               instead of what is not known
    =================  ================================================================================================
    ``"entries"``      nothing: it is a sparse matrix of the entries that are known, 0 or not, as
                       :class:`~graphkit.models.GRAFENNE` reads it
    ``"zero"``         0
    ``"propagation"``  what neighbours have, by ``torch_geometric.transforms.FeaturePropagation``
    =================  ================================================================================================

    Args:
        rate: The probability that a known entry is hidden (default: 0).
        fill: See above (default: ``"entries"``).
        zeros: Whether a 0 that is known is an entry, or left out as in a bag of words, where most are 0 (default:
            ``True``).
        seed: The seed of what is hidden (default: 0).

    Shapes:
        ``x``: ``[num_nodes, num_features]`` before and after; ``feature_mask``, likewise, is gone afterwards.

    Raises:
        ValueError: (when called) If there is no ``x``, or ``feature_mask`` has another shape.

    Example:
        >>> data = Data(x=torch.tensor([[1.0, 0.0], [2.0, 3.0]]), edge_index=torch.tensor([[0], [1]]))
        >>> data.feature_mask = torch.tensor([[True, True], [False, True]])
        >>> MissingFeatures()(data).x.values().tolist(), MissingFeatures(fill="zero")(data).x.tolist()
        ([1.0, 0.0, 3.0], [[1.0, 0.0], [0.0, 3.0]])
    """

    checks = Checks(
        [
            {},
            {"zeros": False},
            Checks(
                [{"rate": 0.5, "fill": "zero"}, {"rate": 0.5, "fill": "propagation"}],
                expected_failures={"permutation": "entries are hidden by node number"},
            ),
        ]
    )
    reads = Reads(edge_weight=True)

    def __init__(
        self,
        rate: Probability = 0.0,
        fill: Literal["entries", "zero", "propagation"] = "entries",
        zeros: bool = True,
        seed: Seed = 0,
    ) -> None:
        self.rate, self.fill, self.zeros, self.seed = rate, fill, zeros, seed
        self.reads = Reads(edge_index=fill == "propagation", edge_weight=True)

    def forward(self, data: Data) -> Data:
        """Replace ``x`` in ``data`` (a shallow copy when called through ``transform(data)``)."""
        x, known = _known(data, "MissingFeatures")
        if self.rate:
            drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(self.seed), dtype=torch.double)
            known &= drawn >= self.rate
        if self.fill == "entries":
            data.x = _entries(x, known if self.zeros else known & (x != 0))
        elif self.fill == "zero":
            data.x = x.where(known, 0)
        else:
            weight = x.new_ones(data.num_edges) if data.get("edge_weight") is None else data.edge_weight
            data.x = FeaturePropagation(~known)(Data(x=x, edge_index=data.edge_index, edge_weight=weight.to(x.dtype))).x
        if "feature_mask" in data:
            del data.feature_mask
        return data


class AllotropicGraph(Checked, BaseTransform):
    """The allotropic graph: features are nodes of their own, joined to the nodes of which they are known.

    From GRAFENNE (Gupta, Manchanda, Ranu, Bedathur, ICML 2023), for PyG's heterogeneous networks;
    :class:`~graphkit.models.GRAFENNE` takes graphs as they are. Edges ``("feature", "of", "node")`` and
    ``("node", "has", "feature")`` stand for the entries of ``x`` that are known, those stored where it is sparse, with
    the value as ``edge_attr`` ``[num_entries, 1]``. Edges of the graph become ``("node", "to", "node")``, with their
    ``edge_weight`` and ``edge_attr``, and what else it has stands with the nodes.

    Raises:
        ValueError: (when called) If there is no ``x``, or ``feature_mask`` has another shape.

    Example:
        >>> data = Data(x=torch.tensor([[1.0, 0.0], [2.0, 3.0]]), edge_index=torch.tensor([[0], [1]]))
        >>> AllotropicGraph()(MissingFeatures(zeros=False)(data)).edge_index_dict["feature", "of", "node"].tolist()
        [[0, 0, 1], [0, 1, 1]]
    """

    checks = Checks(skip="it makes graphs of several types of nodes; see tests/models/test_grafenne.py")

    def forward(self, data: Data) -> HeteroData:
        """The graph of nodes and features."""
        x, known = _known(data, "AllotropicGraph")
        node, feature = known.nonzero().t()
        out = HeteroData()
        out["node"].num_nodes, out["feature"].num_nodes = x.shape
        for key, value in data:
            if key.startswith("edge_"):
                out["node", "to", "node"][key] = value
            elif key not in ("x", "feature_mask"):
                out["node"][key] = value
        for *kind, pair in (("feature", "of", "node", (feature, node)), ("node", "has", "feature", (node, feature))):
            out[tuple(kind)].edge_index = torch.stack(pair)
            out[tuple(kind)].edge_attr = x[node, feature][:, None]
        return out


def _known(data: Data, where: str) -> tuple[Tensor, Tensor]:
    """Dense features, and which of them are known."""
    x, mask = data.x, data.get("feature_mask")
    if x is None:
        raise ValueError(f"{where} reads node features, but the graph has no x")
    x = x if x.is_floating_point() else x.to(float_dtype(data))
    if x.layout != torch.strided:
        stored = torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), torch.ones_like(x.values()), x.shape)
        x, known = x.to_dense(), stored.to_dense() != 0
    else:
        known = torch.ones_like(x, dtype=torch.bool)
    if mask is None:
        return x, known
    mask = as_tensor(mask, f"{where}: feature_mask")
    if mask.shape != x.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"{where}: feature_mask is {mask.dtype} of shape {list(mask.shape)}, expected truth values of the shape of "
            f"x, {list(x.shape)}"
        )
    return x, known & mask


def _entries(x: Tensor, known: Tensor) -> Tensor:
    node, feature = known.nonzero().t()
    rows = torch._convert_indices_from_coo_to_csr(node, x.size(0))
    return torch.sparse_csr_tensor(rows, feature, x[node, feature], x.shape)
