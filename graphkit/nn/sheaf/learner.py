"""Learning a sheaf from node states."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count, OneOf
from graphkit.nn.sheaf.blocks import gather_ends
from graphkit.nn.sheaf.graph import SheafGraph
from graphkit.nn.sheaf.laplacian import SheafLaplacian, assemble
from graphkit.nn.sheaf.orthogonal import Orthogonal, num_orthogonal_params, orthogonal

Maps = Literal["diag", "bundle", "general", "identity"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "elu": nn.functional.elu, "id": nn.Identity()}


class SheafLearner(Checked, nn.Module):
    r"""Predicts the restriction maps of a sheaf from the states of both ends of each edge.

    From `"Neural Sheaf Diffusion" <https://arxiv.org/abs/2202.04579>`_ (Bodnar et al., NeurIPS 2022).

    .. math::
        m_{v,e} = \phi(W [x_v \,\|\, x_u]), \qquad a_{v,e} = \operatorname{sigmoid}(w^\top [x_v \,\|\, x_u])

    for the end of :math:`v` at the edge :math:`e = \{v, u\}`. The numbers :math:`m` are the diagonal of the map
    (``"diag"``), its entries (``"general"``) or the parameters of an orthogonal matrix (``"bundle"``), which is
    multiplied by :math:`a_{v,e} a_{u,e}`. :math:`W` is applied to the nodes, not to the edges: its halves give
    two numbers per node and component, and edges only add them up.

    Args:
        stalk_dim: The size :math:`d` of the learned stalks.
        width: The number of coordinates of a state's stalks, fixed ones included; :math:`D \ge d`.
        channels: The number of channels :math:`f`; a state has :math:`D f` numbers.
        maps: ``"diag"``, ``"bundle"``, ``"general"``, or ``"identity"`` for the trivial sheaf, which learns nothing
            (default: ``"diag"``).
        orthogonal: How bundles are parametrised, see :func:`~graphkit.nn.sheaf.orthogonal` (default:
            ``"householder"``).
        edge_weights: Whether bundles learn :math:`a` (default: ``True``).
        normalize: ``"block"``, ``"degree"`` or ``None``, see :func:`~graphkit.nn.sheaf.sheaf_laplacian` (default:
            ``"block"``).
        low_pass: Whether there is a low-pass coordinate (default: ``False``).
        high_pass: Whether there is a high-pass coordinate (default: ``False``).
        act: :math:`\phi`: ``"tanh"``, ``"elu"`` or ``"id"`` (default: ``"tanh"``).
        sparse: Whether a node's state is summed over its coordinates before :math:`W`, which is then :math:`D` times
            smaller (default: ``False``).
        official_sparse: Sum as the official code does, which mixes the two ends: it cuts
            :math:`[x_v \,\|\, x_u]` into :math:`D` pieces and adds them (default: ``False``).
        official_fixed_scale: See :func:`~graphkit.nn.sheaf.sheaf_laplacian` (default: ``False``).

    Shapes:
        - **input:** ``x`` ``[num_nodes, width * channels]`` and a :class:`~graphkit.nn.sheaf.SheafGraph`
        - **output:** a :class:`~graphkit.nn.sheaf.SheafLaplacian`

    Raises:
        ValueError: If a choice is unknown or bundles are asked for stalks of dimension 1.

    Example:
        >>> from graphkit.nn.sheaf import sheaf_graph
        >>> learner = SheafLearner(2, 2, 3, maps="general")
        >>> learner(torch.ones(3, 6), sheaf_graph(torch.tensor([[0, 1], [1, 0]]), 3))
        SheafLaplacian(num_nodes=3, stalk_dim=2)
    """

    checks = Checks(skip="it gives a Laplacian; checked with SheafDiffusion")

    def __init__(
        self,
        stalk_dim: Count,
        width: Count,
        channels: Count,
        maps: Maps = "diag",
        orthogonal: Orthogonal = "householder",
        edge_weights: bool = True,
        normalize: Literal["block", "degree"] | None = "block",
        low_pass: bool = False,
        high_pass: bool = False,
        act: Annotated[str, OneOf(ACTIVATIONS)] = "tanh",
        sparse: bool = False,
        official_sparse: bool = False,
        official_fixed_scale: bool = False,
    ) -> None:
        super().__init__()
        self.stalk_dim, self.width, self.channels = stalk_dim, width, channels
        self.maps, self.orthogonal, self.act = maps, orthogonal, act
        self.normalize, self.low_pass, self.high_pass = normalize, low_pass, high_pass
        self.sparse, self.official_sparse = sparse or official_sparse, official_sparse
        self.official_fixed_scale = official_fixed_scale
        count = {"identity": 0, "diag": stalk_dim, "general": stalk_dim**2}.get(maps)
        if count is None:
            count = num_orthogonal_params(stalk_dim, orthogonal)
        fan_in = 2 * channels if self.sparse else 2 * width * channels
        self.weight = nn.Parameter(torch.empty(count, fan_in)) if count > 0 else None
        self.edge_weight = None
        if maps == "bundle" and edge_weights:
            self.edge_weight = nn.Parameter(torch.empty(1, 2 * width * channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights as ``torch.nn.Linear`` does."""
        for weight in (self.weight, self.edge_weight):
            if weight is not None:
                nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, x: Tensor, graph: SheafGraph) -> SheafLaplacian:
        """The Laplacian of the sheaf that the states imply."""
        if self.maps == "identity":
            fixed = (self.low_pass, self.high_pass, self.official_fixed_scale)
            key = ("identity sheaf", self.stalk_dim, self.normalize, *fixed, x.dtype)
            ones = x.new_ones(self.stalk_dim, 2 * graph.num_pairs)
            return graph.pattern.cached(key, lambda: self._assemble(graph, ones, None))
        numbers, weight = self.predict(x, graph)
        if self.maps == "bundle":
            numbers = orthogonal(numbers, self.stalk_dim, self.orthogonal)
        elif self.maps == "general":
            numbers = numbers.view(self.stalk_dim, self.stalk_dim, -1)
        return self._assemble(graph, numbers, weight)

    def predict(self, x: Tensor, graph: SheafGraph) -> tuple[Tensor, Tensor | None]:
        """The numbers :math:`m` ``[k, num_ends]`` and the weights of undirected edges ``[num_pairs]``, if any."""
        assert self.weight is not None
        own, other = self._of_nodes(x)
        if self.edge_weight is not None:
            half = self.width * self.channels
            own = torch.cat([own, x @ self.edge_weight[:, :half].t()], dim=1)
            other = torch.cat([other, x @ self.edge_weight[:, half:].t()], dim=1)
        ends = gather_ends(own.t().contiguous(), other.t().contiguous(), graph)
        weight = None
        if self.edge_weight is not None:
            a = ends[-1].sigmoid()
            ends, weight = ends[:-1], a[: graph.num_pairs] * a[graph.num_pairs :]
        return ACTIVATIONS[self.act](ends), weight

    def _of_nodes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What a node contributes to its own ends and to those opposite, ``[num_nodes, k]`` each."""
        assert self.weight is not None
        left, right = self.weight.chunk(2, dim=1)
        if not self.sparse:
            return x @ left.t(), x @ right.t()
        stalks = x.view(-1, self.width, self.channels)
        if not self.official_sparse:
            total = stalks.sum(1)
            return total @ left.t(), total @ right.t()
        # Coordinates of both ends are numbered through; even ones meet the left half of W, odd ones the right.
        even, odd = stalks[:, ::2].sum(1), stalks[:, 1::2].sum(1)
        own = even @ left.t() + odd @ right.t()
        return own, own if self.width % 2 == 0 else odd @ left.t() + even @ right.t()

    def _assemble(self, graph: SheafGraph, maps: Tensor, weight: Tensor | None) -> SheafLaplacian:
        return assemble(
            graph,
            maps,
            "diag" if self.maps == "identity" else self.maps,
            weight,
            self.normalize,
            low_pass=self.low_pass,
            high_pass=self.high_pass,
            scale_fixed=not self.official_fixed_scale,
        )

    def extra_repr(self) -> str:
        return f"stalk_dim={self.stalk_dim}, channels={self.channels}, maps={self.maps!r}"
