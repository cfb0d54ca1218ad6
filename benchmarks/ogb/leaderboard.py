"""What the scripts share: seeds 0 to 9, ogb's own evaluator, and the lines that a submission needs.

A script gives a configuration in the form of a recipe. Its classes are chosen by flags, their arguments too::

    python -m benchmarks.ogb.molhiv --task ogbg-molbace --model PathNN --rewiring FoSR --model.hidden_channels 64

Finished seeds are kept in ``runs/ogb`` and not repeated; the same command goes on after an interruption, from a
checkpoint that is at most a minute old.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import graphkit
from graphkit.core.files import write_json
from graphkit.recipes import Experiment
from graphkit.recipes.experiment import with_choices
from graphkit.recipes.running import CHECKPOINT_SECONDS
from graphkit.tasks import Task
from graphkit.training import Result

CLASSES = ("model", "features", "rewiring", "sampler", "strategy")
PARTS = (*CLASSES, "task")
ROOMS = {"ogbn": "nodeproppred", "ogbl": "linkproppred", "ogbg": "graphproppred"}
RESULTS = Path(__file__).parents[1] / "results" / "ogb"


def main(config: dict[str, Any]) -> None:
    """Train with every seed, evaluate with ogb, print the leaderboard's lines and save them as JSON."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.ogb.{Path(sys.argv[0]).stem}",
        epilog="Arguments of the chosen classes are flags, too: --model.hidden_channels 64 --trainer.lr 0.01",
    )
    for part in PARTS:
        parser.add_argument(f"--{part}", help=f"another {part}, see `graphkit list`")
    parser.add_argument("--seeds", type=int, default=10, help="the number of seeds, from 0 (default: 10)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder of results")
    options, flags = parser.parse_known_args()
    experiment = Experiment.from_config(with_choices(config, **{part: getattr(options, part) for part in PARTS}), flags)
    load = cache(experiment.load_task)  # once, for the first seed that is not finished
    runs = [run(experiment, seed, load) for seed in range(options.seeds)]
    report = summary(experiment, runs)
    print("\n".join(f"{key:<12}{value}" for key, value in report.items() if key != "runs"))
    method = "-".join(re.findall(r"\w+", report["method"].lower()))
    write_json(options.output / f"{report['dataset']}-{method}.json", report)


def run(experiment: Experiment, seed: int, load: Callable[[], Task]) -> dict[str, Any]:
    """Train with one seed; the scores are ogb's, of the weights of the best validation epoch."""
    name = experiment.config["task"]["name"]
    folder = Path("runs") / "ogb" / f"{name}-{experiment.hash}-{graphkit.__version__}"
    path, unfinished = folder / f"seed-{seed}.json", folder / f"unfinished-{seed}"
    if path.exists():
        return json.loads(path.read_text())
    task = load()
    trainer = experiment.build_trainer(seed=seed, run_dir=unfinished, loggers=(), checkpoint_seconds=CHECKPOINT_SECONDS)
    result: Result = trainer.fit(experiment.build_model(task), task, resume=True)
    evaluator = _evaluator(name)
    scores: dict[str, Any] = {"seed": seed, "parameters": result.num_parameters, "seconds": round(result.seconds, 1)}
    scores |= {"epochs": result.epochs, "best_epoch": result.best_epoch, "hardware": result.hardware}
    for stage in ("val", "test"):
        scores[stage] = ogb_score(evaluator, *trainer.predict(task, stage))
    write_json(path, scores)
    shutil.rmtree(unfinished)
    print(f"seed {seed}: valid {scores['val']:.4f}, test {scores['test']:.4f}, {scores['seconds']} s", flush=True)
    return scores


def ogb_score(evaluator: Any, prediction: Tensor, label: Tensor) -> float:
    """What ogb's evaluator says of predictions ``[n, num_outputs]``, or of scores of pairs ``[n, 1]``."""
    metric = evaluator.eval_metric
    if metric.startswith("hits@"):
        score, linked = prediction.view(-1), label.bool()
        given = {"y_pred_pos": score[linked], "y_pred_neg": score[~linked]}
    elif metric == "acc":
        given = {"y_pred": prediction.argmax(1, keepdim=True), "y_true": label.view(-1, 1)}
    else:
        given = {"y_pred": prediction, "y_true": label.view_as(prediction)}
    return float(evaluator.eval(given)[metric])


def summary(experiment: Experiment, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields of a submission; deviations are unbiased."""
    config = experiment.config
    used = [_name(config[part]) for part in CLASSES if config[part]]
    scores = {stage: torch.tensor([run[stage] for run in runs], dtype=torch.float64) for stage in ("test", "val")}
    report: dict[str, Any] = {
        "dataset": config["task"]["name"],
        "method": " + ".join(used),
        "metric": _evaluator(config["task"]["name"]).eval_metric,
    }
    for stage, values in scores.items():
        spread = f" ± {values.std():.4f}" if len(runs) > 1 else ""
        report[stage] = f"{values.mean():.4f}{spread}"
    return report | {
        "seeds": ", ".join(str(run["seed"]) for run in runs),
        "epoch": "the best on validation",
        "parameters": runs[0]["parameters"],
        "hardware": runs[0]["hardware"],
        "seconds": round(sum(run["seconds"] for run in runs)),
        "command": " ".join(["python -m", f"benchmarks.ogb.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "commit": _commit(),
        "versions": f"graphkit {graphkit.__version__}, ogb {version('ogb')}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
        "runs": runs,
    }


def _name(part: dict[str, Any]) -> str:
    """A class, and the encoder in it: ``LinkPredictor (GCN)``."""
    name, encoder = part["class_path"].rpartition(".")[2], part["init_args"].get("encoder")
    return f"{name} ({_name(encoder)})" if isinstance(encoder, dict) else name


def _evaluator(name: str) -> Any:
    """ogb's evaluator of a dataset; a rebuilt set is judged as the official one."""
    official = name.removesuffix("-rebuilt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(f"ogb.{ROOMS[official.partition('-')[0]]}").Evaluator(official)


def _commit() -> str:
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        code = [*git, "status", "--porcelain", ":/", f":(exclude,top){RESULTS.relative_to(RESULTS.parents[2])}"]
        changes = subprocess.run(code, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + (" with changes" if changes.stdout.strip() else "")
