"""ForwardGNN with top-down signals: layers also see, or are judged by, the states above them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Interval, NonNegativeInt, Positive
from graphkit.core.evaluating import evaluating
from graphkit.ops import SparseMatrix
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.strategies.base import Phase
from graphkit.training.strategies.inputs import Blocks, CachedProduct, aggregate
from graphkit.training.strategies.layerwise import select_rows
from graphkit.training.strategies.single_forward import SingleForward


class TopDownForward(SingleForward):
    r"""Forward learning whose layers hear from those above; all take a step per epoch, on states that they exchange.

    From `"Forward Learning of Graph Neural Networks" <https://arxiv.org/abs/2403.11004>`_ (Park et al., ICLR 2024),
    there "SF-Top-To-Input" and "SF-Top-To-Loss"; on link tasks "CE-Top-To-Input".

    Graph, virtual nodes and loss are those of :class:`SingleForward`. States :math:`h_1, \dots, h_L` are kept from
    epoch to epoch; they start from a pass upwards. In each epoch layer :math:`j = 0, \dots, L - 1` computes

    .. math::
        z_j = \mathrm{layer}_j\big( [\mathrm{norm}(h_j) \,\|\, \mathrm{norm}(h_{j+2})] \big) \;\text{(input)}, \qquad
        m_j = \mathrm{mean}\big( z_j, \mathrm{norm}(h_{j+2}), \dots, \mathrm{norm}(h_L) \big),\;
        z_j = \mathrm{layer}_j(\mathrm{norm}(h_j)) \;\text{(loss)}

    takes a step on the loss of :math:`z_j` or :math:`m_j`, and replaces :math:`h_{j+1}` by :math:`z_j`, computed before
    the step. With ``"input"``, :math:`h_{L+1}` are the label features (one-hot for training and virtual nodes, else
    uniform). With ``alternating`` updates even layers come first, and the others see their new states.

    Predictions start with a pass upwards (zeros from above). ``"input"`` then repeats the updates ``test_steps`` times
    without learning and averages the softmax over layers and ``counted_steps``; ``"loss"`` averages that of :math:`m_j`
    over layers.

    On a link task there are no virtual nodes and no label features, so the last layer hears nothing from above, and
    the loss is that of pairs. The paper has no ``"loss"`` for links, and trains them without weight decay.

    The paper gives one merging rule for both; this is what the official code does. For ``"loss"`` that clips each
    layer's gradient: ``Trainer(clip_norm=1.0)``.

    Args:
        target: What hears from above: ``"input"`` or ``"loss"`` (default: ``"input"``).
        alternating: Whether even and odd layers take turns, with ``"input"`` (default: ``True``).
        temperature: As in :class:`SingleForward` (default: 1.0).
        append_label: Whether label features are joined to the ``"input"`` (default: ``"none"``).
        test_steps: The number of repetitions in predictions, with ``"input"`` (default: 10).
        counted_steps: The repetitions whose outputs count, from 0, below ``test_steps`` (default: all but the first
            two).

    Raises:
        ValueError: If a value is out of range, or the task is not about classes of nodes or links.
        TypeError: If the model is not layered, or its layers cannot take a state from above.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.GCN.from_task(task, hidden_channels=16, readout="nodes")
        >>> result = gk.Trainer(max_epochs=20, strategy="TopDownForward", progress=False).fit(model, task)
        >>> len(result.phases)
        1
    """

    greedy = False

    def __init__(
        self,
        target: Literal["input", "loss"] = "input",
        alternating: bool = True,
        temperature: Positive = 1.0,
        append_label: Literal["none", "input"] = "none",
        bidirectional: bool = True,
        test_steps: Annotated[int, Interval(3)] = 10,
        counted_steps: Sequence[NonNegativeInt] | None = None,
    ) -> None:
        super().__init__(temperature, append_label, bidirectional)
        self.target = target
        self.alternating = alternating
        if counted_steps is not None and not (counted_steps and {*counted_steps} <= {*range(test_steps)}):
            raise ValueError(f"TopDownForward: counted_steps={counted_steps}, must be some of 0..{test_steps - 1}")
        self.test_steps = test_steps
        self.counted_steps = counted_steps

    def idle(self, task: Task) -> dict[str, str]:
        of_input = ("alternating", "test_steps", "counted_steps")
        return super().idle(task) | (dict.fromkeys(of_input, "with target='input'") if self.target == "loss" else {})

    def cannot(self) -> dict[str, str]:
        return super().cannot() | {
            "subgraphs": "keeps the states of all nodes from step to step, but {task} draws other subgraphs each time; "
            "use SingleForward, or the task that is not sampled"
        }

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        super().setup(model, task, engine)
        if self.target == "input" and self.encodes:
            raise TypeError(
                f"TopDownForward(target='input') shows the first layer what is above it, but {type(model).__name__} "
                "trains an encoder below that; use target='loss'"
            )
        if self.target == "loss" and len(set(self.widths)) > 1:
            raise ValueError(
                "TopDownForward(target='loss') averages states of different layers, but their widths are "
                f"{self.widths}; use equal ones, e.g. readout='nodes', or target='input'"
            )
        self.states: list[Tensor] | None = None

    def extra_channels(self, batch: Data) -> list[int]:
        extra = super().extra_channels(batch)
        if self.target == "input":
            self.find_parameters(batch)  # and the widths of the states
            above = [*self.widths[1:], self.top_width]
            extra = [own + width for own, width in zip(extra, above)]
        return extra

    @property
    def top_width(self) -> int:
        """How many channels the last layer reads from above: label features, which links do not have."""
        return self.num_classes

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        if self.states is None:
            self.states = self._start(batch)
        rows = self._rows(batch, "train")
        losses = []

        def learn(j: int, layer: Callable[[], Tensor], above: list[Tensor]) -> Tensor:
            z = self.engine.forward(layer)
            loss = self.loss(_mean([z, *above], rows), batch)
            self.engine.optimize(loss, phase.optimizers[j])
            losses.append((j, loss.detach()))
            return z.detach()

        self._sweep(batch, self.states, learn)
        by_layer = {f"loss_layer_{j + 1}": loss for j, loss in sorted(losses)}
        return {"loss": torch.stack(list(by_layer.values())).mean(), **by_layer}

    @torch.no_grad()
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        self.last_layer(upto_layer)  # refuses a part of them
        count, batch = batch.num_nodes, self.with_training_nodes(batch)
        rows = self._rows(batch, stage)
        scores: list[Tensor] = []
        counted = range(2, self.test_steps) if self.counted_steps is None else self.counted_steps

        def look(j: int, layer: Callable[[], Tensor], above: list[Tensor]) -> Tensor:
            z = self.engine.forward(layer)
            if counts:
                scores.append(self.logits(_mean([z, *above], rows), batch).log_softmax(1))
            return z

        with evaluating(self.model):
            states = self._start(batch)
            for step in range(self.test_steps if self.target == "input" else 1):
                counts = self.target == "loss" or step in counted
                self._sweep(batch, states, look)
        mean = torch.stack(scores).logsumexp(0) - math.log(len(scores))
        out = self._outputs(mean, batch, stage)
        return out if self.task.judges_pairs else out[:count]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"states": self.states and list(self.states)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        like = next(self.model.parameters())
        self.states = state["states"] and [value.to(like) for value in state["states"]]

    # Parts ---------------------------------------------------------------------------------------------------------

    def _start(self, batch: Data) -> list[Tensor]:
        """The states of all layers after a pass upwards."""
        graph = self.graph(batch)
        states: list[Tensor] = []
        with torch.no_grad(), evaluating(self.model):
            if self.target == "input":
                for j in range(self.num_layers):
                    states.append(self.engine.forward(self._layer_under(batch, j, states, first=True)))
                return states
            history: list[Any] = [self.model.encode(graph)]
            for j in range(self.num_layers):  # not normalised on the way, as in the official code
                history.append(self.engine.forward(self.model.step, j, history, graph))
                states.append(self.normalize_input(history[-1]))
        return states

    def _sweep(self, batch: Data, states: list[Tensor], run: Callable[..., Tensor]) -> None:
        """Update all states once; ``run`` is given a layer's number, the layer, and the states that its loss hears."""
        count = self.num_layers
        alternating = self.alternating and self.target == "input"
        order = [*range(0, count, 2), *range(1, count, 2)] if alternating else [*range(count)]
        seen = states if alternating else list(states)
        for j in order:
            if self.target == "input":
                states[j] = run(j, self._layer_under(batch, j, seen), [])
            else:
                states[j] = self.normalize_input(run(j, self._layer_alone(batch, j, seen), seen[j + 1 :]))

    def _bottom(self, batch: Data) -> Any:
        """The normalised :math:`h_0`."""
        with torch.no_grad():
            if self.encodes:
                return self.normalize_input(self.model.encode(self.graph(batch)))
            return self.cached("bottom", batch, 0, lambda: self.normalize_input(self.model.encode(self.graph(batch))))

    def _layer_alone(self, batch: Data, j: int, states: list[Tensor]) -> Callable[[], Tensor]:
        """Layer ``j`` on the state below it, as a function of its weights."""
        history = [self._bottom(batch), *states[:j]]
        if j > 0:
            return self.local(j, self.graph(batch), history)
        key = f"layer alone {self.model.training}"
        return self.cached(key, batch, 0, lambda: self.local(0, self.graph(batch), history))

    def _layer_under(self, batch: Data, j: int, states: list[Tensor], first: bool = False) -> Callable[[], Tensor]:
        """Layer ``j`` on the states below and above it (``first``: on zeros above), as a function of its weights."""
        model, graph, bottom = self.model, self.graph(batch), self._bottom(batch)
        is_top = j + 1 == self.num_layers
        own = bottom if j == 0 else self.normalize_input(states[j - 1])
        widths = [own.shape[1], self.top_width if is_top else self.widths[j + 1]]
        above = None
        if not first and widths[1] > 0:
            labels = self.cached("labels", batch, 0, lambda: self.labels(batch)) if is_top else None
            above = self.normalize_input(states[j + 1] if labels is None else labels)
        matrix = self.propagation(graph, own.shape[0], own.dtype)
        if matrix is None:
            own = own.to_dense() if isinstance(own, SparseMatrix) else own
            above = own.new_zeros(own.size(0), widths[1]) if above is None else above
            before = [bottom, *map(self.normalize_input, states[: j - 1])] if model.uses_history and j > 0 else []
            return lambda: model.step(j, [*before, torch.cat([own, above], dim=1)], graph)
        blocks: list[Any] = [None, None]
        if j == 0:
            blocks[0] = self.cached("from below", batch, 0, lambda: CachedProduct(aggregate(matrix, own)))
        else:
            blocks[0] = matrix @ own
        if is_top and above is not None:
            blocks[1] = self.cached("from labels", batch, 0, lambda: CachedProduct(matrix @ above))
        elif above is not None:
            blocks[1] = matrix @ above
        aggregated = Blocks(blocks, widths)
        return lambda: model.combine(j, aggregated)


def _mean(states: list[Tensor], rows: Tensor | None) -> Tensor:
    """The mean of some rows of the states."""
    first, *others = (select_rows(state, rows) for state in states)
    for other in others:
        first = first + other
    return first / len(states) if others else first
