"""The graph isomorphism layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter, init

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Checked, Count, Finite
from graphkit.core.deprecation import warn_renamed
from graphkit.core.overriding import as_written
from graphkit.nn.layer import Layer
from graphkit.nn.linear import Linear
from graphkit.nn.node_axis import pair_of, static_graphs
from graphkit.ops import SparseMatrix, SparsityPattern, gcn_norm


class GINPerceptron(Checked, Module):
    r"""A perceptron of two layers, :math:`W_2 \,\mathrm{ReLU}(W_1 x + b_1) + b_2`, for :class:`GINConv`.

    Args:
        in_channels: Size of each input row; -1 takes it from the first input.
        out_channels: Size of each output row, and of the hidden layer.
        bias: Whether there are :math:`b_1` and :math:`b_2` (default: ``True``).

    Shapes:
        - **input:** ``x`` ``[*, in_channels]``
        - **output:** ``[*, out_channels]``

    Example:
        >>> GINPerceptron(3, 2)(torch.ones(4, 3)).shape
        torch.Size([4, 2])
    """

    def __init__(self, in_channels: Channels, out_channels: Count, bias: bool = True) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.lin_in = Linear(in_channels, out_channels, bias=False)
        self.bias = Parameter(torch.zeros(out_channels)) if bias else None
        self.lin_out = Linear(out_channels, out_channels, bias=bias)

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for biases."""
        self.lin_in.reset_parameters()
        self.lin_out.reset_parameters()
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Tensor:
        """The second map's results; see the class for shapes."""
        return self.rest(self.lin_in(x))

    def rest(self, z: Tensor) -> Tensor:
        """What follows the first map."""
        return self.lin_out(torch.relu(z if self.bias is None else z + self.bias))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels})"


