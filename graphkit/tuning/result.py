"""What a search found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from graphkit.core.display import html_table
from graphkit.core.figures import OF_SEARCHES, chosen_kind, new_figure, nth_colour, save_figure
from graphkit.core.files import atomic_write
from graphkit.core.text import in_number
from graphkit.metrics import format_score
from graphkit.recipes import CellResult, Experiment
from graphkit.recipes.drawing import draw_costs, spots
from graphkit.tuning.conservative import best_trial
from graphkit.tuning.space import SearchSpace
from graphkit.tuning.trials import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(repr=False)
class SearchResult:
    """What a search found: its trials, and the test scores of the best settings.

    Attributes:
        name: The recipe's name.
        metric: The score's name.
        study: Optuna's study, with all trials.
        space: The space.
        experiment: The winner: the recipe with the best settings.
        winner: The runs of the winner with fresh seeds, the only ones with test scores.
    """

    name: str
    metric: str
    study: optuna.Study
    space: SearchSpace
    experiment: Experiment
    winner: CellResult

    @property
    def best(self) -> dict[str, Any]:
        """The best settings; classes and lists are texts."""
        return best_trial(self.study).params

    @property
    def val(self) -> float:
        """Their validation score in the search."""
        return float(best_trial(self.study).value or 0.0)

    @property
    def num_trials(self) -> int:
        """The number of trials."""
        return len(counted(self.study))

    @property
    def num_finished(self) -> int:
        """The number of trials that were finished."""
        return self._count(TrialState.COMPLETE)

    @property
    def num_pruned(self) -> int:
        """The number of trials that the pruner has ended."""
        return self._count(TrialState.PRUNED)

    @property
    def num_failed(self) -> int:
        """The number of trials that ended in an error."""
        return self._count(TrialState.FAIL)

    def _count(self, state: TrialState) -> int:
        return sum(trial.state == state for trial in counted(self.study))

    def frame(self) -> pd.DataFrame:
        """The trials as a pandas table: number, state, validation score, settings, epochs, seconds and error.

        Raises:
            ImportError: If pandas is not installed.
        """
        import pandas as pd

        rows = [
            {
                "trial": trial.number,
                "state": {"COMPLETE": "finished", "FAIL": "failed"}.get(trial.state.name, trial.state.name.lower()),
                f"val_{self.metric}": trial.value if trial.state == TrialState.COMPLETE else None,
                **trial.params,
                "epochs": trial.user_attrs.get("epochs"),
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                "error": trial.user_attrs.get("error"),
            }
            for trial in counted(self.study)
        ]
        return pd.DataFrame(rows).set_index("trial")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the winner as a YAML file that ``graphkit train --config`` and ``graphkit reproduce`` take."""
        import yaml

        with atomic_write(Path(path)) as temporary:
            Path(temporary).write_text(yaml.safe_dump(self.experiment.config, sort_keys=False))

    def plot(self, kind: str = "trials", path: str | os.PathLike[str] | None = None) -> Figure:
        """A picture of the search.

        Args:
            kind: ``"trials"``, validation scores one after the other, and the best one so far; or ``"costs"``, by
                seconds, with the Pareto front (default: ``"trials"``).
            path: Where to save the picture; the ending names the format (default: nowhere).

        Raises:
            ValueError: If there is no such picture.
        """
        kind, path = chosen_kind("SearchResult", kind, path, OF_SEARCHES)
        finished = [trial for trial in counted(self.study) if trial.state == TrialState.COMPLETE]
        figure = self._costs(finished) if kind == "costs" else self._progress(finished)
        save_figure(figure, path)
        return figure

    def _costs(self, finished: list[FrozenTrial]) -> Figure:
        rising = self.study.direction == StudyDirection.MAXIMIZE
        seconds = [trial.duration.total_seconds() if trial.duration else 0.0 for trial in finished]
        names, values = [str(trial.number) for trial in finished], [float(trial.value or 0.0) for trial in finished]
        return draw_costs(spots(names, values, seconds, rising), f"validation {self.metric}", "seconds of a trial")

    def _progress(self, finished: list[FrozenTrial]) -> Figure:
        numbers, values = [trial.number for trial in finished], [float(trial.value or 0.0) for trial in finished]
        better = max if self.study.direction == StudyDirection.MAXIMIZE else min
        figure = new_figure(6, 4)
        axes = figure.subplots()
        axes.plot(numbers, values, "o", ms=4, color=nth_colour(0), label="finished trials")
        axes.step(
            numbers,
            [better(values[: i + 1]) for i in range(len(values))],
            where="post",
            color=nth_colour(1),
            label="best so far",
        )
        axes.set(xlabel="trial", ylabel=f"validation {self.metric}", title=self.name)
        axes.legend()
        axes.grid(alpha=0.3)
        return figure

    def __repr__(self) -> str:
        return f"SearchResult({self.name}: {self._trials()}; {self._validation()}; test {self._test()})"

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self._facts())
        return "\n".join([self.name, *(f"  {name:{width}}  {text}" for name, text in self._facts())])

    def _repr_html_(self) -> str:
        return html_table(self.name, self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        scores = [("trials", self._trials()), ("best", self._validation()), ("test", self._test())]
        return scores + [(key, str(value)) for key, value in self.best.items()]

    def _trials(self) -> str:
        parts = {"finished": self.num_finished, "pruned": self.num_pruned, "failed": self.num_failed}
        return f"{self.num_trials} trials, " + ", ".join(f"{count} {name}" for name, count in parts.items())

    def _validation(self) -> str:
        return f"validation {self.metric} {format_score(self.val, self.metric)}"

    def _test(self) -> str:
        return f"{self.winner.measured} over {in_number(self.winner.n, 'fresh run')} of the winner"
