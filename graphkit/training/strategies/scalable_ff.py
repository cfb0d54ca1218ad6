"""Forward-forward training in blocks, with one goodness per class from a single pass."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count
from graphkit.core.evaluating import evaluating
from graphkit.nn import Linear
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import OptimizerFactory, Phase
from graphkit.training.strategies.layerwise import Layerwise


class ScalableFF(Layerwise):
    r"""Each block of layers gets a small head with one goodness per class, and learns by that alone.

    From `"Scalable Forward-Forward Algorithm" <https://arxiv.org/abs/2501.03176>`_ (Krutsylo, 2025).

    .. math::
        h_b = \mathrm{LayerNorm}(\mathrm{block}_b(h_{b-1})), \qquad q = M_b h_b, \qquad G_k = q_k^2, \qquad
        L_b = - G_y + \log \sum_k \exp G_k

    No label enters the input, and there are no negatives. Gradients flow inside a block, none leaves it; blocks take a
    step one after another in each batch and pass their output on. For graph tasks :math:`G_k` is the mean over the
    graph's nodes. Predictions average :math:`G` over the blocks. The model's ``decode`` is not used.

    With ``goodness="linear"``, :math:`G = q` and the loss is the task's, of any kind: local classifiers, as in
    `"Mono-Forward" <https://arxiv.org/abs/2501.09238>`_ (Gong et al., 2025) and greedy layer-wise training (Belilovsky
    et al., ICML 2019).

    Args:
        goodness: ``"square"`` or ``"linear"`` (default: ``"square"``).
        layers_per_block: The number of layers of a block, which learn together by backpropagation (default: 1).
        layer_norm: Whether blocks end with a normalisation (default: ``True``).

    Raises:
        ValueError: If a value is out of range, or a squared goodness meets labels that are not classes.
        TypeError: If the model is not layered.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16, readout="nodes")
        >>> result = gk.Trainer(max_epochs=20, strategy="ScalableFF", progress=False).fit(model, task)
        >>> sorted(key for key in result.history[0] if key.startswith("train_loss_"))
        ['train_loss_block_1', 'train_loss_block_2']
    """

    greedy = False

    def __init__(
        self, goodness: Literal["square", "linear"] = "square", layers_per_block: Count = 1, layer_norm: bool = True
    ) -> None:
        self.goodness = goodness
        self.layers_per_block = layers_per_block
        self.layer_norm = layer_norm

    def cannot(self) -> dict[str, str]:
        square = "compares the squared goodness of several classes, but task {task} is a {target} task; use "
        square += "goodness='linear'"
        reasons = ({"no columns for classes": square} if self.goodness == "square" else {}) | super().cannot()
        del reasons["edges"]  # the goodness of an edge is the mean of its ends'
        return reasons

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        if self.layers_per_block > self.num_layers:
            raise ValueError(
                f"ScalableFF: layers_per_block={self.layers_per_block}, but {type(model).__name__} has "
                f"{self.num_layers} layers; use that or fewer"
            )
        layers = range(self.num_layers)
        self.blocks = [list(layers[i : i + self.layers_per_block]) for i in layers[:: self.layers_per_block]]
        widths = [self.widths[block[-1]] for block in self.blocks]
        assert task.num_outputs is not None  # link tasks, which have none, were refused
        self.heads = nn.ModuleList(Linear(width, task.num_outputs, bias=False) for width in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(width) if self.layer_norm else nn.Identity() for width in widths)
        engine.place(self.heads)
        engine.place(self.norms)

    def optimizers(self, phase: Phase, make: OptimizerFactory) -> list[torch.optim.Optimizer]:
        optimizers = []
        for b, block in enumerate(self.blocks):
            own = {name: p for i in block for name, p in self.parameters_by_layer[i].items()}
            own |= {f"heads.{b}.{name}": p for name, p in self.heads[b].named_parameters()}
            own |= {f"block_norms.{b}.{name}": p for name, p in self.norms[b].named_parameters()}
            optimizers.append(make(own.items()))
        return optimizers

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        losses = {}

        def learn(b: int, out: Tensor) -> None:
            loss = self.task.loss(out, batch, "train")
            self.engine.optimize(loss, phase.optimizers[b])
            losses[f"loss_block_{b + 1}"] = loss.detach()

        self._run(batch, learn)
        return {"loss": torch.stack(list(losses.values())).mean(), **losses}

    @torch.no_grad()
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        ends = [block[-1] + 1 for block in self.blocks]
        if upto_layer is not None and upto_layer not in ends:
            raise ValueError(f"ScalableFF: upto_layer={upto_layer} is inside a block; choose from {ends}")
        outputs: list[Tensor] = []
        with evaluating(self.model):
            self._run(batch, lambda b, out: outputs.append(out), upto_layer)
        return torch.stack(outputs).mean(0)

    @torch.no_grad()
    def layer_states(self, batch: Data) -> list[Any]:
        with evaluating(self.model):
            return self._run(batch, lambda b, out: None)

    def state_dict(self) -> dict[str, Any]:
        return {"heads": self.heads.state_dict(), "norms": self.norms.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.heads.load_state_dict(state["heads"])
        self.norms.load_state_dict(state["norms"])

    def _run(self, batch: Data, visit: Any, upto_layer: int | None = None) -> list[Any]:
        """Pass a batch through the blocks; ``visit`` gets each block's number and its goodness per class.

        Returns:
            The states, of layers at the end of a block after its norm.
        """
        history: list[Any] = [self.model.encode(batch)]
        states = list(history)
        for b, block in enumerate(self.blocks):
            if upto_layer is not None and block[-1] >= upto_layer:
                break
            for i in block:
                history.append(self.engine.forward(self.model.step, i, history, batch))
                states.append(history[-1].detach())
            history[-1] = self.norms[b](history[-1])
            states[-1] = history[-1].detach()
            q = self.heads[b](self.model.node_states(history[-1], batch))
            visit(b, self.task.pool(q.square() if self.goodness == "square" else q, batch))
            history = self.extended(history[:-1], history[-1])
        return [self.model.node_states(h, batch) for h in states]
