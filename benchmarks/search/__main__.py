"""AutoGNN's conservative steps and random search at equal budget: ``python -m benchmarks.search`` writes a table.

Both search the space of ``space.yaml`` for the validation accuracy on Cora; only the winner of each search is tested. A
search that was stopped goes on where it was. Also: ``--trials``, ``--repeats`` and ``--seeds`` of each winner.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search"
SAMPLERS = ("conservative", "random")


def search(sampler: str, repeat: int, trials: int, seeds: int) -> dict[str, object]:
    """One search and the test scores of its winner."""
    import graphkit as gk

    found = gk.search(HERE / "cora.yaml", HERE / "space.yaml", trials, sampler, seed=100 * repeat, seeds=seeds)
    print(f"{sampler}, repeat {repeat}\n{found}", flush=True)
    return {
        "sampler": sampler,
        "seed": 100 * repeat,
        "finished": found.num_finished,
        "failed": found.num_failed,
        "val": round(100 * found.val, 4),
        "test_of_winner": [run["test"] for run in found.winner.runs],
        "best": found.best,
    }


def summary(rows: list[dict[str, object]]) -> dict[str, object]:
    """Mean and spread over searches of a sampler; the test score of a search is the mean of its winner's runs."""
    means = [statistics.fmean(row["test_of_winner"]) for row in rows]  # type: ignore[type-var]
    values = {"val": [row["val"] for row in rows], "test": means}
    return {
        "searches": len(rows),
        **{f"{name}_mean": round(statistics.fmean(scores), 2) for name, scores in values.items()},
        **{f"{name}_std": round(statistics.stdev(scores), 2) for name, scores in values.items() if len(scores) > 1},
    }


def main() -> None:
    """All searches, those of the same seed side by side."""
    from benchmarks.speed.common import environment
    from graphkit.core.files import write_json
    from graphkit.recipes.files import read

    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    for name, default in (("trials", 20), ("repeats", 3), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for repeat in range(options.repeats):
        rows += [search(sampler, repeat, options.trials, options.seeds) for sampler in SAMPLERS]
        done = vars(options) | {"repeats": repeat + 1}
        by_sampler = {sampler: summary([row for row in rows if row["sampler"] == sampler]) for sampler in SAMPLERS}
        content = {
            "task": "cora, public split",
            "metric": "accuracy in percent",
            "trials_per_search": options.trials,
            "summary": by_sampler,
            "space": read(HERE / "space.yaml"),
            "searches": rows,
            **environment(),
            "command": " ".join(["python -m benchmarks.search", *(f"--{key} {value}" for key, value in done.items())]),
        }
        write_json(RESULTS / f"cora-{options.trials}-trials.json", content)
    print(json.dumps(by_sampler, indent=1))


if __name__ == "__main__":
    main()
