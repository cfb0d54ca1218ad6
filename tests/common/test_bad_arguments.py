"""Every public class refuses every argument that it does not take, and names it: by discovery, with a limit of zero."""

import importlib
import inspect
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import yaml

import graphkit as gk
from graphkit.cli import main
from graphkit.core.constraints import Count, Interval, checked
from graphkit.core.rules import rule_of
from graphkit.datasets.generators import GENERATORS
from graphkit.datasets.loaders import LOADERS
from graphkit.recipes.keys import Protocol
from graphkit.testing import check_arguments
from graphkit.testing.arguments import bad_arguments, parameters_of
from tests import tiny
from tests.common.bad_input import judge, verdict

ROOMS = [
    *("models", "nn", "nn.aggr", "nn.sheaf", "nn.ode", "samplers", "training", "training.strategies", "transforms"),
    *("transforms.features", "transforms.rewiring", "metrics", "tasks"),
]
ROOMS_OF_FUNCTIONS = ["algorithms", "datasets", "diagnostics", "expressivity", "recipes", "transforms"]
FREE = {  # parameters that an annotation cannot tell everything about
    **dict.fromkeys(("encoder", "weak", "strong"), "a model, its name or its configuration"),
    "aggr_kwargs": "the aggregation checks its own arguments",
    "readout_kwargs": "the aggregation checks its own arguments",
    **dict.fromkeys(("data", "graphs", "events", "split"), "a task converts what it can and refuses the rest"),
    **dict.fromkeys(("train_mask", "val_mask", "test_mask"), "a split converts what it can and refuses the rest"),
    "stratify": "labels of any kind",
    "task": "diagnostics know no tasks, which stand above them",
    "node_type": "a type for each node, which the split converts and checks",
    "edge_index": "LinkSplit converts what it can and refuses the rest",
    "graph": "an edge_index, a sparse tensor or a pattern, which ops tell apart",
    "matrices": "of numpy or torch, or anything with their operations",
    "laplacian": "a sparse or dense matrix of any kind",
    **dict.fromkeys(("metric", "loss", "class_weight", "pos_weight"), "a task checks them beside its target"),
}


def public_classes():
    found = {}
    for room in ROOMS:
        module = importlib.import_module(f"graphkit.{room}")
        for name in module.__all__:
            value = getattr(module, name)
            own = inspect.isclass(value) and value.__module__.startswith("graphkit.")
            if own and not issubclass(value, Exception):
                found[f"{room}.{name}"] = value
    return found | {f"generators.{name}": function for name, function in GENERATORS.items()}


def public_functions():
    found = {"LinkSplit.random": gk.LinkSplit.random, "Split.from_masks": gk.Split.from_masks}
    found |= {"Split.random": gk.Split.random, "Split.k_fold": gk.Split.k_fold}
    for room in ROOMS_OF_FUNCTIONS:
        module = importlib.import_module(f"graphkit.{room}")
        members = {name: getattr(module, name) for name in module.__all__}
        found |= {f"{room}.{name}": value for name, value in members.items() if inspect.isfunction(value)}
    return found | {"load": gk.load, "load_weights": gk.load_weights, "load_run": gk.load_run}


CLASSES = public_classes() | public_functions()
CLASSES |= {f"recipes.{name}": getattr(gk.recipes, name) for name in ("RunOptions", "Published", "Paper")}
EXEMPT = {
    "recipes.rejudge": "takes what recipes made",
    "training.Run": "made by load_run",
    "training.FitState": "made by the trainer for callbacks",
    "tasks.Draw": "made for every pass over the data, by tasks",
    "tasks.LinkSplit": "ids may be tensors, arrays or lists, which the split checks itself",
    "tasks.Split": "ids may be tensors, arrays or lists, which the split checks itself",
    "training.Result": "made by the trainer; Result.load checks what a file says",
    "nn.sheaf.SheafGraph": "made at every step, by functions that check",
    "nn.sheaf.SheafLaplacian": "made at every step, by functions that check",
}
CHECKED = [name for name, cls in CLASSES.items() if name not in EXEMPT and not inspect.isabstract(cls)]


def test_what_has_passed_excuses_no_equal_value_of_another_type():
    @checked
    def repeat(times: Count, rate: float = 0.5, loud: bool = False) -> int:
        return times

    for _ in range(2):
        assert (repeat(1, 1.0, True), type(repeat(np.int64(1)))) == (1, int)
        for bad in ((True,), (1.0,), (1, True), (1, 0.5, 1), (0,)):
            with pytest.raises((TypeError, ValueError), match="repeat: "):
                repeat(*bad)


