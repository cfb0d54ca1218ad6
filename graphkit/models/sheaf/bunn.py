"""Bundle neural networks."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, cast

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.resolver import activation_resolver
from torch_geometric.transforms import BaseTransform, Compose

from graphkit.core.checks import Checks
from graphkit.core.constraints import Activation, Channels, Count, NonNegativeInt, Positive, Probability
from graphkit.core.reads import Reads
from graphkit.models.base import LayeredModel, State
from graphkit.models.convolution.heterophily_baseline import HeterophilyBaseline
from graphkit.models.readout import make_pool, read_out
from graphkit.models.sheaf.once import Once
from graphkit.nn import FeedForwardModule, HeatKernel, dropout
from graphkit.nn.heat_kernel import SpectralHeatKernel, Start
from graphkit.nn.linear import torch_linear
from graphkit.nn.sheaf.bundles import Frames, Heat, LongRangeBundle, PaperBundle, ResidualBundle
from graphkit.nn.sheaf.node_learner import NodeLearner
from graphkit.nn.sheaf.orthogonal import Orthogonal, num_orthogonal_params
from graphkit.transforms import LaplacianEigenvectors, SparseFeatures

# What arguments are read by one kind of layer or kernel alone, and their defaults.
_OF_LAYER: dict[str, dict[str, Any]] = {
    "residual": {"ego": "plain", "hidden_dim_multiplier": 1, "learner": "own"},
    "paper": {"learner_channels": 16},
    "long_range": {"skip": True, "batch_norm": True, "learner_channels": 16},
}
_OF_KERNEL: dict[str, dict[str, Any]] = {
    "taylor": {"max_degree": 8, "normalize": None},
    "chebyshev": {"max_degree": 8, "normalize": None},
    "spectral": {"num_eigenvectors": 500, "tau_start": "range"},
}


class BuNN(LayeredModel):
    r"""Bundle neural network: heat diffusion between nodes that each have an orthogonal frame of their own.

    From `"Bundle Neural Networks for message diffusion on graphs" <https://arxiv.org/abs/2405.15540>`_ (Bamberger,
    Barbero, Dong, Bronstein; ICLR 2025).

    A state has ``num_bundles`` stalks of ``bundle_dim`` coordinates. Each layer predicts an orthogonal map :math:`O` of
    each node and bundle from the state, and with the heat kernel :math:`H = e^{-\tau L}` of the graph computes

    ================  =================================================================================================
    layer
    ================  =================================================================================================
    ``"residual"``    :math:`x + O^\top \mathrm{FFN}([u \,\|\, H O u])` with :math:`u = \mathrm{LayerNorm}(x)`: the
                      code for heterophilous graphs; :math:`\mathrm{FFN}` is :class:`~graphkit.nn.FeedForwardModule`
    ``"paper"``       :math:`\sigma(O^\top (H (O x W^\top) + b))`
    ``"long_range"``  :math:`\mathrm{BatchNorm}(\mathrm{dropout}(x + O^\top (W H O x + b)))`: the code for LRGB
    ================  =================================================================================================

    The residual layer's maps come from ``HeterophilyBaseline(module="SAGE")`` of the same width, or from a perceptron
    (``learner_layers=0``); those of the others from a :class:`~graphkit.nn.sheaf.NodeLearner` of the kind
    ``"embedded"`` with sums and residuals. Most parameters of the published networks are in these learners, one for
    each layer; ``learner="shared"`` and ``"recomputed"`` have one for all.

    A truncated Taylor series is part of the published models and not close to the heat kernel for long times, see
    :class:`~graphkit.nn.HeatKernel`. Where sources differ: Euler angles are rotations in three dimensions, too, which
    the official ones are not; nodes without edges give no NaN with ``normalize="row"``, and with ``"spectral"`` stay as
    they are, where the official code scales them by :math:`e^{-\tau}`.

    Args:
        hidden_channels: The width of states, a multiple of ``num_bundles * bundle_dim`` (default: 64).
        num_bundles: The number of bundles :math:`B` (default: as many as the width has room for).
        bundle_dim: Their dimension :math:`d`, at least 2 (default: 2).
        layer: One of the above (default: ``"residual"``).
        kernel: ``"taylor"``, ``"chebyshev"``, or ``"spectral"`` for eigenvectors and learned times (default:
            ``"taylor"``).
        tau: The time :math:`\tau`; with ``"spectral"`` it sets the first ones (default: 1.0).
        max_degree: The degree of series (default: 8).
        normalize: ``"sym"`` or ``"row"``, of series (default: ``"row"`` for long-range layers, else ``"sym"``).
        num_eigenvectors: How many of the smoothest eigenvectors ``"spectral"`` has (default: 500).
        tau_start: The first times, see :class:`~graphkit.nn.heat_kernel.SpectralHeatKernel` (default: ``"range"``).
        orthogonal: ``"euler"`` (for :math:`d` 2 and 3), ``"householder"``, ``"cayley"`` or ``"matrix_exp"`` (default:
            ``"euler"``).
        ego: What the perceptron of residual layers reads beside what is diffused: ``"plain"`` :math:`u`, ``"rotated"``
            :math:`O u`, or ``None`` for nothing (default: ``"plain"``).
        hidden_dim_multiplier: The width of this perceptron (default: 1).
        learner: Whether residual layers have ``"own"`` networks for maps, or a perceptron behind one that is
            ``"shared"``: run on the first state, or ``"recomputed"`` on each (default: ``"own"``).
        learner_layers: The number of layers of networks for maps (default: 1).
        learner_channels: The width of these networks for other layers (default: 16).
        skip: Whether long-range layers add their input (default: ``True``).
        batch_norm: Whether they have a norm (default: ``True``).
        dropout: The probability of dropping an entry behind the lift and in layers (default: 0).
        act: The activation of the lift and of the paper's layers, by PyG's names, or ``None`` (default: ``"gelu"``).

    Shapes:
        - **input:** with ``"spectral"`` also ``laplacian_vectors`` and ``laplacian_values``, which the trainer adds

    Raises:
        ValueError: If the width is no such multiple, or an argument is given that nothing reads.

    Example:
        >>> import torch
        >>> data = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> BuNN(4, 8, out_channels=2, num_bundles=2)(data).shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [
            {"dropout": 0.5, "num_layers": 2},
            {"learner_layers": 0, "kernel": "chebyshev", "bundle_dim": 3, "hidden_channels": 6},
            {"layer": "paper", "learner_channels": 3, "orthogonal": "householder", "readout": "mean"},
            {"layer": "long_range", "learner_channels": 3, "readout": "mean"},
            {"kernel": "spectral", "num_eigenvectors": 3, "ego": None, "learner_layers": 0},
            {"learner": "shared", "num_layers": 2},
            {"learner": "recomputed", "num_layers": 2},
        ],
        sizes={"num_layers": 1, "hidden_channels": 4},
    )
    reads = Reads()

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        num_bundles: Count | None = None,
        bundle_dim: Count = 2,
        layer: Literal["residual", "paper", "long_range"] = "residual",
        kernel: Literal["taylor", "chebyshev", "spectral"] = "taylor",
        tau: Positive = 1.0,
        max_degree: Count = 8,
        normalize: Literal["sym", "row"] | None = None,
        num_eigenvectors: Count = 500,
        tau_start: Start = "range",
        orthogonal: Orthogonal = "euler",
        ego: Literal["plain", "rotated"] | None = "plain",
        hidden_dim_multiplier: Count = 1,
        learner: Literal["own", "shared", "recomputed"] = "own",
        learner_layers: NonNegativeInt = 1,
        learner_channels: Count = 16,
        skip: bool = True,
        batch_norm: bool = True,
        dropout: Probability = 0.0,
        input_dropout: Probability = 0.0,
        act: Activation | None = "gelu",
        readout: str | None = None,
    ) -> None:
        super().__init__()
        if kernel == "spectral":
            self.no_edge_masks = "its heat kernel is made of eigenvectors that are computed before"
        self.keep_arguments(locals())
        self.num_bundles = num_bundles or max(hidden_channels // bundle_dim, 1)
        self._check()
        self.uses_history = learner == "shared"
        if kernel == "spectral" and layer == "residual" and learner == "own" and learner_layers == 0:
            self.reads = Reads(direction=False)  # eigenvectors know of none
        self.lin_in = torch_linear(in_channels, hidden_channels)
        self.activation = nn.Identity() if act is None else activation_resolver(act)
        self.shared = self._network(hidden_channels) if learner != "own" else None
        self._angles = Once(learner == "shared")
        self.layers = nn.ModuleList(self._layer() for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_channels) if layer == "residual" else None
        self.lin_out = torch_linear(hidden_channels, self.out_channels)
        self.pool = make_pool(readout, self.out_channels)
        self.reset_parameters()

    def _check(self) -> None:
        width = self.num_bundles * self.bundle_dim
        if self.hidden_channels % width:
            raise ValueError(
                f"BuNN: hidden_channels={self.hidden_channels}, must be a multiple of num_bundles * bundle_dim = "
                f"{width}"
            )
        for what, choices in (("layer", _OF_LAYER), ("kernel", _OF_KERNEL)):
            chosen = getattr(self, what)
            for name, default in (pair for options in choices.values() for pair in options.items()):
                if name not in choices[chosen] and getattr(self, name) != default:
                    raise ValueError(
                        f"BuNN: {name}={getattr(self, name)!r}, must be left at {default!r}, as {what}={chosen!r} does "
                        "not read it"
                    )
        if self.learner != "own" and self.learner_layers == 0:
            raise ValueError(f"BuNN: learner_layers=0, must be at least 1 for learner={self.learner!r}")

    def _layer(self) -> nn.ModuleDict:
        width, rate = self.hidden_channels, self.dropout
        count = self.num_bundles * num_orthogonal_params(self.bundle_dim, self.orthogonal)
        parts: dict[str, nn.Module] = {}
        if self.kernel == "spectral":
            parts["heat"] = SpectralHeatKernel(self.num_bundles, self.tau, self.tau_start)
        else:
            norm: Any = self.normalize or ("row" if self.layer == "long_range" else "sym")
            parts["heat"] = HeatKernel(self.tau, self.max_degree, self.kernel, norm)
        if self.layer == "residual":
            own = self.learner == "own" and self.learner_layers > 0
            multiplier = max(width // count, 1)
            parts["learner"] = self._network(count) if own else FeedForwardModule(width, count, multiplier, rate)
            parts["bundle"] = ResidualBundle(width, self.ego, self.hidden_dim_multiplier, rate)
            return nn.ModuleDict(parts)
        parts["learner"] = NodeLearner(
            width,
            self.learner_channels,
            count,
            self.learner_layers,
            "embedded",
            *(("sum", True) if self.learner_layers else ()),
        )
        if self.layer == "paper":
            parts["bundle"] = PaperBundle(width, self.act, rate)
        else:
            parts["bundle"] = LongRangeBundle(width, self.skip, self.batch_norm, rate)
        return nn.ModuleDict(parts)

    def _network(self, out_channels: int) -> HeterophilyBaseline:
        width = self.hidden_channels
        return HeterophilyBaseline(width, width, self.learner_layers, out_channels, module="SAGE", dropout=self.dropout)

    def outputs(self, batch: Data) -> Tensor:
        with self._angles.block():
            return super().outputs(batch)

    def encode(self, batch: Data) -> State:
        lifted = self.lin_in(dropout(self.features(batch), self.input_dropout, self.training))
        return self.activation(dropout(lifted, self.dropout, self.training))

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        layer: Any = self.layers[i]
        return layer.bundle(history[-1], self.frames(i, history, batch), self._heat(layer.heat, batch))

    def frames(self, i: int, history: list[State], batch: Data) -> Frames:
        """The orthogonal maps of layer ``i``, from the states so far."""
        layer: Any = self.layers[i]
        h = cast(Tensor, history[0 if self.learner == "shared" else -1])
        if isinstance(layer.learner, NodeLearner):
            numbers = layer.learner(h, batch.edge_index, batch.get("batch"))
        elif isinstance(layer.learner, FeedForwardModule):
            embedded = h if self.shared is None else self._angles(partial(_run, self.shared, h, batch))
            numbers = layer.learner(embedded)
        else:
            numbers = _run(layer.learner, h, batch)
        return Frames(numbers, self.num_bundles, self.bundle_dim, self.orthogonal)

    def _heat(self, kernel: nn.Module, batch: Data) -> Heat:
        if self.kernel != "spectral":
            return partial(kernel, edge_index=batch.edge_index)
        known = batch.get("laplacian_values"), batch.get("laplacian_vectors")
        if known[0] is None or known[1] is None:
            raise ValueError(
                "BuNN: kernel='spectral' reads laplacian_values and laplacian_vectors, which the batch has not; apply "
                "model.required_transform() to the graphs"
            )
        return partial(kernel, values=known[0], vectors=known[1], batch=batch.get("batch"))

    def decode(self, h: Tensor, batch: Data) -> Tensor:
        out = self.lin_out(h if self.norm is None else self.norm(h))
        return read_out(self.readout, self.pool, out, batch)

    def required_transform(self) -> BaseTransform | None:
        if self.kernel != "spectral":
            return SparseFeatures()
        return Compose([LaplacianEigenvectors(self.num_eigenvectors), SparseFeatures()])


def _run(network: LayeredModel, h: Tensor, batch: Data) -> Tensor:
    """A network's outputs for states as features."""
    graph = Data()
    graph["x"], graph["edge_index"] = h, batch.edge_index
    return network(graph)
