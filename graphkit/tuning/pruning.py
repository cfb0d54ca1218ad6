"""What lets Optuna's pruners see a training."""

from __future__ import annotations

import optuna

from graphkit.training import Callback, FitState


class PruningCallback(Callback):
    """Reports every validation score to a trial of Optuna and ends the run when its pruner says so.

    For objectives of one's own; :func:`search` adds it by itself. The step of a report is the number of epochs over all
    phases.

    Args:
        trial: Optuna's trial.

    Raises:
        TrialPruned: From ``fit``, when the study's pruner ends the trial.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate")
        >>> def objective(trial):
        ...     model = gk.models.GCN.from_task(task, hidden_channels=trial.suggest_int("hidden_channels", 4, 16))
        ...     trainer = gk.Trainer(max_epochs=5, callbacks=[PruningCallback(trial)], progress=False)
        ...     return trainer.fit(model, task, test=False).val
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
        >>> study.optimize(objective, n_trials=2)
        >>> len(study.trials[0].intermediate_values)
        5
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, state: FitState) -> None:
        """Report the score; perhaps end the run."""
        self.trial.report(state.metrics[f"val_{state.task.metric}"], state.step)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"after {state.step} epochs")