def test_no_bad_argument_is_accepted_or_answered_unclearly():
    cases = [
        (f"{name}({key}={value!r})", lambda cls=cls, key=key, value=value: cls(**{key: value}), (key,))
        for name in CHECKED
        for cls in [CLASSES[name]]
        for key, value in bad_arguments(cls)
    ]
    counts, wrong = judge(cases)
    assert counts["clear"] > 1000
    assert not wrong, "\n".join(wrong[:40])


def test_no_bad_argument_of_a_trained_trainer():
    task = tiny.task("node multiclass")
    model, trainer = gk.models.GCN.from_task(task, hidden_channels=4), gk.Trainer(max_epochs=1, progress=False)
    trainer.fit(model, task)
    given = {"fit": {"model": model, "task": task}, "predict": {"data": task}, "embed": {"data": task}}
    cases = [
        (f"{name}({key}={value!r})", partial(getattr(trainer, name), **sound | {key: value}), (key, "graph"))
        for name, sound in given.items()
        for key, value in bad_arguments(getattr(gk.Trainer, name))
    ]
    counts, wrong = judge(cases)
    assert counts["clear"] > 100
    assert not wrong, "\n".join(wrong)


def test_no_bad_option_of_a_dataset():
    cases = []
    for card in gk.datasets.cards().values():
        function = GENERATORS[card.generator] if card.generator else LOADERS[card.loader]
        load = gk.datasets.load_graphs if card.kind == "list" else gk.load
        for key, value in bad_arguments(function):
            if key not in card.arguments:
                label = f"load({card.name}, {key}={value!r})"
                cases.append((label, partial(load, card.name, **{key: value}), (f"{key}", f"{value!r}")))
    counts, wrong = judge(cases)
    assert counts["clear"] > 500
    assert not wrong, "\n".join(wrong[:40])


FLAGS = {  # of commands that stop before any work, where a flag is bad
    "train --model GCN --task karate --trainer.{}": (gk.Trainer, {"run_dir", "strategy"}),
    "train --model GCN --task karate --model.{}": (gk.models.GCN, {"in_channels", "out_channels"}),
    "rewire karate --method SDRF --{}": (gk.rewiring.SDRF, set()),
    "rewire karate --method DIGL --{}": (gk.rewiring.DIGL, set()),
}


@pytest.mark.parametrize("command", FLAGS)
def test_no_bad_flag(command, capsys):
    target, free = FLAGS[command]
    rules = {key: rule for key, hint in parameters_of(target).items() if key not in free and (rule := rule_of(hint))}
    for key, rule in rules.items():
        for text in ("-2", "0", "0.5", ".nan", "no_such_name", "[]", "{a:1}"):
            value = yaml.safe_load(text)
            if rule.problem(value) and rule.problem(text):
                code = main(f"{command.format(key)}={text}".split(" "))
                told = capsys.readouterr().err
                assert (code, key in told, len(told.splitlines()) <= 3) == (2, True, True), (
                    f"{key}={text}: {code}, {told}"
                )


