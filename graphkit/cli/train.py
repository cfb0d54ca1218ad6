"""``graphkit train``."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

from graphkit.cli.common import Parser, UsageError, usage
from graphkit.cli.wording import offer

CONFIG_NAME = "experiment.yaml"  # in a run folder: what `--resume` and `--config` read


def train_parser() -> Parser:
    """The flags of ``graphkit train`` but for those of chosen classes."""
    parser = Parser(
        prog="graphkit train",
        add_help=False,
        description="Train a model on a task and print the scores of the best validation epoch.",
        epilog="Every argument of the chosen classes is a flag: --model.hidden_channels 16, --trainer.lr 0.01,\n"
        "--task.num_nodes 10. `graphkit train --model GCN --task cora --help` lists those of GCN and cora.",
    )
    parser.add_argument("-h", "--help", action="store_true", help="this text, with the flags of the chosen classes")
    parser.add_argument("--config", metavar="FILE", help="a YAML file, e.g. a recipe; flags win over it")
    parser.add_argument("--model", help="a name of `graphkit list models`, or the import path of any nn.Module")
    parser.add_argument("--task", help="a name of `graphkit list tasks`")
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="own tables: a folder with nodes.csv and edges.csv, with --task.label COLUMN; or a file of "
        "interactions, or of events with --task.kind event",
    )
    parser.add_argument("--task.kind", metavar="KIND", help="with --data, what is judged: node, edge, link or event")
    parser.add_argument("--split", help="an index, 'family' or 'family/index'")
    parser.add_argument("--features", help="a name of `graphkit list features`, or the import path of a PyG transform")
    parser.add_argument("--rewiring", help="a name of `graphkit list rewirings`, or the import path of a PyG transform")
    parser.add_argument("--sampler", help="a name of `graphkit list samplers`, or an import path")
    parser.add_argument("--strategy", help="a name of `graphkit list strategies`, or an import path")
    parser.add_argument("--resume", metavar="RUN_DIR", help="continue a run; flags may change e.g. max_epochs")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is in --trainer.run_dir")
    parser.add_argument("--print_config", action="store_true", help="print the complete YAML config and stop")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def train(arguments: list[str]) -> int:
    """Train one model on one task."""
    parser = train_parser()
    options, flags = parser.parse_known_args(arguments)
    with usage():
        config = _train_config(options)
        if options.help:
            from graphkit.recipes.config import flags_help

            print(parser.format_help())
            print(flags_help(config))
            return 0
        lacking = [key for key in ("model", "task") if not config.get(key)]
        if lacking:
            example = " ".join(f"--{key} {'GCN' if key == 'model' else 'cora'}" for key in lacking)
            raise UsageError(f"train needs a {' and a '.join(lacking)}, e.g. graphkit train {example}")
        from graphkit.recipes import Experiment
        from graphkit.recipes.config import flags_of

        offer(lambda: [f"--{name}" for name in flags_of(config)])
        experiment = Experiment.from_config(config, flags)
        if options.resume:
            experiment.config["trainer"]["run_dir"] = options.resume
    import yaml

    if options.print_config:
        print(yaml.safe_dump(experiment.config, sort_keys=False), end="")
        return 0
    task = experiment.load_task()
    with usage():
        model = experiment.build_model(task)
    if experiment.config["trainer"]["run_dir"] is None:
        if options.overwrite:
            raise UsageError("--overwrite replaces the run in a folder; name it by --trainer.run_dir")
        experiment.config["trainer"]["run_dir"] = str(_new_run_dir(experiment.config))
    run_dir = Path(experiment.config["trainer"]["run_dir"])
    trainer = experiment.build_trainer()
    trainer.further_files[CONFIG_NAME] = yaml.safe_dump(experiment.config, sort_keys=False)
    try:
        result = trainer.fit(model, task, resume=bool(options.resume), overwrite=options.overwrite)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"continue with: graphkit train --resume {run_dir}") from None
    result.plot(path=run_dir / "curves.png")
    print(result)
    print(f"  run folder  {run_dir} (history.csv, curves.png, ...)")
    return 0


def _train_config(options: argparse.Namespace) -> dict[str, Any]:
    """What the file says, without what only `reproduce` reads, with the classes that flags choose."""
    from graphkit.recipes.experiment import with_choices
    from graphkit.recipes.files import find, read
    from graphkit.recipes.keys import RECIPE_KEYS

    config: dict[str, Any] = {}
    if options.resume:
        file = Path(options.resume) / CONFIG_NAME
        if not file.is_file():
            raise UsageError(f"{options.resume} is not the folder of a run: it has no {CONFIG_NAME}")
        config = read(file)
    if options.config:
        config |= read(find(options.config))
    config = {key: value for key, value in config.items() if key not in RECIPE_KEYS}
    parts = ("model", "features", "rewiring", "sampler", "strategy", "task", "split")
    if options.data is not None:
        if options.task is not None:
            raise UsageError("--task names a dataset, --data a folder of tables; give one of them")
        known = config.get("task") or {}
        kept = {key: known[key] for key in known if key != "name"} if "folder" in known else {}
        config["task"] = {**kept, "folder": options.data}
    if kind := getattr(options, "task.kind"):
        if "folder" not in (config.get("task") or {}):
            raise UsageError("--task.kind is of your own tables; name them by --data, or leave it out")
        config["task"] = {**config["task"], "kind": kind}
    chosen = {part: getattr(options, part) for part in parts}
    return with_choices(config, **chosen)


def _new_run_dir(config: dict[str, Any]) -> Path:
    model = config["model"]["class_path"].rpartition(".")[2]
    stem = f"{config['task']['name']}-{model}-{datetime.now():%Y%m%d-%H%M%S}"
    number = 1
    while True:
        folder = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder
