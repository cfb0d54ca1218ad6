"""Subgraphs that grow while a model trains."""

from __future__ import annotations

import copy
from typing import Any

from graphkit.core.config import Configurable
from graphkit.core.constraints import Count, NonNegative, UnitInterval
from graphkit.training.callbacks import Callback, FitState


class AdaptiveFanout(Configurable, Callback):
    r"""Training on small subgraphs, which grow whenever the validation no longer gets better.

    From `"LiGNN: Graph Neural Networks at LinkedIn" <https://arxiv.org/abs/2402.11139>`_ (Borisyuk et al., KDD 2024).
    The argument by which a sampler's subgraphs grow (:attr:`Sampler.scope <graphkit.samplers.Sampler.scope>`, such as
    ``num_neighbors``) begins at :math:`k_1` = ``start``; after each epoch that is validated, with the metric
    :math:`m_t` (its negative where smaller is better),

    .. math::
        k_{t+1} = \begin{cases} \min(k_t + \mathtt{stride},\; k) & m_t \le m_{t-1} + \delta_t \\ k_t & \text{else}
        \end{cases} \qquad \delta_{t+1} = \mathtt{decay} \cdot \delta_t

    where :math:`k` is the sampler's own argument, of several hops each hop's; -1, all neighbours, is no limit.
    Validation, test and predictions always have the sampler's own.

    The rule, ``start`` and ``stride`` are LinkedIn's; the values of tolerance and decay are ours.

    Args:
        start: The first value (default: 2).
        stride: By how much it grows (default: 20).
        tolerance: What a better epoch has to gain, :math:`\delta_1` (default: 0.01).
        decay: The factor of the tolerance after each validation (default: 0.9).

    Raises:
        ValueError: (when a run starts) if the task is not sampled, or its sampler names no such argument.

    Example:
        >>> import graphkit as gk
        >>> task = gk.load("karate").sampled(gk.samplers.NeighborSampler([15, 10]))
        >>> growing = AdaptiveFanout(start=2, stride=5)
        >>> trainer = gk.Trainer(max_epochs=9, batch_size=2, callbacks=[growing], progress=False)
        >>> _ = trainer.fit(gk.models.GCN.from_task(task), task)
        >>> growing.value
        22
    """

    def __init__(
        self, start: Count = 2, stride: Count = 20, tolerance: NonNegative = 0.01, decay: UnitInterval = 0.9
    ) -> None:
        self.start = start
        self.stride = stride
        self.tolerance = tolerance
        self.decay = decay

    def on_fit_start(self, state: FitState) -> None:
        sampler = state.task.sampler
        if sampler is None:
            raise ValueError(f"AdaptiveFanout: task {state.task.name!r} is not sampled; use task.sampled(sampler)")
        if not sampler.scope:
            raise ValueError(
                f"AdaptiveFanout: {type(sampler).__name__} does not say by which argument its subgraphs grow; set "
                "scope to its name"
            )
        self.value, self._delta, self._last = self.start, self.tolerance, None

    def on_epoch_start(self, state: FitState) -> None:
        state.task.loader.training_sampler = narrowed(state.task.sampler, self.value)

    def on_validation_end(self, state: FitState) -> None:
        score = state.metrics[f"val_{state.task.metric}"] * (1 if state.task.higher_is_better else -1)
        if self._last is not None and score <= self._last + self._delta:
            self.value += self.stride
        self._last, self._delta = score, self._delta * self.decay

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "delta": self._delta, "last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self._delta, self._last = state["value"], state["delta"], state["last"]


def narrowed(sampler: Any, value: int) -> Any:
    """The sampler with at most this value of the argument by which its subgraphs grow."""
    largest = getattr(sampler, sampler.scope)
    limits = largest if isinstance(largest, list) else [largest]
    values = [value if limit == -1 else min(value, limit) for limit in limits]
    sampler = copy.copy(sampler)
    setattr(sampler, sampler.scope, values if isinstance(largest, list) else values[0])
    return sampler