@pytest.mark.parametrize("flag", ["jobs", "threads", "seeds", "split", "budget", "table"])
def test_no_bad_flag_of_reproduce(flag, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("model: mlp\ntask: karate\ntrainer: {max_epochs: 1}\n")
    for text in ("-2", "0", "0.5", ".nan", "no_such_name", "[]"):
        if not (flag == "split" and text == "0"):
            assert main(["reproduce", "mine.yaml", f"--{flag}={text}"]) == 2, text
            assert flag in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        *(f"expressivity GIN --{flag}" for flag in ("jobs", "seeds", "suite", "protocol")),
        *("list models --no_such_name", "list ", "data ", "data check ", "data fetch ", "data clear "),
    ],
)
def test_no_bad_flag_of_other_commands(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flag = command.rpartition("--")[2] if "--" in command else ""
    for text in ("-2", "0", "0.5", ".nan", "no_such_name", "[]"):
        arguments = f"{command}={text}".split() if flag else [*command.split(), text]
        assert main(arguments) == 2, text
        told = capsys.readouterr().err
        assert (flag or text) in told
        assert len(told.splitlines()) <= 3


def test_no_bad_key_of_a_recipe():
    paper = {"value": 1.0, "paper": "A and B (2020)", "table": "T", "split": "S"}
    plain = {"model": "mlp", "task": "karate", "trainer": {"max_epochs": 1}}
    given = [({"published": paper}, key, value) for key, value in bad_arguments(Protocol)]
    given += [({}, "published", paper | {key: value}) for key, value in bad_arguments(gk.recipes.Published)]
    given += [({}, "tolerance", value) for value in (0.5, None)]
    cases = [
        (f"{key}={value!r}", partial(gk.recipes.Recipe, "mine", plain | more | {key: value}), (key,))
        for more, key, value in given
    ]
    recipe = gk.recipes.Recipe("mine", plain)
    cases += [
        (f"run({key}={value!r})", partial(recipe.run, **{key: value}), (key,))
        for key, value in bad_arguments(gk.recipes.Recipe.run)
    ]
    counts, wrong = judge(cases)
    assert counts["clear"] > 200
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", CHECKED)
def test_every_parameter_says_what_it_takes(name):
    hints = parameters_of(CLASSES[name])
    told = inspect.signature(CLASSES[name]).parameters.values()
    parameters = [p.name for p in told if p.kind is not p.VAR_KEYWORD and p.name not in FREE]
    vague = [parameter for parameter in parameters if rule_of(hints.get(parameter, Any)) is None]
    bare = [parameter for parameter in parameters if _has_bare_number(hints.get(parameter))]
    assert not vague, f"{name}: annotate {vague}"
    assert not bare, f"{name}: say which numbers are meant: {bare}"


def _has_bare_number(hint):
    rule = rule_of(hint)
    if rule is None or rule.problem(-(2**70)) or rule.problem(2**70):
        return False
    return bool(rule.problem(0.5)) or not rule.problem(math.inf)


def test_the_classifier_tells_its_verdicts_apart():
    @checked
    def times(count: Count = 1):
        return count

    assert verdict(times)[0] == "accepted"
    assert verdict(lambda: times(0), "count")[0] == "clear"
    assert verdict(lambda: times(0), "number")[0] == "unclear"
    assert verdict(lambda: int("x"), "x")[0] == "unclear"
    assert verdict(lambda: [None for _ in iter(int, 1)], seconds=0.05)[0] == "hung"


def test_numbers_of_numpy_arrive_as_pythons():
    transform = gk.transforms.ConnectionMaps(np.int64(2), seed=np.int64(1))
    assert (type(transform.stalk_dim), type(transform.seed)) == (int, int)
    assert gk.models.PathNN.from_task(gk.load("karate"), head_layers=np.int64(2)).config()["head_layers"] == 2
    data = gk.load("karate").data
    assert list(gk.samplers.ClusterSampler(np.int64(5), np.int64(1)).batches(data, shuffle=True))


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: gk.Trainer(learning_rate=0.1), "Trainer: unknown argument 'learning_rate'; did you mean 'lr'"),
        (lambda: gk.models.GCN(4, hidden_size=8), "unknown argument 'hidden_size'; did you mean 'hidden_channels'"),
        (lambda: gk.nn.GCNConv(3, 4, biass=False), "GCNConv: unknown argument 'biass'; did you mean 'bias'"),
        (lambda: gk.nn.APPNP(3, 0.1, dopout=0.5), "APPNP: unknown argument 'dopout'; did you mean 'dropout'"),
        (lambda: gk.features.FastRP(dims=8), r"unknown argument 'dims'; did you mean 'dim'\? choose from: dim,"),
        (lambda: gk.Trainer(overwrite=True), r"choose from: .* \('overwrite' is an argument of Trainer.fit\)"),
        (lambda: gk.Split.random(9, valid=0.1), "unknown argument 'valid'; .* choose from: num_examples, val,"),
    ],
)
def test_an_unknown_argument_is_told_what_was_meant(call, meant):
    with pytest.raises(TypeError, match=meant):
        call()


def test_an_interval_checks_its_own_word():
    with pytest.raises(ValueError, match="unknown value of closed 'botth'; did you mean 'both'"):
        Interval(0, 1, "botth")


def test_a_users_class_is_checked_by_its_annotations():
    class Narrow(gk.models.GCN):
        def __init__(self, in_channels, width: Count = 4, rest: "Unknown" = None):  # noqa: F821
            super().__init__(in_channels, width)
            self.width, self.rest = width, rest

    check_arguments(Narrow)
    with pytest.raises(ValueError, match="Narrow: width=0, must be at least 1"):
        Narrow(3, 0)
    with pytest.raises(ValueError, match="Narrow: in_channels=-5, must be at least 1, or -1"):
        Narrow(-5)

    class Loose:
        def __init__(self, width: Count = 4):
            self.width = width

    with pytest.raises(AssertionError, match=r"Loose\(width=None\) is accepted"):
        check_arguments(Loose)
