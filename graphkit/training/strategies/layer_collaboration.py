"""Forward-forward training in which layers know how the others answer."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphkit.core.evaluating import evaluating
from graphkit.core.signatures import takes_arguments_of
from graphkit.training.strategies.base import Phase
from graphkit.training.strategies.forward_forward import ForwardForward
from graphkit.training.strategies.labelled_graphs import Histories


class LayerCollaborationFF(ForwardForward):
    r"""Forward-forward training in which a layer's answer counts together with those of the other layers.

    From `"Layer Collaboration in the Forward-Forward Algorithm" <https://arxiv.org/abs/2305.12393>`_ (Lorberbom et al.,
    AAAI 2024).

    The loss of :class:`ForwardForward` with :math:`g_i + \gamma_i` in place of the goodness :math:`g_i`, where
    :math:`\gamma_i` is the sum of the same node's (graph's, pair's) goodness in ``"all"`` other layers, or in those
    ``"preceding"`` it, without gradient: examples that the network as a whole gets right no longer drive a layer. All
    layers take one step per batch, from the first to the last, each on activations of the newest weights. The threshold
    should grow with the number of layers. No official code is known; the paper has no graphs.

    Args:
        gamma: ``"all"`` or ``"preceding"`` (default: ``"all"``).
        theta: The threshold (default: 2.0).
        num_negatives: The number of wrong labels per node (default: all wrong classes).

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16, readout="nodes")
        >>> result = gk.Trainer(max_epochs=20, strategy="LayerCollaborationFF", progress=False).fit(model, task)
        >>> len(result.phases)
        1
    """

    greedy = False

    @takes_arguments_of(ForwardForward, without=("loss", "alpha"))
    def __init__(self, gamma: Literal["all", "preceding"] = "all", **of_forward_forward: Any) -> None:
        super().__init__(**of_forward_forward)
        self.gamma = gamma

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        graphs = self._labelled(batch, "train")
        histories: Histories | None = None
        done: list[Tensor] = []  # the goodness of the layers below, with their new weights
        logged: dict[str, Tensor] = {}
        for i, optimizer in enumerate(phase.optimizers):
            others = done + (self._answers_above(batch, i, histories) if self.gamma == "all" else [])
            goodness = self.judge.goodness(self.engine.forward(self._layer(batch, i, histories)), graphs, batch)
            loss = self.loss_of(goodness + sum(others) if others else goodness, batch)
            self.engine.optimize(loss, optimizer)
            logged[f"loss_layer_{i + 1}"] = loss.detach()
            with torch.no_grad(), evaluating(self.model):
                out = self.engine.forward(self._all_outputs(i, graphs, histories))
                done.append(self._judge(batch, i, histories))
                histories = self.advance(i, graphs, histories, out)
        return {"loss": torch.stack(list(logged.values())).mean(), **logged}

    def _layer(self, batch: Data, i: int, histories: Histories | None) -> Any:
        """Layer ``i`` on all hypotheses, as a function of its weights."""
        graphs = self._labelled(batch, "train")
        if i > 0:
            return self.outputs(i, graphs, histories, graphs.rows)
        return self.cached(
            f"first layer {self.model.training}", batch, 0, lambda: self.outputs(0, graphs, None, graphs.rows)
        )

    @torch.no_grad()
    def _answers_above(self, batch: Data, i: int, histories: Histories | None) -> list[Tensor]:
        """The goodness in the layers above ``i``, with the weights as they are."""
        graphs, answers = self._labelled(batch, "train"), []
        with evaluating(self.model):
            for layer in range(i + 1, self.num_layers):
                below = self.engine.forward(self._all_outputs(layer - 1, graphs, histories))
                histories = self.advance(layer - 1, graphs, histories, below)
                answers.append(self._judge(batch, layer, histories))
        return answers

    def _judge(self, batch: Data, i: int, histories: Histories | None) -> Tensor:
        """The goodness ``[V, n]`` in layer ``i``, with its weights as they are."""
        out = self.engine.forward(self._layer(batch, i, histories))
        return self.judge.goodness(out, self._labelled(batch, "train"), batch)
