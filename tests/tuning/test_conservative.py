"""AutoGNN's steps on the best architecture so far."""

from __future__ import annotations

import optuna
import pytest

from graphkit.tuning import ConservativeSampler

WORTH = {  # of each component of a layer, as a made-up architecture search has it
    "attention": {"const": 0.0, "gcn": 0.7, "gat": 1.0, "sym-gat": 0.9, "cos": 0.3, "linear": 0.4, "gene-linear": 0.8},
    "heads": {1: 0.1, 2: 0.4, 4: 0.8, 8: 1.0, 16: 0.6},
    "width": {4: 0.0, 8: 0.2, 16: 0.5, 32: 0.8, 64: 1.0, 128: 0.9, 256: 0.7},
    "aggr": {"sum": 1.0, "mean": 0.8, "max": 0.2},
    "combine": {"identity": 1.0, "mlp": 0.6},
    "act": {"sigmoid": 0.0, "tanh": 0.6, "relu": 0.8, "identity": 0.3, "softplus": 0.4, "leaky_relu": 0.9, "elu": 1.0},
}
LAYERS = 2


def worth(trial: optuna.Trial) -> float:
    """The sum over components of two layers, less 0.5 where these have the activation or the attention in common."""
    chosen = [
        {name: trial.suggest_categorical(f"{name}.{layer}", list(values)) for name, values in WORTH.items()}
        for layer in range(LAYERS)
    ]
    total = sum(WORTH[name][value] for layer in chosen for name, value in layer.items())
    return total - 0.5 * sum(chosen[0][name] == chosen[1][name] for name in ("act", "attention"))


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def run(sampler, objective=worth, trials=100, direction="maximize"):
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return study


def test_it_beats_random_search_at_equal_budget():
    """Over 20 seeds, on a search of 10^8 architectures, with 60 trials each."""
    found = {
        made: [run(made(seed=seed), trials=60).best_value for seed in range(20)]
        for made in (ConservativeSampler, optuna.samplers.RandomSampler)
    }
    ours, random = found.values()
    assert sum(a > b for a, b in zip(ours, random)) >= 19
    assert sum(ours) / 20 > sum(random) / 20 + 1


def test_each_step_changes_one_component_of_the_best_so_far():
    study = run(ConservativeSampler(n_startup_trials=5, seed=1), trials=60)
    for trial in study.trials[5:]:
        before = study.trials[: trial.number]
        best = max(before, key=lambda other: other.value)
        changed = [name for name, value in trial.params.items() if best.params[name] != value]
        assert len(changed) == 1
        assert trial.params not in [other.params for other in before]


def test_it_minimises_too_and_takes_two_steps_where_one_is_not_enough():
    def trap(trial):
        chosen = [trial.suggest_int(name, 0, 3) for name in "ab"]
        return 0 if chosen == [3, 3] else 1 + chosen.count(3)

    study = run(ConservativeSampler(n_startup_trials=1, seed=0), trap, 16, "minimize")
    assert study.best_value == 0
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 16, "nothing is tried twice"


def test_the_same_seed_gives_the_same_trials_and_a_reseeded_copy_others():
    samplers = [ConservativeSampler(seed=3) for _ in range(3)]
    samplers[-1].reseed_rng()
    first, second, other = ([trial.params for trial in run(sampler, trials=30).trials] for sampler in samplers)
    assert first == second
    assert first != other


def test_parameters_of_some_trials_are_drawn():
    def nested(trial):
        depth = trial.suggest_int("depth", 1, 3)
        return sum(trial.suggest_float(f"x{i}", 0, 1) for i in range(depth))

    study = run(ConservativeSampler(n_startup_trials=3, seed=0), nested, 30)
    assert study.best_value > 2


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="ConservativeSampler: n_startup_trials=0, must be at least 1"):
        ConservativeSampler(n_startup_trials=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=ConservativeSampler(n_startup_trials=1))
    one = {"a": optuna.distributions.IntDistribution(0, 2)}
    study.add_trial(optuna.create_trial(params={"a": 1}, distributions=one, values=[0, 0]))
    with pytest.raises(RuntimeError, match="multi-objective"):
        study.ask().suggest_int("a", 0, 2)
