"""The epochs of all phases: training, validation, stopping, best weights, checkpoints."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data

from graphkit.tasks import Task
from graphkit.training.callbacks import Callbacks
from graphkit.training.checkpoint import as_numbers, random_state, set_random_state
from graphkit.training.cuda_graph import RecordedStep
from graphkit.training.engine import Engine
from graphkit.training.feeding import Feed
from graphkit.training.lifecycle import announce, deferred_interrupt, evaluation, start_stage, stop
from graphkit.training.optimizers import NamedParameters, Optimizers
from graphkit.training.settings import LoopSettings
from graphkit.training.strategies.base import Phase, Strategy, check_phase, parts_of

Record = dict[str, Any]


class Loop:
    """One run, from its first epoch or from a checkpoint to its end.

    Everything that changes from epoch to epoch lives here and goes through :meth:`state_dict`.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        strategy: Strategy,
        engine: Engine,
        optimizers: Optimizers,
        settings: LoopSettings,
        callbacks: Callbacks,
    ) -> None:
        self.model, self.task, self.strategy = model, task, strategy
        self.engine, self.optimizers = engine, optimizers
        self.settings, self.callbacks = settings, callbacks
        drawn = torch.initial_seed() % 2**31 if settings.seed is None else settings.seed
        self.order_seed = engine.from_first(drawn)
        engine.start_alike(model, strategy)
        self.metric = task.fresh_metric()
        self.larger_is_better = settings.monitor == "metric" and self.metric.higher_is_better

        planned = strategy.phases()
        self.planned = [*map(check_phase, planned)] if isinstance(planned, Sequence) else None
        self._undrawn = map(check_phase, planned)
        self.phases: list[Phase] = []
        self.finished: list[dict[str, Any]] = []
        strategy.finished = self.finished
        self.recorded = RecordedStep(model, task, strategy, engine) if settings.cuda_graph else None
        self.train_step: Any = self.recorded or strategy.train_step
        self.feed = Feed(task, engine, settings.batch_size, settings.prefetch)
        self.history: list[Record] = []
        self.seconds = self.first_epoch = 0.0
        self.logged: list[tuple[Any, Mapping[str, Any]]] = []  # what the batches of this epoch have measured so far
        self._middle: Mapping[str, Any] | None = None  # a checkpoint from the middle of an epoch that goes on
        for name in [phase.name for phase in self.planned or ()]:
            if [phase.name for phase in self.planned or ()].count(name) > 1:
                raise ValueError(f"{strategy!r} has two phases named {name!r}; give each a name of its own")
        if not self._draw_phase():
            raise ValueError(f"{strategy!r} has no phases; its phases() must give at least one")
        self._begin_phase()

    @property
    def phase(self) -> Phase:
        """The phase that is being trained."""
        return self.phases[-1]

    @property
    def num_epochs(self) -> int:
        """The largest number of epochs of the phases that are known."""
        return sum(self._limit(phase) for phase in self.planned or self.phases)

    def _limit(self, phase: Phase) -> int:
        return min(phase.max_epochs or self.settings.max_epochs, self.settings.max_epochs)

    def _draw_phase(self) -> bool:
        """Take the next phase of the strategy; ``False`` if there is none."""
        phase = next(self._undrawn, None)
        if phase is None:
            return False
        if phase.name in [earlier.name for earlier in self.phases]:
            raise ValueError(f"{self.strategy!r} has two phases named {phase.name!r}; give each a name of its own")
        if self._limit(phase) < self.settings.validate_every:
            raise ValueError(
                f"Trainer: validate_every={self.settings.validate_every} leaves phase {phase.name!r} of "
                f"{self._limit(phase)} epochs without a validation"
            )
        self.phases.append(phase)
        return True

    def _begin_phase(self) -> None:
        if self.recorded is not None:
            self.recorded.forget()
        for phase in self.phase.trained():
            phase.optimizers = self.strategy.optimizers(phase, self._make_optimizer)
            if not isinstance(phase.optimizers, list):
                raise TypeError(
                    f"{self.strategy!r}: optimizers() returned a {type(phase.optimizers).__name__} for phase "
                    f"{phase.name!r}, but a list of optimizers is needed"
                )
            larger = self.settings.scheduler_monitor == "metric" and self.metric.higher_is_better
            phase.schedulers = self.optimizers.make_schedulers(phase.optimizers, larger, self._limit(self.phase))
        if self.planned is not None and len(self.planned) == 1:
            self.optimizers.check_patterns()
        self.epoch, self.best_epoch, self.stopped = 0, 0, False
        if self.phase.continues and self.finished:
            return
        self.best_score = -math.inf if self.larger_is_better else math.inf
        self.best_weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.best_strategy = copy.deepcopy(self.strategy.state_dict())

    def _make_optimizer(self, parameters: NamedParameters) -> torch.optim.Optimizer:
        return self.engine.setup_optimizer(self.optimizers.make(parameters))

    def _optimizers_and_schedulers(self) -> list[Any]:
        return [each for phase in self.phase.trained() for each in [*phase.optimizers, *phase.schedulers]]

    def untouched(self) -> list[str]:
        """The names of trainable weights that no step of this run has changed."""
        turns = [turn for phase in self.phases for turn in phase.trained()]
        stepped = {
            id(parameter)
            for optimizer in (each for turn in turns for each in turn.optimizers)
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None or optimizer.state.get(parameter)
        }
        return [name for name, p in self.model.named_parameters() if p.requires_grad and id(p) not in stepped]

    def _end_phase(self) -> None:
        if not self.settings.restore_best:
            return
        self.model.load_state_dict(self.best_weights)
        self.strategy.load_state_dict(self.best_strategy)

    # The run -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train what is left. Afterwards the model has the best weights of the last phase, or its last ones."""
        self._saved = resumed = self.seconds
        self._start = time.monotonic() - resumed
        with deferred_interrupt(self.settings.folder is not None) as self._interrupted:
            while True:
                while not self._phase_is_over():
                    self.history.append(record := self._run_epoch())
                    self.first_epoch = self.first_epoch or time.monotonic() - self._start - resumed
                    self._tell_of(record)
                    self._save_if_due()
                outcome = {"best_epoch": self.best_epoch, "score": self.best_score}
                self.finished.append({"phase": self.phase.name, "epochs": self.epoch} | outcome)
                if not self._draw_phase():
                    break
                self._end_phase()
                self._begin_phase()
            self.seconds = time.monotonic() - self._start
            self.save()  # with the last weights, not the best: a longer run can go on from here
            self._end_phase()

    def _save_if_due(self) -> None:
        """Write a checkpoint where one is due, and stop after Ctrl-C."""
        self.seconds = time.monotonic() - self._start
        if self.seconds - self._saved >= self.settings.checkpoint_seconds or self._interrupted():
            self.save()
            self._saved = time.monotonic() - self._start
        if self._interrupted() and self.settings.folder is not None:
            where = f"batch {len(self.logged)} of epoch" if self.logged else "epoch"
            stop(f"{where} {self.epoch} of phase {self.phase.name!r}", self.settings.folder.checkpoint)

    def _phase_is_over(self) -> bool:
        out_of_patience = self.settings.patience is not None and self.epoch - self.best_epoch >= self.settings.patience
        has_best = self.best_epoch > 0 or self.phase.continues
        stopped = self.stopped and has_best  # without a validation there are no best weights
        return self.epoch >= self._limit(self.phase) or out_of_patience or stopped

    def _tell_of(self, record: Record) -> None:
        if record["val_loss"] is not None:
            self.callbacks.tell("on_validation_end")
        self.callbacks.tell("on_epoch_end")
        self.stopped = self.engine.in_any(self.stopped)

    def _run_epoch(self) -> Record:
        self.epoch += 1
        if self._middle is not None:
            set_random_state(self._middle["begun"])
        if self.task.loader.ordered:  # whose epochs may be long, so that checkpoints come within them
            self._begun = random_state()
        self.callbacks.tell("on_epoch_start")
        phase, turn = self.phase, self.phase.turn(self.epoch)
        announce((self.strategy, *parts_of(self.model)), "on_epoch_start", self.epoch)
        start_stage(self.model, self.strategy, "train", training=True)
        batches, logged = iter(self._train_batches()), self.logged
        if self._middle is not None:
            self._go_on(self._middle, batches)
        for batch in batches:
            values = self.train_step(batch, turn)
            if not isinstance(values, Mapping) or "loss" not in values:
                raise TypeError(
                    f"{self.strategy!r}: train_step must return a dict of scalars with 'loss', got {values}"
                )
            logged.append((self.task.batch_count(batch), values))
            if self.task.loader.ordered and self.engine.is_between_steps:
                self._save_if_due()
        self.logged = []
        self.engine.finish_steps()
        self.engine.average_buffers(self.model)
        record: Record = {"phase": phase.name, "epoch": self.epoch}
        for key in dict.fromkeys(key for _, values in logged for key in values):
            record[f"train_{key}"] = self._mean(((n, values[key]) for n, values in logged if key in values), "train")
        self._check_finite(record, "train_loss", turn)
        validates = self.epoch % self.settings.validate_every == 0
        scores = self.evaluate("val", phase.upto_layer) if validates else (None, None)
        record["val_loss"], record[f"val_{self.metric.name}"] = scores
        record["lr"] = float(turn.optimizers[0].param_groups[0]["lr"]) if turn.optimizers else 0.0
        if validates:
            self._check_finite(record, "val_loss", turn)
            self._note_if_best(self._monitored(record, self.settings.monitor))
        for scheduler in turn.schedulers:
            if not isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                scheduler.step()
            elif (score := self._monitored(record, self.settings.scheduler_monitor)) is not None:
                scheduler.step(score)
        return record

    def _go_on(self, middle: Mapping[str, Any], batches: Iterator[Data]) -> None:
        """Take an epoch up after the batches that it has seen, with the states of then."""
        self.logged.extend(middle["logged"])
        for _ in islice(batches, len(self.logged)):
            pass
        self.model.load_state_dict(middle["model"])
        self.strategy.load_state_dict(middle["strategy"])
        set_random_state(middle["random"])
        self._middle = None

    def _monitored(self, record: Record, name: str) -> Any:
        keys = {"metric": f"val_{self.metric.name}", "loss": "val_loss", "train_loss": "train_loss"}
        return record[keys[name]]

    def _note_if_best(self, score: float) -> None:
        if score > self.best_score if self.larger_is_better else score < self.best_score:
            self.best_score, self.best_epoch = score, self.epoch
            for name, value in self.model.state_dict().items():
                if name not in self.best_weights:
                    raise ValueError(
                        f"{type(self.model).__name__} has made {name} while it trained, so that no optimizer has it; "
                        "make all weights in the constructor, those of unknown width as lazy ones (in_channels=-1)"
                    )
                self._keep(name, value)
            self.best_strategy = copy.deepcopy(self.strategy.state_dict())

    def _keep(self, name: str, value: torch.Tensor) -> None:
        kept = self.best_weights[name]
        if kept.shape == value.shape and kept.dtype == value.dtype:
            kept.copy_(value)
        else:  # a state that has grown
            self.best_weights[name] = value.detach().to(kept.device, copy=True)

    def _train_batches(self) -> Iterator[Data]:
        # The order depends on seed, phase and epoch alone, so a resumed run draws the same one.
        phase = self.order_seed * 1_000_003 + len(self.phases) - 1
        return self.feed.training((phase * 1_000_003 + self.epoch) % 2**64, self.epoch)

    def evaluate(self, stage: str, upto_layer: int | None = None) -> tuple[float, float]:
        """The mean loss over the known labels and the metric of one stage."""
        self.metric.reset()
        losses = []
        with evaluation(self.model, self.strategy, stage):
            for batch in self.feed.evaluation(stage):
                prediction, label = self.task.judged(
                    partial(self.strategy.predict, upto_layer=upto_layer), batch, stage
                )
                count = self.task.count(label)
                if count:
                    losses.append((count, self.task.loss_of(prediction, label)))
                    self.metric.update(prediction, label)
        loss, score = self._mean(losses, stage), self.metric.compute()
        if math.isnan(score) and math.isfinite(loss):  # a diverged model is not the split's fault
            raise ValueError(
                f"task {self.task.name!r}: {self.metric.name} is undefined on the {stage} part of split "
                f"{self.task.split.name!r} (NaN, as where all its labels are alike); use another split or metric"
            )
        return loss, score

    def _mean(self, values: Iterable[tuple[Any, Any]], stage: str) -> float:
        """The mean over batches from pairs of how much a batch counts and its own mean."""
        pairs = [(float(count), float(value)) for count, value in values if count]
        if not pairs:
            raise ValueError(
                f"task {self.task.name!r}: no batch of the {stage} part of split {self.task.split.name!r} has a label "
                "that is known and counts; nothing can be judged"
            )
        return sum(count * value for count, value in pairs) / sum(count for count, _ in pairs)

    def summary(self, test: bool = True) -> list[dict[str, Any]]:
        """What the finished phases reached: epochs, and the scores of predictions by their layers as they are now.

        Args:
            test: Whether to judge them on the test part, too (default: ``True``).
        """
        rows = []
        for phase, row in zip(self.phases, self.finished, strict=True):
            loss, val = self.evaluate("val", phase.upto_layer)
            tested = self.evaluate("test", phase.upto_layer)[1] if test else None
            rows.append({key: row[key] for key in ("phase", "epochs", "best_epoch")} | {"val": val, "test": tested})
        self._compare_with_best(loss)
        return rows

    def _compare_with_best(self, loss: float) -> None:
        """Say that the best weights, evaluated again on the same batches, give another validation loss."""
        if not self.settings.restore_best:
            return
        epoch = (self.phase.name, self.best_epoch)
        best = [row["val_loss"] for row in self.history if (row["phase"], row["epoch"]) == epoch]
        if self.task.caches_evaluation and best and not math.isclose(loss, best[0], rel_tol=1e-2, abs_tol=1e-4):
            warnings.warn(
                f"the same weights have the validation loss {best[0]:.4g} in epoch {self.best_epoch} and {loss:.4g} "
                "at the end, so predictions are not reproducible; is a state of the model no buffer, or is something "
                "drawn in evaluation, as by F.dropout(x) without training=self.training?",
                stacklevel=5,
            )

    def _check_finite(self, record: Record, key: str, phase: Phase) -> None:
        if math.isfinite(record[key]):
            return
        folder = self.settings.folder
        good = "there is no checkpoint yet" if folder else "no checkpoint was kept; set run_dir to keep one"
        if folder is not None and folder.checkpoint.exists():
            good = f"the last good checkpoint is {folder.checkpoint}"
        raise FloatingPointError(
            f"{key} is {record[key]} in epoch {self.epoch} of phase {phase.name!r}; {good}. Lower lr "
            f"(it is {phase.optimizers[0].param_groups[0]['lr']:g} now) or set clip_norm"
        )

    # Checkpoints -------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint, if there is a place for one."""
        if self.settings.folder is not None and self.settings.folder.is_open:
            self.settings.folder.save_checkpoint(self.state_dict())
            self.callbacks.tell("on_save_checkpoint")

    def state_dict(self) -> dict[str, Any]:
        """All that :meth:`load_state_dict` needs to continue as if nothing had happened."""
        return {
            "settings": self.settings.fixed,
            "phase": self.phase.name,
            "finished": self.finished[: len(self.phases) - 1],  # a longer run goes on with the last phase
            "epoch": self.epoch - bool(self.logged),
            "stopped": self.stopped,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
            "history": self.history,
            "seconds": self.seconds,
            "order_seed": self.order_seed,
            "model": self.model.state_dict(),
            "best_weights": self.best_weights,
            "best_strategy": self.best_strategy,
            "optimizers": [each.state_dict() for each in self._optimizers_and_schedulers()],
            "strategy": self.strategy.state_dict(),
            "random": random_state(),
            "callbacks": self.callbacks.state_dict(),
        } | ({"begun": self._begun, "logged": as_numbers(self.logged)} if self.logged else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where a checkpoint was written."""
        for row in state["finished"]:
            self.finished.append(row)
            self._draw_phase()
        if [self.phase.name, len(self.phases)] != [state["phase"], len(state["finished"]) + 1]:
            raise ValueError(
                f"{self.strategy!r} draws phase {self.phase.name!r} where it drew {state['phase']!r} before; phases() "
                "may decide from self.finished alone"
            )
        self._begin_phase()
        self.model.load_state_dict(state["model"])
        for name, value in state["best_weights"].items():
            self._keep(name, value)
        for each, saved in zip(self._optimizers_and_schedulers(), state["optimizers"], strict=True):
            each.load_state_dict(saved)
        self.best_strategy, self.order_seed = state["best_strategy"], state["order_seed"]
        self.strategy.load_state_dict(state["strategy"])
        self.epoch, self.best_epoch, self.best_score = state["epoch"], state["best_epoch"], state["best_score"]
        self.history, self.seconds = state["history"], state["seconds"]
        self.stopped = state.get("stopped", False)  # checkpoints of older versions know neither
        self.callbacks.load_state_dict(state.get("callbacks", {}))
        set_random_state(state["random"])
        self._middle = state if "logged" in state else None
