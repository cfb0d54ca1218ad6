"""Experts that train in turns, each until it gets no better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.constraints import Count
from graphkit.core.evaluating import evaluating
from graphkit.models import Mowst, MowstStar
from graphkit.tasks import Task
from graphkit.training.strategies.backprop import Backprop
from graphkit.training.strategies.base import OptimizerFactory, Phase


class ExpertTurns(Backprop):
    r"""The weak expert of a :class:`~graphkit.models.Mowst` and its gate train, then the strong one, and so on.

    From `"Mixture of Weak and Strong Experts on Graphs" <https://github.com/facebookresearch/mowst-gnn>`_ (Zeng et al.,
    ICLR 2024). Both minimise the mean over rows of

    .. math::
        c \,\mathrm{CE}(z^w) + (1 - c) \,\mathrm{CE}(z^s)

    with the task's loss in place of the cross-entropy, while the other one is frozen, in evaluation mode; the
    confidence :math:`c` trains with the weak one. A turn ends as the trainer's ``max_epochs`` and ``patience`` say,
    the run with the first round in which neither turn improves the score on validation. The best weights of all turns
    count. The score is that of the mixture.

    A :class:`~graphkit.models.MowstStar` has no turns: both its experts train together, as by :class:`Backprop`, after
    those that are pretrained.

    Args:
        rounds: The largest number of rounds of two turns (default: 10).
        pretrain: ``"weak"``, ``"strong"`` or ``"both"`` to train experts alone first, by the task's loss and their own
            score (default: ``None``).

    Raises:
        TypeError: If the model is neither a Mowst nor a MowstStar.
        ValueError: If a MowstStar is to have rounds.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> model = gk.models.Mowst.from_task(task, strong="GCN")
        >>> trainer = gk.Trainer(max_epochs=10, strategy=ExpertTurns(rounds=1, pretrain="weak"), progress=False)
        >>> [phase["phase"] for phase in trainer.fit(model, task).phases]
        ['weak alone', 'weak 1', 'strong 1']
    """

    whole_model = False
    model: Mowst | MowstStar
    _alone: nn.Module | None = None  # the expert that is being trained alone

    def __init__(self, rounds: Count = 10, pretrain: Literal["weak", "strong", "both"] | None = None) -> None:
        self.rounds = rounds
        self.pretrain = pretrain

    def check(self, model: nn.Module, task: Task) -> None:
        super().check(model, task)
        if not isinstance(model, Mowst | MowstStar):
            raise TypeError(f"ExpertTurns trains the experts of a Mowst, got {type(model).__name__}; use Backprop")
        if isinstance(model, MowstStar) and self.rounds != 10:
            raise ValueError(f"ExpertTurns: rounds={self.rounds}, but a MowstStar has no turns; leave it out")

    def phases(self) -> Iterator[Phase]:  # type: ignore[override]
        for name in ("weak", "strong"):
            if self.pretrain in (name, "both"):
                yield Phase(f"{name} alone")
        if isinstance(self.model, MowstStar):
            yield Phase("together")
            return
        for turn in range(1, self.rounds + 1):
            yield Phase(f"weak {turn}", continues=turn > 1)
            yield Phase(f"strong {turn}", continues=True)
            if not any(row["best_epoch"] for row in self.finished[-2:]):
                return

    def optimizers(self, phase: Phase, make: OptimizerFactory) -> list[torch.optim.Optimizer]:
        self._alone = getattr(self.model, _trained(phase)[0]) if phase.name.endswith("alone") else None
        names = tuple(f"{part}." for part in _trained(phase))
        return [make((name, weight) for name, weight in self.model.named_parameters() if name.startswith(names))]

    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        task, model = self.task, self.model
        if isinstance(model, MowstStar) and self._alone is None:
            return super().train_step(batch, phase)
        names = _trained(phase)
        trained, frozen = (
            nn.ModuleList(part for name, part in model.named_children() if (name in names) is chosen)
            for chosen in (True, False)
        )
        if self._alone is not None:
            return self.minimise(task.loss(self.outputs(batch), batch, "train"), phase, trained)
        with evaluating(frozen):
            outputs = self.engine.forward(self._outputs, batch, "weak" in names).chunk(3, dim=1)
        (weak, label), (strong, _), (confidence, _) = (task.select(out, batch, "train") for out in outputs)
        loss = mixed_loss(task, weak, strong, confidence[:, 0], label, task.weight(batch))
        return self.minimise(loss, phase, trained) | model.logged()

    def outputs(self, batch: Data, upto_layer: int | None = None) -> Tensor:
        return self.engine.forward(self.model if self._alone is None else self._alone, batch)

    def _outputs(self, batch: Data, weak_turn: bool) -> Tensor:
        """What both experts say, and in as many columns how far the weak one is trusted."""
        with torch.set_grad_enabled(weak_turn):
            weak, confidence = self.model.trusted(batch)
        with torch.set_grad_enabled(not weak_turn):
            strong = self.model.strong(batch)
        return torch.cat([weak, strong, confidence.expand_as(weak)], dim=1)


def mixed_loss(
    task: Task, weak: Tensor, strong: Tensor, confidence: Tensor, label: Tensor, weight: Tensor | None = None
) -> Tensor:
    """The loss of both experts' rows, each as far as it is trusted; a weighted sum where rows have weights."""
    share = 1 / max(task.count(label), 1) if weight is None else weight
    return task.loss_or_zero(weak, label, share * confidence) + task.loss_or_zero(
        strong, label, share * (1 - confidence)
    )


def _trained(phase: Phase) -> tuple[str, ...]:
    """The parts of the model that a phase trains."""
    if phase.name == "together":
        return "weak", "strong", "gate"
    expert, when = phase.name.split()
    return (expert, "gate") if expert == "weak" and when != "alone" else (expert,)
