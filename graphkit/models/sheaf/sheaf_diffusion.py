"""Neural sheaf diffusion."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.checks import Checks, untraced
from graphkit.core.constraints import Activation, Channels, Count, OneOf, Positive, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.readout import make_pool, read_out
from graphkit.models.sheaf.once import Once
from graphkit.nn import Linear, dropout
from graphkit.nn.ode import AdjointMethod, Method, ODESolver
from graphkit.nn.sheaf import SheafConv, SheafFlow, SheafLaplacian, SheafLearner, sheaf_graph
from graphkit.nn.sheaf.learner import ACTIVATIONS, Maps
from graphkit.nn.sheaf.orthogonal import Orthogonal
from graphkit.transforms import SparseFeatures, Undirected

AS_TORCH: dict[str, Any] = {"weight_initializer": None, "bias_initializer": None}  # as in the official code


UNTRACED = "how many pairs of nodes have an edge follows from the contents of edges"


class SheafDiffusion(LayeredModel):
    r"""Neural sheaf diffusion: diffusion with the Laplacian of a sheaf that every layer learns from the node states.

    From `"Neural Sheaf Diffusion: A Topological Perspective on Heterophily and Oversmoothing in GNNs"
    <https://arxiv.org/abs/2202.04579>`_ (Bodnar et al., NeurIPS 2022).

    A node's state is a stalk of :math:`D` coordinates with ``hidden_channels`` channels each; :math:`D` is
    ``stalk_dim`` plus one per low-pass or high-pass coordinate. After a linear lift, each layer computes

    .. math::
        X' = (1 + \tanh \varepsilon) X - \sigma(\Delta(X) (I \otimes W_1) X W_2^\top)

    with the normalised sheaf Laplacian :math:`\Delta(X)` of restriction maps that a
    :class:`~graphkit.nn.sheaf.SheafLearner` predicts from :math:`X`. ``maps="identity"`` is the baseline to report
    beside every result: the trivial sheaf, which learns nothing, in an otherwise equal network.

    With a ``time``, depth is continuous instead: :math:`\dot X = \sigma(-\Delta(X) (I \otimes W_1) X W_2^\top)` is
    integrated from 0 to ``time`` with one learner, one :math:`W_1`, one :math:`W_2`, and no dropout inside.
    ``num_layers`` then cuts the time into equal stretches that appear as layers; the official models have one.

    Where sources differ: the official code is bound to one graph and returns log-probabilities; this one takes any
    graph or batch and returns logits. For general maps it adds noise before the matrix root while training, because
    its gradient is wrong at repeated eigenvalues; here the gradient is exact and there is no noise. Its other
    peculiarities need an ``official_`` switch. Edge weights of the data are not used.

    Args:
        hidden_channels: The number of channels of each stalk coordinate (default: 16).
        num_layers: The number of diffusion steps (default: 2).
        stalk_dim: The dimension :math:`d` of the learned stalks (default: 2).
        maps: ``"diag"``, ``"bundle"`` (orthogonal), ``"general"`` or ``"identity"`` (default: ``"diag"``).
        dropout: The probability of dropping an entry of a state (default: 0).
        act: The activation :math:`\sigma`, also of the lift, by PyG's names, or ``None`` (default: ``"elu"``).
        low_pass: Append a coordinate that is averaged over neighbours (default: ``False``).
        high_pass: Append a coordinate that takes differences to neighbours (default: ``False``).
        orthogonal: How bundles are parametrised: ``"householder"``, ``"cayley"``, ``"matrix_exp"`` or ``"euler"``
            (default: ``"householder"``).
        edge_weights: Whether bundles learn a weight per edge (default: ``True``).
        normalize: ``"block"``, ``"degree"`` or ``None``, see :func:`~graphkit.nn.sheaf.sheaf_laplacian` (default:
            ``"block"``).
        frozen: Whether the sheaf is learned from the lifted features once and reused by all layers (default:
            ``False``).
        left_weights: Whether there is :math:`W_1`, which acts on stalks (default: ``True``).
        right_weights: Whether there is :math:`W_2`, which acts on channels (default: ``True``).
        second_linear: Whether the lift has a second linear map (default: ``False``).
        learner_act: The learner's activation: ``"tanh"``, ``"elu"`` or ``"id"`` (default: ``"tanh"``).
        sparse_learner: Whether learners see the sum over a stalk's coordinates (default: ``False``).
        official_sparse_learner: The sum as the official code takes it, which mixes the two ends of an edge (default:
            ``False``).
        official_fixed_scale: Leave low-pass and high-pass coordinates unscaled with ``normalize="degree"`` (default:
            ``False``).
        time: The time to integrate to, for the continuous model; ``None`` for steps (default: ``None``).
        solver: The continuous model's :class:`~graphkit.nn.ODESolver`, by the name of its method (default:
            ``"dopri5"``).
        step_size: The step of solvers on a grid (default: 1.0).
        tol_scale: Tolerance of adaptive solvers: ``atol`` is 1e-7 and ``rtol`` 1e-9 times this (default: 1.0).
        adjoint: Method of the adjoint equation; ``None`` differentiates through the steps (default: ``None``).
        max_evaluations: How many evaluations one stretch of time may take (default: 1000).

    Shapes:
        - **input:** a PyG ``Data`` or ``Batch`` with ``x`` ``[num_nodes, in_channels]`` and both directions of every
          edge in ``edge_index`` (:class:`~graphkit.transforms.Undirected` makes it so; the trainer applies it)
        - **states:** ``[num_nodes, D * hidden_channels]``

    Raises:
        ValueError: If an argument is out of range, or a graph is not undirected and simple.
        RuntimeError: If a solver needs more than ``max_evaluations`` or meets NaN.

    Example:
        >>> import torch
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> model = SheafDiffusion(4, 8, num_layers=2, out_channels=3, stalk_dim=3, maps="bundle")
        >>> model(Data(x=torch.ones(3, 4), edge_index=edge_index)).shape
        torch.Size([3, 3])
    """

    checks = Checks(
        [
            {"dropout": 0.5},
            {"maps": "bundle", "stalk_dim": 3, "low_pass": True, "sparse_learner": True, "readout": "mean"},
            Checks(
                [{"maps": "general", "high_pass": True, "frozen": True, "second_linear": True}],
                expected_failures={"separate_layers": "the sheaf of the first layer is used by all"},
            ),
            {"maps": "identity", "normalize": "degree"},
            {"maps": "bundle", "orthogonal": "cayley", "time": 1.0, "solver": "rk4", "step_size": 0.25},
        ],
        expected_failures=untraced(UNTRACED),
    )

    reads = Reads(direction=False)

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 16,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        stalk_dim: Count = 2,
        maps: Maps = "diag",
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        act: Activation | None = "elu",
        low_pass: bool = False,
        high_pass: bool = False,
        orthogonal: Orthogonal = "householder",
        edge_weights: bool = True,
        normalize: Literal["block", "degree"] | None = "block",
        frozen: bool = False,
        left_weights: bool = True,
        right_weights: bool = True,
        second_linear: bool = False,
        learner_act: Annotated[str, OneOf(ACTIVATIONS)] = "tanh",
        sparse_learner: bool = False,
        official_sparse_learner: bool = False,
        official_fixed_scale: bool = False,
        time: Positive | None = None,
        solver: Method = "dopri5",
        step_size: Positive = 1.0,
        tol_scale: Positive = 1.0,
        adjoint: AdjointMethod | None = None,
        max_evaluations: Count | None = 1000,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())

        self.width = stalk_dim + low_pass + high_pass
        size = self.width * hidden_channels
        self.lin_in = Linear(in_channels, size, **AS_TORCH)
        self.lin_second = Linear(size, size, **AS_TORCH) if second_linear else None
        if time is None:
            self.layers = nn.ModuleList(self._step_layer(i) for i in range(num_layers))
        else:
            self.layers = nn.ModuleList([self._flow()] * num_layers)
        self.activation = nn.Identity() if act is None else activation_resolver(act)
        self.pool = make_pool(readout, size)
        self.lin_out = Linear(size, self.out_channels, **AS_TORCH)
        self._sheaf = Once(frozen)  # learned once per forward pass instead of once per layer
        self.reset_parameters()

    def _step_layer(self, i: int) -> nn.ModuleDict:
        learner = {"learner": self._learner()} if i == 0 or not self.frozen else {}
        conv = SheafConv(self.width, self.hidden_channels, self.left_weights, self.right_weights, self.act)
        return nn.ModuleDict({**learner, "conv": conv})

    def _flow(self) -> SheafFlow:
        solver = ODESolver(
            self.solver,
            step_size=self.step_size,
            atol=1e-7 * self.tol_scale,
            rtol=1e-9 * self.tol_scale,
            max_evaluations=self.max_evaluations,
            adjoint=self.adjoint,
        )
        return SheafFlow(self._learner(), solver, self.left_weights, self.right_weights, self.act)

    def _learner(self) -> SheafLearner:
        maps = (self.maps, self.orthogonal, self.edge_weights, self.normalize, self.low_pass, self.high_pass)
        sums = (self.sparse_learner, self.official_sparse_learner, self.official_fixed_scale)
        return SheafLearner(self.stalk_dim, self.width, self.hidden_channels, *maps, self.learner_act, *sums)

    def outputs(self, batch: Data) -> Tensor:
        with self._sheaf.block():
            return super().outputs(batch)

    def encode(self, batch: Data) -> State:
        lifted = self.lin_in(dropout(self.features(batch), self.input_dropout, self.training))
        h = cast(Tensor, dropout(self.activation(lifted), self.dropout, self.training))
        return h if self.lin_second is None else self.lin_second(h)

    @torch.compiler.disable(reason=UNTRACED)
    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        h = cast(Tensor, history[-1])
        if self.time is not None:
            laplacian = self.laplacian(i, history, batch) if self.frozen else None
            start, end = (self.time * k / self.num_layers for k in (i, i + 1))
            graph = sheaf_graph(batch.edge_index, h.size(0))
            return cast(SheafFlow, self.layers[i])(h, graph, start, end, laplacian)
        laplacian = self.laplacian(i, history, batch)
        dropped = cast(Tensor, dropout(h, self.dropout, self.training))
        shape = (-1, self.width, self.hidden_channels)
        conv: Any = self.layers[i].conv
        return conv(h.view(shape), dropped.view(shape), laplacian).flatten(1)

    def laplacian(self, i: int, history: list[State], batch: Data) -> SheafLaplacian:
        """The sheaf Laplacian of layer ``i``, from the states so far; its energy measures agreement with the sheaf."""
        return self._sheaf(lambda: self._learn(i, history, batch))

    def _learn(self, i: int, history: list[State], batch: Data) -> SheafLaplacian:
        position = 0 if self.frozen else i
        x = cast(Tensor, history[position])
        if position > 0 and self.time is None:
            x = cast(Tensor, dropout(x, self.dropout, self.training))
        learner: Any = self.layers[position].learner
        return learner(x, sheaf_graph(batch.edge_index, x.size(0)))

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        return self.lin_out(read_out(self.readout, self.pool, h, batch))

    def required_transform(self) -> BaseTransform | None:
        return Compose([Undirected(), SparseFeatures()])
