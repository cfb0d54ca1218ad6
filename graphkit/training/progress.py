"""The progress bar of a run."""

from __future__ import annotations

import time
from typing import Any

from graphkit.core.display import progress_bar
from graphkit.training.callbacks import Callback, FitState


class Progress(Callback):
    """A bar over epochs with the time left and the latest scores, redrawn at most ten times per second."""

    def __init__(self, show: bool | None) -> None:
        self._show = show

    def on_fit_start(self, state: FitState) -> None:
        total, done = state.max_steps, state.step
        # leave=None: under another bar it goes when it is done
        self._bar = progress_bar(
            total=total, initial=done, unit="epoch", dynamic_ncols=True, leave=None, show=self._show
        )
        self._next = 0.0

    def on_epoch_end(self, state: FitState) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 0.1
            self._show_scores(state)
        self._bar.update()

    def _show_scores(self, state: FitState) -> None:
        if self._bar.disable or not state.metrics:
            return
        self._bar.set_description(state.phase, refresh=False)
        scores = {key: f"{value:.4g}" for key, value in state.metrics.items() if isinstance(value, float)}
        self._bar.set_postfix(scores, refresh=False)

    def on_fit_end(self, state: FitState, result: Any) -> None:
        self._show_scores(state)  # of the last epoch: the bar stays as it stands
        self._bar.close()

    def on_exception(self, state: FitState, exception: BaseException) -> None:
        self.on_fit_end(state, None)