class OwnShare(Layer):
    r"""A layer whose network gets a node's own state, times one plus a number, and what neighbours send.

    Args:
        nn: The network, such as a :class:`GINPerceptron` or a ``torch.nn.Sequential``; new weights are drawn for it.
        eps: The number :math:`\varepsilon` (default: 0).
        train_eps: Whether :math:`\varepsilon` is learned (default: ``False``).
    """

    def __init__(self, nn: Module, eps: Finite = 0.0, train_eps: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nn, self.initial_eps = nn, eps
        self.eps: Tensor
        if train_eps:
            self.eps = Parameter(torch.empty(1))
        else:
            self.register_buffer("eps", torch.empty(1))

    def reset_parameters(self) -> None:
        """Draw new weights for the network, and for a map of edges; epsilon becomes its initial value."""
        super().reset_parameters()
        init.constant_(self.eps, self.initial_eps)


class GINConv(OwnShare):
    r"""Graph isomorphism layer: the sum over the neighbourhood, then a small network.

    From `"How Powerful are Graph Neural Networks?" <https://arxiv.org/abs/1810.00826>`_ (Xu, Hu, Leskovec, Jegelka,
    ICLR 2019).

    .. math::
        x'_t = \mathrm{nn}\Big((1 + \varepsilon) x_t + \sum_{u \to t} w_{ut} x_u\Big)

    with edge weights :math:`w_{ut}`, 1 by default, which PyG's layer does not have. The first map of a
    :class:`GINPerceptron` is applied before the sum, which is the same and narrower. State dicts can be exchanged with
    PyG's layer, and those of graphkit 0.1 can be loaded.

    Shapes:
        - **input:** ``x`` ``[*, num_nodes, in_channels]`` (dense, or a :class:`~graphkit.ops.SparseMatrix` where the
          network begins with a :class:`Linear`), or a pair of the features of sources and of targets, the latter
          perhaps ``None``; ``edge_index`` ``[2, num_edges]``; ``edge_weight`` ``[num_edges]`` (optional,
          differentiable); ``size``, the numbers of sources and targets (optional)

    Example:
        >>> conv = GINConv(GINPerceptron(3, 2))
        >>> conv(torch.ones(4, 3), torch.tensor([[0, 1, 2], [1, 2, 3]])).shape
        torch.Size([4, 2])
    """

    checks = Checks(
        [
            lambda: GINConv(GINPerceptron(5, 4), train_eps=True),
            lambda: GINConv(GINPerceptron(5, 7, bias=False), eps=0.5),
            lambda: GINConv(torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.ELU(), torch.nn.Linear(6, 4))),
        ]
    )

    bipartite = True
    combines_own = True  # besides the sum over neighbours

    def __init__(self, nn: Module, eps: Finite = 0.0, train_eps: bool = False, **kwargs: Any) -> None:
        super().__init__(nn, eps, train_eps, **kwargs)
        if isinstance(nn, GINPerceptron):
            self.in_channels, self.out_channels = nn.in_channels, nn.out_channels
        self.reset_parameters()

    @property
    def takes_sparse(self) -> bool:  # type: ignore[override]
        """Whether the network's first map may come before the sum, and so read a sparse matrix."""
        return isinstance(self.nn, GINPerceptron) and as_written(self.nn)

    @static_graphs
    def forward(
        self,
        x: Tensor | SparseMatrix | tuple[Tensor, Tensor | None],
        edge_index: Tensor | SparsityPattern,
        edge_weight: Tensor | tuple[int, int] | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """One layer; see the class for shapes. PyG's layer has ``size`` in third place, where it may stand, too."""
        if isinstance(edge_weight, tuple):
            edge_weight, size = None, edge_weight
        source, target = pair_of(x)
        sizes = self.sizes(source, target, size)
        network: Any = self.nn
        first, rest = (network.lin_in, network.rest) if self.takes_sparse else (_same, network)
        z = first(source)
        total = self.along(self.propagation(edge_index, edge_weight, sizes, z.dtype)).matmul(z)
        if target is not None:
            total = (1 + self.eps) * (z if target is source else first(target)) + total
        return rest(total)

    def propagation(
        self,
        edge_index: Tensor | SparsityPattern,
        edge_weight: Tensor | None,
        size: int | tuple[int, int],
        dtype: torch.dtype | None = None,
    ) -> SparseMatrix:
        """The matrix of sums over neighbours, of a graph with ``size`` nodes, or sources and targets."""
        return gcn_norm(
            self.edges(edge_index, size), edge_weight, add_self_loops=False, norm=None, size=size, dtype=dtype
        )

    def combine(self, propagated: Tensor, own: Tensor) -> Tensor:
        """The layer's output, from (rows of) the sums over neighbours and the nodes' own input."""
        return self.nn((1 + self.eps) * own + propagated)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}lin_in.weight" in state_dict:  # of graphkit 0.1
            for name in ("lin_in.weight", "bias", "lin_out.weight", "lin_out.bias"):
                if prefix + name in state_dict:
                    state_dict[f"{prefix}nn.{name}"] = state_dict.pop(prefix + name)
            state_dict[f"{prefix}eps"] = state_dict[f"{prefix}eps"].view(1)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(nn={self.nn})"


def _same(x: Tensor) -> Tensor:
    return x


def _or_sizes(construct: Callable[..., None]) -> Callable[..., None]:
    """Let sizes stand for a perceptron, as they did in graphkit 0.1."""

    @wraps(construct)
    def adapted(self: GINConv, *args: Any, **kwargs: Any) -> None:
        if not (args and isinstance(args[0], int)) and "in_channels" not in kwargs:
            construct(self, *args, **kwargs)
            return
        warn_renamed("GINConv(in_channels, out_channels)", "GINConv(GINPerceptron(in_channels, out_channels))")
        kwargs |= dict(zip(("in_channels", "out_channels", "eps", "train_eps", "bias"), args))
        sizes = {name: kwargs.pop(name) for name in ("in_channels", "out_channels", "bias") if name in kwargs}
        construct(self, GINPerceptron(**sizes), **kwargs)

    return adapted


GINConv.__init__ = _or_sizes(GINConv.__init__)  # type: ignore[method-assign]
