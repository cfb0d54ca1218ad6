"""AutoGNN's conservative steps, as a sampler of Optuna."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from graphkit.core.constraints import Checked, Count, NonNegativeInt

MANY_DRAWS = 32


class ConservativeSampler(Checked, BaseSampler):
    r"""Changes one component of the best trial so far, as AutoGNN does.

    From `"Auto-GNN: Neural Architecture Search of Graph Neural Networks" <https://arxiv.org/abs/1909.03184>`_ (Zhou,
    Huang, Song, Chen, Hu; Frontiers in Big Data 5, 2022). The best architecture :math:`m^*` is kept; an offspring is
    :math:`m^*` with one component drawn anew, and takes its place if its validation score is better. The component is
    drawn uniformly; the paper's recurrent controllers, which prefer those that they are least sure of, and its sharing
    of weights are left out, so every trial trains from new weights.

    The first trials are random. No combination is tried twice: where the neighbours of :math:`m^*` seem to have been
    tried, two components are changed, then three, and so on. It is an ordinary sampler of Optuna and goes with any
    study of one objective; parameters that only some trials have are drawn at random.

    Args:
        n_startup_trials: The number of random trials in the beginning (default: 10).
        seed: The seed; ``None`` draws anew in every process (default: ``None``).

    Example:
        >>> import optuna
        >>> study = optuna.create_study(sampler=ConservativeSampler(seed=0))
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study.optimize(lambda trial: sum(trial.suggest_int(name, 0, 9) for name in "abcd"), n_trials=100)
        >>> study.best_value
        0.0
    """

    def __init__(self, n_startup_trials: Count = 10, seed: NonNegativeInt | None = None) -> None:
        self.n_startup_trials = n_startup_trials
        self._random = RandomSampler(seed)
        self._generator = np.random.default_rng(seed)
        self._space = IntersectionSearchSpace()

    def reseed_rng(self) -> None:
        """Draw from here on what no other copy of the sampler draws."""
        self._random.reseed_rng()
        self._generator = np.random.default_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that all finished trials have."""
        space = self._space.calculate(study)
        return {name: distribution for name, distribution in space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The best trial's parameters with one of them drawn anew."""
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(trials) < self.n_startup_trials or not search_space:
            return {}
        best = best_trial(study).params
        tried = {_key(other.params, search_space) for other in study.get_trials(deepcopy=False)}
        names = list(search_space)
        for changes in range(1, len(names) + 1):
            for _ in range(MANY_DRAWS):
                offspring = {name: best[name] for name in names}
                for name in self._generator.choice(names, changes, replace=False):
                    offspring[name] = self._random.sample_independent(study, trial, name, search_space[name])
                if _key(offspring, search_space) not in tried:
                    return offspring
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def best_trial(study: Study) -> FrozenTrial:
    """The best finished trial, of equal ones the first.

    Raises:
        ValueError: If none is finished.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
    return min(trials, key=lambda trial: sign * (trial.value or 0.0))


def _key(params: dict[str, Any], names: Any) -> tuple[str, ...]:
    return tuple(repr(params.get(name)) for name in names)
