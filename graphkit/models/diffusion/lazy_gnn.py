"""LazyGNN: propagation that goes on where it ended when a node was seen last."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.checks import Checks
from graphkit.core.constraints import Channels, Count, Probability, UnitInterval
from graphkit.models.base import State
from graphkit.models.diffusion.predict_then_propagate import PredictThenPropagate
from graphkit.models.readout import make_pool
from graphkit.nn import APPNP, NodeMemory, dropout
from graphkit.nn.linear import torch_linear
from graphkit.ops import SparseMatrix, gcn_norm


class LazyGNN(PredictThenPropagate):
    r"""Lazy propagation: few steps that reach far, as they begin with what is remembered of each node.

    From `"LazyGNN: Large-Scale Graph Neural Networks via Lazy Propagation" <https://arxiv.org/abs/2302.01503>`_ (Xue,
    Han, Torkamani, Pei, Liu, ICML 2023). A perceptron makes :math:`X`, with batch normalisation, ReLU and dropout
    between its linear maps. While training,

    .. math::
        Z_0 = (1 - \beta) Z_\mathrm{mem} + \beta X, \qquad
        Z_k = (1 - \alpha) P Z_{k - 1} + \alpha X, \qquad Z_\mathrm{mem} \leftarrow Z_K

    with :math:`P` as in :class:`~graphkit.nn.GCNConv`, and so for the gradient :math:`G` to :math:`Z_K`, with a memory
    of its own and :math:`P^\top`:

    .. math::
        V_0 = (1 - \theta) V_\mathrm{mem} + \theta G, \qquad
        V_k = (1 - \alpha) P^\top V_{k - 1} + \alpha G, \qquad V_\mathrm{mem} \leftarrow V_K

    is what the perceptron gets: the gradient of the limit of many steps, not that of these few. Nothing is remembered
    of nodes that are seen for the first time, whose :math:`Z_0` is :math:`X`; the official code takes zeros for these,
    once any node of the batch has been seen. On batches of :class:`~graphkit.samplers.ClusterSampler` with a ``halo``,
    :math:`P` is that of the whole graph, and nodes of the halo are read and neither written nor given a gradient. An
    evaluation takes ``K_eval`` steps from :math:`Z_0 = X` and leaves the memories alone. These are buffers, saved with
    the weights. Outputs are logits; the official code ends in their log-softmax.

    Args:
        num_layers: The number of linear maps of the perceptron (default: 2).
        num_nodes: The number of nodes of the graph, which :meth:`from_task` fills in. With ``None``, and of batches
            that are other graphs, nothing is remembered: training steps are plain propagation (default: ``None``).
        K: The number of steps while training (default: 2).
        K_eval: The number of steps of an evaluation (default: 7).
        alpha: The probability :math:`\alpha` of returning (default: 0.1).
        beta: The share :math:`\beta` of what is new (default: 0.5).
        theta: The share :math:`\theta` of the new gradient (default: 0.5).
        dropout: The probability of dropping an entry after each hidden layer of the perceptron (default: 0).

    Raises:
        ValueError: If weights of edges are to have gradients while training.
        RuntimeError: If a gradient is to have a gradient while training.

    Example:
        >>> model = LazyGNN(4, 8, out_channels=2, num_nodes=3)
        >>> out = model(Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]])))
        >>> torch.equal(model.states.rows, out)
        True
    """

    checks = Checks([{"dropout": 0.5}, {"K": 1, "K_eval": 2, "num_layers": 3, "readout": "mean"}])

    def __init__(
        self,
        in_channels: Channels,
        hidden_channels: Count = 64,
        num_layers: Count = 2,
        out_channels: Count | None = None,
        num_nodes: Count | None = None,
        K: Count = 2,
        K_eval: Count = 7,
        alpha: UnitInterval = 0.1,
        beta: UnitInterval = 0.5,
        theta: UnitInterval = 0.5,
        dropout: Probability = 0.0,
        readout: str | None = None,
    ) -> None:
        super().__init__()
        self.keep_arguments(locals())
        widths = [in_channels] + [hidden_channels] * (num_layers - 1) + [self.out_channels]
        self.lins = nn.ModuleList(torch_linear(*pair) for pair in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden_channels) for _ in range(num_layers - 1))
        self.layers = nn.ModuleList([APPNP(K_eval, alpha)])
        self.states, self.gradients = (
            None if num_nodes is None else NodeMemory(num_nodes, self.out_channels) for _ in range(2)
        )
        self.pool = make_pool(readout, self.out_channels)
        self.num_hops = K_eval + 1  # the degrees of the last neighbours count
        self.reset_parameters()

    def encode(self, batch: Data) -> State:
        h: Any = self.features(batch)
        for lin, norm in zip(self.lins[:-1], self.norms, strict=True):
            h = dropout(norm(lin(h)).relu(), self.dropout, self.training)
        return self.lins[-1](h)

    def step(self, i: int, history: list[State], batch: Data) -> Tensor:
        x: Any = history[-1]
        weight = batch.get("edge_weight")
        if not self.training:
            return self.layers[i](x, batch.edge_index, weight)
        degree = batch.get("full_degree")
        matrix = gcn_norm(batch.edge_index, weight, size=x.size(0), dtype=x.dtype, full_degree=degree)
        ids = None if self.states is None else self.states.ids(batch)
        if ids is None:
            return self._steps(x, x, matrix)
        if weight is not None and weight.requires_grad:
            raise ValueError("LazyGNN: its own gradient, while training, has none for edge_weight; use model.eval()")
        return _Lazy.apply(x, self, matrix, ids, batch.get("halo"))

    def _steps(self, z: Tensor, x: Tensor, matrix: SparseMatrix) -> Tensor:
        for _ in range(self.K):
            z = (1 - self.alpha) * matrix.matmul(z) + self.alpha * x
        return z

    def remembering_steps(
        self, x: Tensor, matrix: SparseMatrix, memory: Any, share: float, ids: Tensor, halo: Tensor | None
    ) -> Tensor:
        """The steps from what is remembered of the nodes ``ids``; what follows is, of those outside the halo."""
        own = slice(None) if halo is None else ~halo
        known = memory.known[ids]
        known = known & (known if halo is None else known & ~halo).any()
        start = torch.where(known[:, None], (1 - share) * memory.rows[ids].to(x.dtype) + share * x, x)
        z = self._steps(start, x, matrix)
        memory.write(ids[own], z[own])
        return z


class _Lazy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, model: Any, matrix: SparseMatrix, ids: Tensor, halo: Any) -> Tensor:
        ctx.given = model, matrix, ids, halo
        return model.remembering_steps(x, matrix, model.states, model.beta, ids, halo)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError("LazyGNN: its own gradient has no gradient; leave out create_graph=True")
        model, matrix, ids, halo = ctx.given
        out = model.remembering_steps(grad, matrix.T, model.gradients, model.theta, ids, halo)
        return out if halo is None else out.masked_fill(halo[:, None], 0), None, None, None, None
