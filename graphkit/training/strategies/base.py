"""The contract between the trainer and a way of training."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkit.core.config import Configurable
from graphkit.core.constraints import Count, checked
from graphkit.core.deprecation import RenamedAttribute
from graphkit.core.validate import check_hooks
from graphkit.models import LayeredModel
from graphkit.models.base import check_composition
from graphkit.tasks import Task
from graphkit.training.engine import Engine
from graphkit.training.inference import layer_states
from graphkit.training.optimizers import NamedParameters
from graphkit.training.strategies.limits import refusal

_ALIKE = 10  # so many scores that never move are no coincidence
OptimizerFactory = Callable[[NamedParameters], torch.optim.Optimizer]


def has(part: Any, name: str) -> bool:
    """Whether a strategy or module has a method; ``hasattr`` is slow where a module has not, and every step asks."""
    return hasattr(type(part), name) or name in vars(part)


def parts_of(module: nn.Module) -> list[nn.Module]:
    """``list(module.modules())``, several times faster: an epoch of a small graph asks for it again and again."""
    found: dict[int, nn.Module] = {}
    waiting: list[nn.Module | None] = [module]
    while waiting:
        part = waiting.pop()
        if part is not None and id(part) not in found:
            found[id(part)] = part
            waiting.extend(reversed(part._modules.values()))
    return list(found.values())


@checked
@dataclass
class Phase:
    """One stretch of training with its own optimizers, early stopping and best weights.

    Phases that alternate are the turns of one phase, which stops early and keeps its best weights as a whole.

    Attributes:
        name: Shown in logs, e.g. ``"backprop"`` or ``"layer 1"``; unlike that of any other phase.
        upto_layer: The number of layers that predictions use in this phase; ``None`` for all.
        optimizers: Made by :meth:`Strategy.optimizers` when the phase begins; each turn has its own.
        schedulers: The learning-rate schedulers of these optimizers, one each, or none.
        max_epochs: The largest number of epochs, if smaller than the trainer's (default: the trainer's).
        continues: Whether the best weights so far stay the best until this phase has better ones; ``best_epoch`` is 0
            where it has none (default: ``False``, its own best ones count).
        turns: Phases that take turns, an epoch each; one that stands here twice has two epochs per round, with the same
            optimizers (default: none, the phase trains itself).

    Raises:
        ValueError: If ``max_epochs`` is below 1, or a turn has turns or a limit of its own.
    """

    name: str
    upto_layer: Count | None = None
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)
    schedulers: list[Any] = field(default_factory=list)
    max_epochs: Count | None = None
    continues: bool = False
    turns: Sequence[Phase] = ()

    def __post_init__(self) -> None:
        for turn in self.turns:
            if turn.turns or turn.max_epochs is not None:
                raise ValueError(
                    f"phase {self.name!r}: its turn {turn.name!r} lasts one epoch and has no turns or max_epochs of "
                    "its own; name it several times to let it last longer"
                )

    def turn(self, epoch: int) -> Phase:
        """The phase that trains in an epoch, counted from 1."""
        return self.turns[(epoch - 1) % len(self.turns)] if self.turns else self

    def trained(self) -> list[Phase]:
        """The phases that have optimizers: the turns, each once, or this phase itself."""
        return list({id(turn): turn for turn in self.turns or [self]}.values())


def check_phase(phase: Any) -> Phase:
    """The phase that a strategy gives, if it is one.

    Raises:
        TypeError: Otherwise.
    """
    if not isinstance(phase, Phase):
        raise TypeError(f"phases() gives {phase!r}, a {type(phase).__name__}, must give gk.strategies.Phase(name)")
    return phase


class Strategy(Configurable, ABC):
    r"""How a batch changes weights. The trainer owns the rest: loop, seeds, devices, stopping, checkpoints, logs.

    The trainer calls :meth:`check` and :meth:`configure_model`, draws the weights and calls :meth:`setup`; then for
    each of :meth:`phases` :meth:`optimizers`, per epoch :meth:`on_epoch_start`, per stage of it :meth:`on_stage_start`,
    and per batch :meth:`train_step`. Validation and test use :meth:`predict`. At the end of a phase the weights of its
    best validation epoch are put back before the next one begins.

    A strategy works on the :class:`~graphkit.models.LayeredModel` contract, never on a concrete model.

    Attributes:
        whole_model: Whether it calls the model as a whole, which ``Trainer(compile=True)`` compiles.
    """

    whole_model = False
    model: nn.Module
    task: Task
    engine: Engine
    finished: list[dict[str, Any]]
    adapt = RenamedAttribute("configure_model")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_hooks(cls)

    def cannot(self) -> dict[str, str]:
        """What this way of training is not for, and why (default: it is for everything).

        The cases are ``"modules"`` (no :class:`~graphkit.models.LayeredModel`), ``"no layers"``, ``"scorers of pairs"``
        and ``"states of other things"`` than nodes among models; ``"no classes"``, ``"one class"``, ``"no columns for
        classes"``, ``"no features"``, ``"pairs"``, of these ``"links"`` (told from pairs without one), ``"edges"``
        (that have labels) and ``"rankings"``, ``"graphs"``, ``"subgraphs"``, ``"layer-wise evaluation"``, ``"weighed
        pairs"`` and ``"own losses"`` (a strategy that does not train by ``task.loss`` or ``task.loss_or_zero``) among
        tasks. The reason goes on from the strategy's name and says what to use instead; ``{model}``, ``{task}``,
        ``{kind}``, ``{target}`` and ``{sampler}`` are filled in. The first that applies is the error of ``fit``.
        """
        return {}

    def idle(self, task: Task) -> dict[str, str]:
        """The arguments that have no effect as the others and the task are, each with when it has one (default: none).

        ``fit`` refuses other values for them than the defaults.
        """
        return {}

    def check(self, model: nn.Module, task: Task) -> None:
        """Refuse a model or a task that this way of training is not for, before anything else is done.

        Raises:
            TypeError: If it is the model; the message says why and what to use.
            ValueError: If it is the task, or an argument that has no effect there.
        """
        cannot = self.cannot()
        error = refusal(type(self).__name__, cannot, model, task)
        if error is not None:
            raise error
        if "modules" in cannot and isinstance(model, LayeredModel):
            check_composition(model, type(self).__name__, "Backprop")
        known = inspect.signature(type(self).__init__).parameters
        for option, when in self.idle(task).items():
            if option in known and getattr(self, option) != known[option].default:
                raise ValueError(
                    f"{type(self).__name__}: {option}={getattr(self, option)!r} counts {when}, which is not so here "
                    f"(task {task.name!r}); leave it at its default"
                )

    def untrained(self) -> list[str]:
        """The names of weights that this way of training leaves as they are; ``fit`` warns of them (default: none)."""
        return []

    def doubt(self, history: Sequence[Mapping[str, Any]]) -> str | None:
        """Why what the run has reached may be worth nothing, by its history; ``fit`` warns of it.

        Before the first epoch the history is empty; what is told then is not told again. By default it is told that a
        model whose score has never moved from that of one answer for all answers alike, whatever it is shown.
        """
        name = f"val_{self.task.metric}"
        scores = [row[name] for row in history if row.get(name) is not None]
        if len(scores) < _ALIKE or len(set(scores)) > 1:
            return None
        labels = self.task.loader.labels("val")
        constant = None if labels is None else self.task.score_of_constant(labels)
        if constant is None or not math.isclose(scores[0], constant, abs_tol=1e-6):
            return None
        return (
            f"{name} was {scores[0]:.4g} in all {len(scores)} epochs, the score of one answer for all: the model "
            "answers alike whatever it is shown, as with units that are always 0 or states that explode; try a norm, a "
            "smaller lr, or fewer layers"
        )

    def configure_model(self, model: nn.Module, task: Task, engine: Engine) -> None:
        """Change the shapes of the model's layers where this way of training needs others, before weights are drawn.

        Args:
            model: The model, on its device.
            task: The task, with the model's required transform applied.
            engine: Device, precision and the backward step.

        Raises:
            TypeError: If the model cannot be trained this way; the message says why and what to use.
            ValueError: Likewise for the task.
        """

    def setup(self, model: nn.Module, task: Task, engine: Engine) -> None:
        """Take the model and the task, and refuse those that cannot be trained this way.

        Arguments and errors are those of :meth:`configure_model`.
        """
        self.model = model
        self.task = task
        self.engine = engine

    @abstractmethod
    def phases(self) -> Iterable[Phase]:
        """The phases in order; backpropagation has one, greedy layer-wise training one per layer.

        A generator is asked for the next phase when the one before has ended. It may decide from ``self.finished``, a
        dict per finished phase with its name (``phase``), ``epochs``, ``best_epoch`` and the best ``score``, and from
        nothing else that changes in training: a resumed run asks again.
        """

    def optimizers(self, phase: Phase, make: OptimizerFactory) -> list[torch.optim.Optimizer]:
        """The optimizers of one phase; ``make(named_parameters)`` builds one as the trainer was told to."""
        return [make(self.model.named_parameters())]

    def on_epoch_start(self, epoch: int) -> None:
        """Called at the start of every epoch of a phase, counted from 1; modules may have such a method, too."""

    def on_stage_start(self, stage: str) -> None:
        """Called before the first batch of ``"train"``, ``"val"`` or ``"test"``; modules may have such a method, too.

        What an evaluation changes in buffers of the model is put back when it ends; what it changes elsewhere stays.
        """

    @abstractmethod
    def train_step(self, batch: Data, phase: Phase) -> dict[str, Tensor]:
        """Change the weights once; returns scalars to log, ``"loss"`` among them.

        A strategy that trains a whole model by one loss adds what parts of the model return from ``auxiliary_loss()``,
        where they declare it.
        """

    @abstractmethod
    def predict(self, batch: Data, upto_layer: int | None = None, stage: str = "test") -> Tensor:
        """The outputs that metrics judge, ``[n, num_outputs]``, by the first ``upto_layer`` layers (default: all).

        Only the rows that count at this ``stage`` need to be right.
        """

    def layer_states(self, batch: Data) -> list[Any]:
        """The states of nodes under a prediction: of ``encode``, then of each layer (default: as the model has them).

        Raises:
            TypeError: If there are none, as the model has no layers that graphkit knows, or not one per node.
        """
        if not isinstance(self.model, LayeredModel):
            name = type(getattr(self.model, "module", self.model)).__name__
            raise TypeError(
                f"embed reads the states of a LayeredModel, got a {name}; use torch_geometric.utils.get_embeddings, or "
                "write the model as encode, step and decode"
            )
        return self.engine.forward(layer_states, self.model, batch)  # type: ignore[arg-type, return-value]

    def state_dict(self) -> dict[str, Any]:
        """The strategy's own weights and counters (default: none).

        Saved in checkpoints, and put back together with the model's weights at the end of a phase: those of the best
        validation epoch.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` returned."""
